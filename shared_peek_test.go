package memo_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A key that does not fit on the stack is built in a buffer that others use next. What
// Peek has taken from the store is held under a key of its own.
func TestPeekHoldsWhatItFoundUnderAKeyOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type page struct {
			Path string
			N    int
		}
		s := memstore.New(nil)
		length := func(_ context.Context, p page) (int, error) { return p.N, nil }
		a := memo.New(length, memo.Store(faultstore.New(s)), memo.Name("length"))
		there := faultstore.New(s)
		b := memo.New(length, memo.Store(there), memo.Name("length"))
		var pages []page
		for n := range 20 {
			pages = append(pages, page{strings.Repeat("x", 1000), n})
			a.Call(t.Context(), pages[n])
		}
		peekAll := func() {
			t.Helper()
			for _, p := range pages {
				if e, err := b.Peek(t.Context(), p); e.Value != p.N || err != nil {
					t.Errorf("Peek of page %d: got %d, %v", p.N, e.Value, err)
				}
			}
		}
		peekAll()
		runtime.GC()
		runtime.GC() // the second one empties the pool of buffers
		asked := there.Count(faultstore.All)
		peekAll()
		if n := there.Count(faultstore.All) - asked; n > 0 {
			t.Errorf("what had been found was asked for again, in %d operations", n)
		}
	})
}

// Whether a call would refresh a result is another question.
func TestPeekCallsAResultStaleOnlyWhenItsTTLIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(context.Context, int) (int, error) { time.Sleep(20 * time.Second); return 1, nil },
			memo.TTL(time.Hour), memo.StaleWhileRevalidate(2*time.Hour))
		f.Call(t.Context(), 1)
		time.Sleep(30 * time.Minute)
		for name, f := range map[string]*memo.Func[int, int]{
			"refreshed early":    f.With(memo.EarlyRefresh(1e6)),
			"too old for a call": f.With(memo.TTL(time.Minute)),
		} {
			if e, err := f.Peek(t.Context(), 1); e.Stale || err != nil {
				t.Errorf("%s: got Stale %v, %v, want false", name, e.Stale, err)
			}
		}
		time.Sleep(time.Hour)
		if e, err := f.Peek(t.Context(), 1); !e.Stale || err != nil {
			t.Errorf("after the TTL: got Stale %v, %v, want true", e.Stale, err)
		}
	})
}
