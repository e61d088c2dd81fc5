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
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A lease that was taken at once was taken for a lost race, and read again; a Refresh
// even took it from itself, while its renewal was running.
func TestARefreshTakesFiveOperations(t *testing.T) {
	for _, how := range []string{"Refresh", "in the background"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := faultstore.New(memstore.New(nil))
				f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"),
					memo.TTL(100*time.Millisecond), memo.StaleWhileRevalidate(time.Hour))
				f.Call(t.Context(), 1)
				time.Sleep(200 * time.Millisecond)
				before := p.Count(faultstore.All)
				if how == "Refresh" {
					f.Refresh(t.Context(), 1)
				} else {
					f.Call(t.Context(), 1)
				}
				synctest.Wait()
				// It sees the old result, adds a lease, sees that the result
				// is still that one, replaces it, and gives the lease back.
				want := int64(5)
				if how == "Refresh" {
					want-- // which replaces whatever there is
				}
				if got := p.Count(faultstore.All) - before; got != want {
					t.Errorf("got %d operations, want %d", got, want)
				}
			})
		})
	}
}

// What a refresh left in its lease's place said that it had failed. Others who found
// that there, and waited for the next one, then executed beside it.
func TestRefreshesInQuickSuccessionAreOneInTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var running, most atomic.Int64
		fn := func(context.Context, int) (int, error) {
			raise(&most, running.Add(1))
			defer running.Add(-1)
			time.Sleep(100 * time.Millisecond)
			return 1, nil
		}
		for range 4 {
			f := memo.New(fn, memo.Store(faultstore.New(s)), memo.Name("f"), memo.NoLocal(),
				memo.TTL(300*time.Millisecond), memo.StaleWhileRevalidate(time.Hour))
			go func() {
				for range 200 {
					f.Call(t.Context(), 1)
					time.Sleep(20 * time.Millisecond)
				}
			}()
		}
		time.Sleep(10 * time.Second)
		if got := most.Load(); got != 1 {
			t.Errorf("%d executions of one key at a time", got)
		}
	})
}

// A store that says in turns that there is a key and that there is none kept a call
// asking for ever.
func TestStoreThatContradictsItselfHoldsUpNobody(t *testing.T) {
	p := faultstore.New(memstore.New(nil))
	p.Before(faultstore.Get, faultstore.Keys(":f:", faultstore.Fail(store.ErrNotFound))) // of results
	p.Before(faultstore.Add, faultstore.Keys(":f:", faultstore.Fail(store.ErrExists)))
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"))
	if got, err := f.Call(t.Context(), 1); got != 1 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got := p.Count(faultstore.All); got > 50 {
		t.Errorf("got %d operations", got)
	}
}

// Two processes refreshed one result, and the older execution won.
func TestRefreshOvertakesAnEarlierOneElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		slow := func(ctx context.Context, k string) (int64, error) {
			defer time.Sleep(time.Second)
			return source.read(ctx, k)
		}
		a := memo.New(slow, memo.Store(faultstore.New(s)), memo.Name("f"))
		b := memo.New(slow, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Call(t.Context(), "x")
		source.Store(1)
		go a.Refresh(t.Context(), "x")
		time.Sleep(500 * time.Millisecond)
		source.Store(2)
		if got, _ := b.Refresh(t.Context(), "x"); got != 2 {
			t.Errorf("Refresh = %d", got)
		}
		if got, _ := b.Call(t.Context(), "x"); got != 2 {
			t.Errorf("after Refresh got %d", got)
		}
	})
}

// The old result expired while it was refreshed. The new one then found nothing that
// it could replace, and was thrown away.
func TestRefreshThatOutlastsTheOldResultIsKept(t *testing.T) {
	for _, tt := range []struct {
		how  string
		opts memo.Options
	}{
		{"Refresh", memo.Options{memo.TTL(3 * time.Second)}},
		{"EarlyRefresh", memo.Options{memo.TTL(3 * time.Second), memo.EarlyRefresh(1000)}},
		{"StaleWhileRevalidate", memo.Options{memo.TTL(time.Second), memo.StaleWhileRevalidate(2 * time.Second)}},
	} {
		t.Run(tt.how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				f := memo.New(func(context.Context, string) (int64, error) {
					time.Sleep(2 * time.Second)
					return runs.Add(1), nil
				}, memo.Store(faultstore.New(memstore.New(nil))), memo.Name("f"), tt.opts)
				f.Call(t.Context(), "x")
				time.Sleep(2 * time.Second)
				if tt.how == "Refresh" {
					f.Refresh(t.Context(), "x")
				} else {
					f.Call(t.Context(), "x")
					time.Sleep(2100 * time.Millisecond)
				}
				f.With(memo.EarlyRefresh(0)).Call(t.Context(), "x")
				if got := runs.Load(); got != 2 {
					t.Errorf("%d executions, want 2", got)
				}
			})
		})
	}
}

// What is not kept, and failures, were executed one process after the other: the
// tenth waited for all others.
func TestExecutionsWithoutAResultDoNotQueueUpInTheFleet(t *testing.T) {
	for what, failure := range map[string]error{"TTL of zero": nil, "error": errDown} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := memstore.New(nil), time.Now()
				var wg sync.WaitGroup
				for range 10 {
					f := memo.New(func(context.Context, string) (int, error) {
						time.Sleep(time.Second)
						return 0, failure
					}, memo.Store(faultstore.New(s)), memo.Name("f"), memo.TTL(0))
					wg.Go(func() { f.Call(t.Context(), "x") })
				}
				wg.Wait()
				if took := time.Since(began); took > 2500*time.Millisecond {
					t.Errorf("took %v, where fn takes a second", took)
				}
			})
		})
	}
}

// An execution that its LoadTimeout gives up gives its lease back.
func TestExecutionThatIsGivenUpHoldsUpNoOtherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var n atomic.Int64
		fn := func(_ context.Context, k int) (int, error) {
			if n.Add(1) == 1 {
				time.Sleep(time.Hour)
			}
			return k, nil
		}
		a := memo.New(fn, memo.Store(faultstore.New(s)), memo.Name("f"), memo.LoadTimeout(time.Second))
		b := memo.New(fn, memo.Store(faultstore.New(s)), memo.Name("f"))
		go a.Call(t.Context(), 1)
		synctest.Wait()
		began := time.Now()
		if _, err := b.Call(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Hour)
	})
}

// A copy that had been invalidated elsewhere counted as an old result to fall back
// on: the error was not remembered.
func TestErrorsAreRememberedAfterInvalidateElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var fails atomic.Bool
		var runs atomic.Int64
		read := func(context.Context, string) (int, error) {
			if runs.Add(1); fails.Load() {
				return 0, errDown
			}
			return 1, nil
		}
		a := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"), memo.TTL(time.Hour), memo.CacheErrors(time.Minute, nil))
		b := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Call(t.Context(), "x")
		b.Invalidate(t.Context(), "x")
		fails.Store(true)
		time.Sleep(2 * time.Second)
		runs.Store(0)
		for range 10 {
			a.Call(t.Context(), "x")
		}
		if got := runs.Load(); got != 1 {
			t.Errorf("%d executions, want 1", got)
		}
	})
}

// Without copies every look made a new entry, which knew of no failures.
func TestFailedRefreshesBackOffWithoutCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		var runs atomic.Int64
		f := memo.New(func(context.Context, string) (int, error) {
			if runs.Add(1); fails.Load() {
				return 0, errDown
			}
			return 1, nil
		}, memo.Store(faultstore.New(memstore.New(nil))), memo.Name("f"), memo.TTL(time.Second), memo.StaleIfError(time.Hour), memo.NoLocal())
		f.Call(t.Context(), "x")
		fails.Store(true)
		time.Sleep(2 * time.Second)
		runs.Store(0)
		for range 100 {
			f.Call(t.Context(), "x")
		}
		if got := runs.Load(); got > 5 {
			t.Errorf("%d executions in 100 calls at once", got)
		}
	})
}

// A result with an error that CacheIf keeps has the place of an older one without.
func TestKeptErrorTakesThePlaceOfAnOlderResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		f := memo.New(func(context.Context, int) (int, error) {
			if fails.Load() {
				return 7, errDown
			}
			return 1, nil
		}, memo.Store(faultstore.New(memstore.New(nil))), memo.Name("f"), memo.TTL(time.Hour), memo.CacheIf(func(int, error) bool { return true }))
		f.Call(t.Context(), 1)
		fails.Store(true)
		f.Refresh(t.Context(), 1)
		time.Sleep(5 * time.Second)
		if got, err := f.Call(t.Context(), 1); got != 7 || err != errDown {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// Batches that overlap, in four processes: one execution for each key.
func TestOverlappingBatchesInAFleetExecuteEachKeyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var runs [20]atomic.Int64
		var wg sync.WaitGroup
		for nth := range 4 {
			b := memo.NewBatch(func(_ context.Context, keys []int) (map[int]int, error) {
				found := map[int]int{}
				for _, k := range keys {
					runs[k].Add(1)
					found[k] = 2 * k
				}
				time.Sleep(20 * time.Millisecond)
				return found, nil
			}, memo.Store(faultstore.New(s)), memo.Name("b"), memo.MaxBatch(3))
			for from := range 20 {
				wg.Go(func() {
					keys := make([]int, 10)
					for i := range keys {
						keys[i] = (from + i*(nth+1)) % len(runs)
					}
					if _, err := b.Call(t.Context(), keys); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		for k := range runs {
			if n := runs[k].Load(); n != 1 {
				t.Errorf("%d executions for %d", n, k)
			}
		}
	})
}

// Results without an end, and with ends beyond what a time can say, go through the
// store.
func TestForeverGoesThroughTheStore(t *testing.T) {
	for i, opts := range []memo.Options{
		{memo.TTL(memo.Forever)},
		{memo.TTL(time.Hour), memo.StaleIfError(memo.Forever)},
		{memo.TTL(memo.Forever), memo.Jitter(1)},
		{memo.TTL(memo.Forever - 1), memo.StaleWhileRevalidate(memo.Forever - 1)},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				var runs atomic.Int64
				fn := func(context.Context, int) (int64, error) { return runs.Add(1), nil }
				a := memo.New(fn, memo.Store(faultstore.New(s)), memo.Name("f"), opts)
				b := memo.New(fn, memo.Store(faultstore.New(s)), memo.Name("f"), opts)
				a.Call(t.Context(), i)
				time.Sleep(30 * time.Minute)
				if got, err := b.Call(t.Context(), i); got != 1 || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
			})
		})
	}
}
