package memo_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// The late answer of an earlier Invalidate struck out what a later one, which had
// failed, still owed: it was never repeated.
func TestLaterDebtOutlivesAnEarlierSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		p, deleted := faultstore.New(s), faultstore.NewGate()
		p.After(faultstore.Delete, faultstore.First(1, deleted.Wait))
		a := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.StoreTimeout(0))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		var wg sync.WaitGroup
		wg.Go(func() { a.Invalidate(t.Context(), "x") })
		<-deleted.Reached()
		b.Call(t.Context(), "x")
		source.Store(1)
		mend := p.Before(faultstore.Delete, faultstore.Fail(errDown))
		if err := a.Invalidate(t.Context(), "x"); err == nil {
			t.Fatal("no error")
		}
		deleted.Open()
		wg.Wait()
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("the process that owes the invalidation got %d", got)
		}
		mend()
		time.Sleep(5 * time.Second)
		if got, _ := b.Call(t.Context(), "x"); got != 1 {
			t.Errorf("after the invalidation was to be repeated another process got %d", got)
		}
	})
}

// A refresh in the background looked at what the store had, though the process knew
// that to be old.
func TestRefreshDoesNotBelieveAStoreThatIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		p := faultstore.New(s)
		a := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.TTL(150*time.Millisecond), memo.StaleWhileRevalidate(time.Hour))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"), memo.TTL(time.Hour))
		b.Call(t.Context(), "x")
		source.Store(1)
		mend := p.Before(faultstore.Delete, faultstore.Fail(errDown))
		a.Invalidate(t.Context(), "x")
		a.Call(t.Context(), "x")
		time.Sleep(200 * time.Millisecond)
		a.Call(t.Context(), "x")
		synctest.Wait()
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("got %d", got)
		}
		mend()
		time.Sleep(5 * time.Second)
	})
}

// Debts were paid within the default StoreTimeout, whatever the functions' own was: to
// a store that needs longer, never.
func TestDebtsToASlowStoreArePaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		p := faultstore.New(s, faultstore.Delay(400*time.Millisecond))
		a := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.StoreTimeout(5*time.Second))
		a.Call(t.Context(), "x")
		source.Store(1)
		mend := p.Before(faultstore.All, faultstore.Fail(errDown))
		a.Invalidate(t.Context(), "x")
		mend()
		time.Sleep(30 * time.Second)
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		if got, _ := b.Call(t.Context(), "x"); got != 1 {
			t.Errorf("got %d", got)
		}
	})
}

// An epoch that was owed was written while a newer Clear succeeded, and took that one's
// place: what had been stored under it meanwhile was valid again.
func TestLatePaymentRevivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var source versioned
		p, paying := faultstore.New(memstore.New(nil)), faultstore.NewGate()
		p.Before(faultstore.Swap, faultstore.Keys(":clear:", faultstore.First(1, faultstore.Fail(errDown))))
		p.Before(faultstore.Swap, faultstore.Keys(":clear:", faultstore.First(1, paying.Wait))) // the repetition
		a := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.TTL(time.Hour))
		a.Call(t.Context(), "w")
		if err := a.Clear(t.Context()); err == nil {
			t.Fatal("no error")
		}
		a.Call(t.Context(), "x")
		<-paying.Reached()
		source.Store(1)
		if err := a.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		paying.Open()
		time.Sleep(1200 * time.Millisecond)
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("more than a second after Clear got %d", got)
		}
	})
}

// Debts that become too many are replaced by one for each group. It took the place of a
// tag's that results of other groups' functions carried, who knew nothing of it.
func TestDebtsThatBecomeTooManyReachTagsThatWereTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p := faultstore.New(s)
		var source versioned
		build := func(p *faultstore.Store) (*memo.Group, *memo.Func[string, int64]) {
			g1, g2 := memo.NewGroup("g1"), memo.NewGroup("g2")
			inner := memo.New(source.read, g1, memo.Store(p), memo.Name("inner"), memo.Tags("t"), memo.TTL(time.Hour), quietly)
			return g1, memo.New(inner.Call, g2, memo.Store(p), memo.Name("outer"), memo.TTL(time.Hour), quietly)
		}
		g, a := build(p)
		a.Call(t.Context(), "x")
		mend := p.Down(errDown)
		source.Store(1)
		g.InvalidateTags(t.Context(), "t")
		many := make([]string, 5000)
		for i := range many {
			many[i] = fmt.Sprint("u", i)
		}
		g.InvalidateTags(t.Context(), many...)
		mend()
		time.Sleep(5 * time.Second)
		_, b := build(faultstore.New(s))
		for who, f := range map[string]*memo.Func[string, int64]{"the process that invalidated": a, "another process": b} {
			if got, _ := f.Call(t.Context(), "x"); got != 1 {
				t.Errorf("%s got %d", who, got)
			}
		}
	})
}

// An epoch that is owed was looked up at every use: in a round trip of no keys at all.
func TestOwedEpochIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var empty atomic.Int64
		p := faultstore.New(memstore.New(nil))
		p.Before(faultstore.Add|faultstore.Swap, faultstore.Fail(errDown))
		p.Before(faultstore.Get, func(_ context.Context, c faultstore.Call) error {
			if len(c.Keys) == 0 {
				empty.Add(1)
			}
			return nil
		})
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"), quietly)
		f.Call(t.Context(), 1)
		f.Clear(t.Context())
		for i := range 100 {
			f.Call(t.Context(), i)
			synctest.Wait()
		}
		if got := empty.Load(); got > 0 {
			t.Errorf("%d look-ups of no keys", got)
		}
	})
}

// When a group's turn had begun anew, because the server had dropped it or had failed,
// nothing that carried one of its tags was kept any more.
func TestTurnThatBeginsAnewDoesNotKeepResultsOut(t *testing.T) {
	for _, how := range []string{"evicted", "failed"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				p := faultstore.New(s)
				g := memo.NewGroup("g")
				var runs atomic.Int64
				f := memo.New(func(ctx context.Context, _ string) (int64, error) {
					memo.AddTags(ctx, "t")
					time.Sleep(100 * time.Millisecond)
					return runs.Add(1), nil
				}, g, memo.Store(p), memo.Name("f"), memo.TTL(time.Hour))
				f.Call(t.Context(), "x")
				time.Sleep(5 * time.Second)
				if how == "evicted" {
					s.Delete(t.Context(), "::turn:g:")
				} else {
					mend := p.Before(faultstore.Swap, faultstore.Fail(errDown))
					g.InvalidateTags(t.Context(), "other")
					mend()
				}
				time.Sleep(5 * time.Second)
				runs.Store(0)
				for range 10 {
					f.Call(t.Context(), "y")
					f.Call(t.Context(), "y")
					time.Sleep(2 * time.Second)
				}
				if got := runs.Load(); got > 2 {
					t.Errorf("%d executions in 20 calls", got)
				}
			})
		})
	}
}

// A reading that was on its way when Clear was called took the place of Clear's own, if
// the clock had not moved.
func TestReadingFromBeforeClearDoesNotTakeItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		p, read := faultstore.New(s), faultstore.NewGate()
		p.After(faultstore.Get, faultstore.First(1, read.Wait))
		a := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.LocalTTL(0))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		b.Call(t.Context(), "x")
		b.Call(t.Context(), "y")
		go a.Call(t.Context(), "y")
		<-read.Reached()
		source.Store(1)
		a.Clear(t.Context())
		read.Open()
		synctest.Wait()
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("got %d", got)
		}
	})
}
