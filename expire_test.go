package memo_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A numbered is a function, and a batch, of which every execution returns the next number.
type numbered struct {
	f      *memo.Func[string, int64]
	b      *memo.Batch[string, int64]
	g      *memo.Group
	made   atomic.Int64
	fails  atomic.Bool
	during chan bool // if not nil, executions wait for it
}

func newNumbered(opts ...memo.Option) *numbered {
	v := &numbered{g: memo.NewGroup("g")}
	next := func() (int64, error) {
		n := v.made.Add(1)
		if v.during != nil {
			<-v.during
		}
		if v.fails.Load() {
			return 0, errors.New("down")
		}
		return n, nil
	}
	all := memo.Options{memo.Tags("t"), v.g, memo.TTL(time.Hour), quietly, memo.Options(opts)}
	v.f = memo.New(func(context.Context, string) (int64, error) { return next() }, all, memo.Name("f"))
	v.b = memo.NewBatch(func(_ context.Context, keys []string) (map[string]int64, error) {
		n, err := next()
		if err != nil {
			return nil, err
		}
		return map[string]int64{"k": n}, nil
	}, all, memo.Name("b"))
	return v
}

func (v *numbered) call(t testing.TB, batch bool) int64 {
	t.Helper()
	if batch {
		m, err := v.b.Call(t.Context(), []string{"k"})
		if err != nil {
			t.Error(err)
		}
		return m["k"]
	}
	n, err := v.f.Call(t.Context(), "k")
	if err != nil {
		t.Error(err)
	}
	return n
}

// expiries are the ways to expire what is held for "k".
var expiries = map[string]struct {
	batch  bool
	expire func(context.Context, *numbered) error
}{
	"Func.Expire":      {false, func(ctx context.Context, v *numbered) error { return v.f.Expire(ctx, "k") }},
	"Batch.Expire":     {true, func(ctx context.Context, v *numbered) error { return v.b.Expire(ctx, "k") }},
	"Group.Expire":     {false, func(ctx context.Context, v *numbered) error { return v.g.Expire(ctx) }},
	"Group.ExpireTags": {true, func(ctx context.Context, v *numbered) error { return v.g.ExpireTags(ctx, "s", "t") }},
}

// expiresIn are the places where results are.
var expiresIn = map[string]func() memo.Option{
	"process":             func() memo.Option { return memo.Options{} },
	"store":               func() memo.Option { return memo.Options{memo.Store(memstore.New(nil)), memo.NoLocal()} },
	"store and process":   func() memo.Option { return memo.Store(faultstore.New(memstore.New(nil)).Bare()) },
	"store that notifies": func() memo.Option { return memo.Store(memstore.New(nil)) },
	"store, result for ever": func() memo.Option {
		return memo.Options{memo.Store(memstore.New(nil)), memo.NoLocal(), memo.TTL(memo.Forever)}
	},
	"process, result for ever": func() memo.Option { return memo.TTL(memo.Forever) },
}

// eachExpiry runs a test for each of them in each place, in a bubble.
func eachExpiry(t *testing.T, test func(t *testing.T, v *numbered, batch bool, expire func()), opts ...memo.Option) {
	for place, in := range expiresIn {
		for name, way := range expiries {
			t.Run(place+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := newNumbered(in(), memo.Options(opts))
					test(t, v, way.batch, func() {
						t.Helper()
						if err := way.expire(t.Context(), v); err != nil {
							t.Fatal(err)
						}
					})
				})
			})
		}
	}
}

func TestExpiredResultIsReturnedWhileOneRefreshReplacesIt(t *testing.T) {
	eachExpiry(t, func(t *testing.T, v *numbered, batch bool, expire func()) {
		v.call(t, batch)
		time.Sleep(time.Minute)
		expire()
		if got := v.call(t, batch); got != 1 {
			t.Errorf("after Expire a call got %d, want the result from before, which is stale", got)
		}
		synctest.Wait()
		if got := v.call(t, batch); got != 2 || v.made.Load() != 2 {
			t.Errorf("then a call got %d after %d executions, want that of the second", got, v.made.Load())
		}
	}, memo.StaleWhileRevalidate(time.Minute))
}

func TestExpiredResultIsUsedAsLongAsItsStaleWindowLasts(t *testing.T) {
	eachExpiry(t, func(t *testing.T, v *numbered, batch bool, expire func()) {
		v.call(t, batch)
		time.Sleep(30 * time.Minute)
		expire()
		time.Sleep(61 * time.Second)
		if got := v.call(t, batch); got != 2 {
			t.Errorf("when its stale window had ended, a call got %d", got)
		}
	}, memo.StaleWhileRevalidate(time.Minute))
}

func TestLaterExpiryDoesNotLengthenTheStaleWindow(t *testing.T) {
	eachExpiry(t, func(t *testing.T, v *numbered, batch bool, expire func()) {
		v.call(t, batch)
		expire()
		time.Sleep(40 * time.Second)
		expire()
		time.Sleep(40 * time.Second)
		if got := v.call(t, batch); got != 2 {
			t.Errorf("80 seconds after it had expired, a call got %d", got)
		}
	}, memo.StaleWhileRevalidate(time.Minute))
}

func TestExpiredResultStandsInForAFailure(t *testing.T) {
	eachExpiry(t, func(t *testing.T, v *numbered, batch bool, expire func()) {
		v.call(t, batch)
		expire()
		v.fails.Store(true)
		if got := v.call(t, batch); got != 1 {
			t.Errorf("got %d when fn failed", got)
		}
		v.fails.Store(false)
		time.Sleep(time.Minute)
		if got := v.call(t, batch); got != 3 {
			t.Errorf("got %d when fn worked again, want a new result", got)
		}
	}, memo.StaleIfError(time.Hour))
}

func TestExpiryInvalidatesWhatHasNoStaleWindow(t *testing.T) {
	eachExpiry(t, func(t *testing.T, v *numbered, batch bool, expire func()) {
		v.call(t, batch)
		expire()
		v.fails.Store(true)
		if got, err := v.f.Call(t.Context(), "k"); err == nil && !batch {
			t.Errorf("got %d though fn failed", got)
		}
		v.fails.Store(false)
		if got := v.call(t, batch); got == 1 {
			t.Error("got what had expired")
		}
	})
}

func TestExecutionFromBeforeAnExpiryDoesNotComeBackFresh(t *testing.T) {
	for _, old := range []string{"nothing held", "something held"} {
		t.Run(old, func(t *testing.T) {
			eachExpiry(t, func(t *testing.T, v *numbered, batch bool, expire func()) {
				if old == "something held" {
					v.call(t, batch)
					expire() // so that the next call refreshes
				}
				v.during = make(chan bool)
				go v.call(t, batch)
				synctest.Wait()
				began := v.made.Load()
				expire()
				v.during <- true
				synctest.Wait()
				goOn, returned := make(chan bool), make(chan int64, 1)
				v.during = goOn
				go func() { returned <- v.call(t, batch) }()
				synctest.Wait()
				if v.made.Load() != began+1 {
					t.Errorf("a call after Expire began no execution")
				}
				close(goOn)
				<-returned
				synctest.Wait()
				if got := v.call(t, batch); got != began+1 {
					t.Errorf("got %d in the end, want %d", got, began+1)
				}
			}, memo.StaleWhileRevalidate(time.Minute))
		})
	}
}

// An invalidation that a store has still to be told of stays one.
func TestExpiryDoesNotWeakenAPendingInvalidation(t *testing.T) {
	for name, way := range map[string][2]func(context.Context, *numbered) error{
		"key": {
			func(ctx context.Context, v *numbered) error { return v.f.Invalidate(ctx, "k") },
			func(ctx context.Context, v *numbered) error { return v.f.Expire(ctx, "k") },
		},
		"group": {
			func(ctx context.Context, v *numbered) error { return v.g.Clear(ctx) },
			func(ctx context.Context, v *numbered) error { return v.g.Expire(ctx) },
		},
		"tag": {
			func(ctx context.Context, v *numbered) error { return v.g.InvalidateTags(ctx, "t") },
			func(ctx context.Context, v *numbered) error { return v.g.ExpireTags(ctx, "t") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := faultstore.New(memstore.New(nil))
				v := newNumbered(memo.Store(s), memo.NoLocal(), memo.StaleWhileRevalidate(time.Hour))
				v.call(t, false)
				heal := s.Before(faultstore.Add|faultstore.Swap|faultstore.Delete, faultstore.Fail(errors.New("down")))
				if err := way[0](t.Context(), v); err == nil {
					t.Fatal("the store was told though it fails")
				}
				heal()
				if err := way[1](t.Context(), v); err != nil {
					t.Fatal(err)
				}
				if got := v.call(t, false); got == 1 {
					t.Error("got what had been invalidated")
				}
			})
		})
	}
}

// What one process expires by key is stale in the others as soon as they ask the store.
func TestExpiryReachesOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		process := func() (*memo.Func[string, int64], *atomic.Int64) {
			var made atomic.Int64
			return memo.New(func(context.Context, string) (int64, error) { return made.Add(1), nil }, memo.Name("f"),
				memo.Store(faultstore.New(s).Bare()), memo.TTL(time.Hour), memo.StaleWhileRevalidate(time.Hour)), &made
		}
		here, _ := process()
		there, made := process()
		here.Call(t.Context(), "k")
		there.Call(t.Context(), "k")
		if err := here.Expire(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second + time.Millisecond)
		e, err := there.Peek(t.Context(), "k")
		if err != nil || !e.Stale || e.Value != 1 {
			t.Errorf("Peek returned %+v, %v, want a stale result", e, err)
		}
		there.Call(t.Context(), "k")
		synctest.Wait()
		if made.Load() != 1 {
			t.Errorf("the other process executed %d times, want once, in the background", made.Load())
		}
	})
}
