package memo_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// An execution that could not get the lease has nothing in the store that an Invalidate
// could take from it. It was joined after one that was reported, and its result was kept.
func TestExecutionOnItsOwnIsOvertakenByAReportedInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		var holds atomic.Bool
		goOn := make(chan bool)
		read := func(context.Context, string) (int64, error) {
			v := source.Load()
			if holds.Swap(false) {
				<-goOn
			}
			return v, nil
		}
		p := faultstore.New(s)
		a := memo.New(read, memo.Store(p.Notifying()), memo.Name("f"), memo.LocalTTL(time.Hour), memo.TTL(time.Hour), quietly)
		b := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Call(t.Context(), "before") // from now on it hears of changes
		synctest.Wait()

		holds.Store(true)
		p.Before(faultstore.Add, faultstore.First(1, faultstore.Fail(errDown)))
		var got, later int64
		var wg sync.WaitGroup
		wg.Go(func() { got, _ = a.Call(t.Context(), "x") })
		synctest.Wait()
		source.Store(1)
		if err := b.Invalidate(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wg.Go(func() { later, _ = a.Call(t.Context(), "x") })
		synctest.Wait()
		goOn <- true
		wg.Wait()
		if got != 0 {
			t.Errorf("the caller of the execution got %d, want its result", got)
		}
		if later != 1 {
			t.Errorf("a call that began after the Invalidate got %d, want 1", later)
		}
		if v, _ := a.Call(t.Context(), "x"); v != 1 {
			t.Errorf("afterwards a call got %d, want 1", v)
		}
		time.Sleep(time.Hour) // until the notifications have ended
	})
}

// The same without a call in between that executes: the result was kept.
func TestResultOfAnExecutionOnItsOwnIsNotKeptAfterAReportedInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		p := faultstore.New(s)
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a := memo.New(func(ctx context.Context, k string) (int64, error) {
			v := source.Load()
			if k == "x" && v == 0 {
				source.Store(1)
				if err := b.Invalidate(ctx, k); err != nil {
					t.Error(err)
				}
			}
			return v, nil
		}, memo.Store(p.Notifying()), memo.Name("f"), memo.LocalTTL(time.Hour), memo.TTL(time.Hour), quietly)
		a.Call(t.Context(), "before") // from now on it hears of changes
		synctest.Wait()
		p.Before(faultstore.Add, faultstore.First(1, faultstore.Fail(errDown)))
		for _, want := range []int64{0, 1} {
			if got, _ := a.Call(t.Context(), "x"); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
			synctest.Wait()
		}
		time.Sleep(time.Hour) // until the notifications have ended
	})
}

// A lease whose answer is lost is nobody's. It held all others up until it ran out.
func TestLeaseWhoseAnswerIsLostIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p := faultstore.New(s)
		here := memo.New(square, memo.Store(p), memo.Name("square"), quietly)
		there := memo.New(square, memo.Store(faultstore.New(s)), memo.Name("square"))
		here.Call(t.Context(), 1)
		p.After(faultstore.Add, faultstore.First(1, faultstore.Fail(errDown)))
		here.Call(t.Context(), 2)
		synctest.Wait()
		began := time.Now()
		if got, err := there.Call(t.Context(), 2); got != 4 || err != nil {
			t.Errorf("got %d, %v, want 4", got, err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("another process took %v", took)
		}
	})
}
