package memo_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/store/memstore"
)

func TestCallsUnderWithBypassTouchNoCache(t *testing.T) {
	for name, opts := range map[string]memo.Options{
		"local":       nil,
		"shared":      {memo.Store(memstore.New(nil)), memo.Name("f")},
		"on, by name": {memo.Disabled(false)},
		"other values for executions": {memo.ContextFrom(func(context.Context) context.Context {
			return context.Background()
		})},
	} {
		t.Run(name, func(t *testing.T) {
			c := new(counter)
			f := memo.New(c.run, opts)
			wantCall(t, f, 1)
			ctx := memo.WithBypass(t.Context())
			for i, f := range []*memo.Func[string, int32]{f, f.With(memo.Disabled(false)), f.With(memo.LoadTimeout(time.Hour))} {
				want := int32(2 + 2*i)
				if got, err := f.Call(ctx, "k"); got != want || err != nil {
					t.Errorf("Call = %d, %v; want %d, nil", got, err, want)
				}
				if got, err := f.Refresh(ctx, "k"); got != want+1 || err != nil {
					t.Errorf("Refresh = %d, %v; want %d, nil", got, err, want+1)
				}
				if _, err := f.Peek(ctx, "k"); err != memo.ErrMiss {
					t.Errorf("Peek = %v, want ErrMiss", err)
				}
				if err := f.Set(ctx, "k", 99); err != nil {
					t.Errorf("Set = %v", err)
				}
				wantCall(t, f, 1)
			}
			if s := f.Stats(); s.Executions != 7 || s.Misses != 1 {
				t.Errorf("Stats = %+v; want 7 executions, 1 miss", s)
			}
			if err := f.Invalidate(ctx, "k"); err != nil {
				t.Errorf("Invalidate = %v", err)
			}
			wantCall(t, f, 8)
			if err := f.Clear(ctx); err != nil {
				t.Errorf("Clear = %v", err)
			}
			wantCall(t, f, 9)
		})
	}
}

func TestBatchUnderWithBypassTouchesNoCache(t *testing.T) {
	rows := newTable()
	b := memo.NewBatch(rows.read)
	wantValues(t, b, []int{1}, map[int]string{1: rows.has[1]})
	ctx := memo.WithBypass(t.Context())
	for range 2 {
		if got, err := b.Call(ctx, []int{1, 2}); len(got) != 2 || err != nil {
			t.Errorf("Call = %v, %v", got, err)
		}
	}
	if _, err := b.Peek(ctx, 1); err != memo.ErrMiss {
		t.Errorf("Peek = %v, want ErrMiss", err)
	}
	wantValues(t, b, []int{1, 2}, map[int]string{1: rows.has[1], 2: rows.has[2]})
	if diff := cmp.Diff([][]int{{1}, {1, 2}, {1, 2}, {2}}, rows.questions()); diff != "" {
		t.Error(diff)
	}
}

func TestWithBypassReachesWhatIsCalledByWhatIsCalled(t *testing.T) {
	inner := new(counter)
	held := memo.New(inner.run, memo.NewGroup("bypassed"), memo.Tags("inner"))
	middle := memo.New(func(ctx context.Context, k string) (int32, error) { return held.Call(ctx, k) })
	outer := memo.New(func(ctx context.Context, k string) (int32, error) { return middle.Call(ctx, k) })
	wantCall(t, outer, 1)
	if got, _ := outer.Call(memo.WithBypass(t.Context()), "k"); got != 2 {
		t.Errorf("got %d, want 2: what fn calls touches no cache either", got)
	}
	wantCall(t, outer, 1)
	wantCall(t, held, 1)

	// An execution that bypasses what it calls still takes over the tags.
	around := memo.New(func(ctx context.Context, k string) (int32, error) { return outer.Call(memo.WithBypass(ctx), k) })
	wantCall(t, around, 3)
	if e, err := around.Peek(t.Context(), "k"); err != nil || len(e.Tags) != 1 {
		t.Errorf("Peek = %+v, %v; want the tag of the innermost function", e, err)
	}
}

func TestCallUnderWithBypassJoinsNobodyAndIsJoinedByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(counter)
		c.delay.Store(int64(time.Second))
		f := memo.New(c.run)
		go f.Call(t.Context(), "k")
		synctest.Wait()
		for range 2 {
			go f.Call(memo.WithBypass(t.Context()), "k")
			synctest.Wait()
		}
		go f.Call(t.Context(), "k")
		time.Sleep(2 * time.Second)
		if s := f.Stats(); s.Executions != 3 || s.Misses != 1 || s.Joined != 1 {
			t.Errorf("Stats = %+v; want 3 executions, 1 miss, 1 joined", s)
		}
		wantCall(t, f, 1)
	})
}

func TestWithBypassIsFoundThroughTheRequestOfAContext(t *testing.T) {
	c := new(counter)
	f := memo.New(c.run)
	wantCall(t, f, 1)
	r, _ := http.NewRequestWithContext(memo.WithBypass(t.Context()), "GET", "/", nil)
	if got, _ := f.Call(&detachedContext{context.Background(), r}, "k"); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
}

// A nosy context notes that it was asked for a value.
type nosy struct {
	context.Context
	asked int
}

func (n *nosy) Value(key any) any {
	n.asked++
	return n.Context.Value(key)
}

func TestHitLooksIntoNoContextBeforeThereIsOneOfWithBypass(t *testing.T) {
	c := new(counter)
	f := memo.New(c.run, memo.TTL(time.Hour))
	ctx := &nosy{Context: t.Context()}
	hits := func() (asked int, allocated float64) {
		for range 10_000 { // the coarse clock runs
			wantCall(t, f, 1)
		}
		ctx.asked = 0
		allocated = testing.AllocsPerRun(1000, func() { f.Call(ctx, "k") })
		return ctx.asked, allocated
	}
	function.Forget()
	for _, looks := range []bool{false, true} {
		if asked, allocated := hits(); asked > 0 != looks || allocated > 0 {
			t.Errorf("WithBypass called: %t: %d looks at the context, %v allocations", looks, asked, allocated)
		}
		memo.WithBypass(t.Context())
	}
}
