package memo_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// asks are the ways in which a call says how old its result may be.
var asks = map[string]func(ctx context.Context, f *memo.Func[string, int32], d time.Duration) (int32, error){
	"MaxAge": func(ctx context.Context, f *memo.Func[string, int32], d time.Duration) (int32, error) {
		return f.With(memo.MaxAge(d)).Call(ctx, "k")
	},
	"WithMaxAge": func(ctx context.Context, f *memo.Func[string, int32], d time.Duration) (int32, error) {
		return f.Call(memo.WithMaxAge(ctx, d), "k")
	},
	"the smaller of several": func(ctx context.Context, f *memo.Func[string, int32], d time.Duration) (int32, error) {
		return f.With(memo.MaxAge(time.Hour)).Call(memo.WithMaxAge(memo.WithMaxAge(ctx, d), time.Hour), "k")
	},
	"in fn": func(ctx context.Context, f *memo.Func[string, int32], d time.Duration) (int32, error) {
		outer := memo.New(f.Call)
		return outer.Call(memo.WithMaxAge(ctx, d), "k")
	},
	"Peek": func(ctx context.Context, f *memo.Func[string, int32], d time.Duration) (int32, error) {
		e, err := f.With(memo.MaxAge(d)).Peek(ctx, "k")
		if err == memo.ErrMiss {
			return f.Refresh(ctx, "k")
		}
		return e.Value, err
	},
}

func TestNothingOlderThanMaxAgeIsUsed(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for name, ask := range asks {
			t.Run(fmt.Sprintf("%s/shared=%v", name, shared), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := memo.Options{memo.TTL(time.Minute), memo.StaleWhileRevalidate(time.Hour), memo.StaleIfError(time.Hour)}
					if shared {
						opts = append(opts, memo.Name("f"), memo.Store(memstore.New(nil)))
					}
					c := new(counter)
					f := memo.New(c.run, opts)
					wantCall(t, f, 1)
					time.Sleep(10 * time.Second)
					if got, err := ask(t.Context(), f, 11*time.Second); got != 1 || err != nil {
						t.Errorf("got %d, %v, of which 10 s are no matter", got, err)
					}
					if got, err := ask(t.Context(), f, 10*time.Second); got != 2 || err != nil {
						t.Errorf("got %d, %v, and 10 s are too old", got, err)
					}
					wantCall(t, f, 2)
				})
			})
		}
	}
}

// The stale windows are for those who have not said how old a result may be.
func TestAFailureIsNoReasonToReturnWhatIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("down")
		var down bool
		f := memo.New(func(context.Context, string) (int, error) {
			if down {
				return 0, failure
			}
			return 1, nil
		}, memo.TTL(time.Second), memo.StaleIfError(time.Hour))
		f.Call(t.Context(), "k")
		down = true
		time.Sleep(10 * time.Second)
		if got, err := f.Call(t.Context(), "k"); got != 1 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
		if _, err := f.With(memo.MaxAge(5*time.Second)).Call(t.Context(), "k"); err != failure {
			t.Errorf("got %v, want fn's error", err)
		}
	})
}

func TestWithoutAStoreMaxAgeZeroExecutes(t *testing.T) {
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			c := new(counter)
			f := memo.New(c.run)
			wantCall(t, f, 1)
			if got, err := ask(t.Context(), f, 0); got != 2 || err != nil {
				t.Errorf("got %d, %v", got, err)
			}
			wantCall(t, f, 2)
		})
	}
}

// What the store confirms is returned, whatever its age; what another process has invalidated
// is not, though nobody has told this one, and epochs are believed for a second.
func TestUnderMaxAgeZeroTheStoreHasToConfirm(t *testing.T) {
	invalidations := map[string]func(ctx context.Context, f *memo.Func[string, int32]) error{
		"Invalidate": func(ctx context.Context, f *memo.Func[string, int32]) error { return f.Invalidate(ctx, "k") },
		"Clear":      func(ctx context.Context, f *memo.Func[string, int32]) error { return f.Clear(ctx) },
		"Set":        func(ctx context.Context, f *memo.Func[string, int32]) error { return f.Set(ctx, "k", 2) },
	}
	for name, ask := range asks {
		for how, invalidate := range invalidations {
			t.Run(name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, c := memstore.New(nil), new(counter)
					in := func(s store.Store) *memo.Func[string, int32] {
						return memo.New(c.run, memo.Name("f"), memo.Store(s), memo.LocalTTL(time.Hour), memo.TTL(time.Hour))
					}
					here, there := in(faultstore.New(s).Bare()), in(faultstore.New(s).Bare())
					wantCall(t, here, 1)
					time.Sleep(10 * time.Second)
					wantCall(t, here, 1) // with what is known of epochs as of now
					if got, err := ask(t.Context(), here, 0); got != 1 || err != nil {
						t.Errorf("got %d, %v of what the store has", got, err)
					}
					if err := invalidate(t.Context(), there); err != nil {
						t.Fatal(err)
					}
					if got, err := ask(t.Context(), here, 0); got != 2 || err != nil {
						t.Errorf("got %d, %v of what was invalidated elsewhere", got, err)
					}
				})
			})
		}
	}
}

// An execution that another process has overtaken a moment ago is not joined in good faith.
func TestUnderMaxAgeZeroNoOvertakenExecutionIsJoined(t *testing.T) {
	for name, invalidate := range map[string]func(context.Context, *memo.Func[string, int64]) error{
		"key":   func(ctx context.Context, f *memo.Func[string, int64]) error { return f.Invalidate(ctx, "k") },
		"clear": func(ctx context.Context, f *memo.Func[string, int64]) error { return f.Clear(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := &gated{began: make(chan bool, 1), goOn: make(chan bool)}
				began := source.began
				s := memstore.New(nil)
				here := memo.New(source.read, memo.Name("f"), memo.Store(faultstore.New(s).Bare()))
				there := memo.New(source.read, memo.Name("f"), memo.Store(faultstore.New(s).Bare()))
				go here.Call(t.Context(), "k")
				<-began
				source.Store(1)
				if err := invalidate(t.Context(), there); err != nil {
					t.Fatal(err)
				}
				got := make(chan int64)
				go func() {
					v, _ := here.With(memo.MaxAge(0)).Call(t.Context(), "k")
					got <- v
				}()
				synctest.Wait()
				source.goOn <- true
				if v := <-got; v != 1 {
					t.Errorf("got %d, which was invalidated before the call", v)
				}
			})
		})
	}
}

// Those who come together share one execution all the same, and it may be one whose
// result goes to no store.
func TestCallersUnderMaxAgeZeroShareAnExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan bool)
		answered := 0
		f := memo.New(func(ctx context.Context, k string) (int64, error) {
			<-goOn
			return 1, nil
		}, memo.Name("f"), memo.Store(memstore.New(nil)), memo.TTL(0))
		go f.Call(t.Context(), "k")
		synctest.Wait()
		var mu sync.Mutex
		for range 100 {
			go func() {
				f.With(memo.MaxAge(0)).Call(t.Context(), "k")
				mu.Lock()
				defer mu.Unlock()
				answered++
			}()
		}
		synctest.Wait()
		goOn <- true // the execution that they joined
		synctest.Wait()
		goOn <- true // one that began after they came
		synctest.Wait()
		if answered != 100 {
			t.Errorf("%d callers of 100 are answered", answered)
			close(goOn)
		}
	})
}

func TestBatchHeedsMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		executed := 0
		b := memo.NewBatch(func(_ context.Context, keys []int) (map[int]int, error) {
			executed += len(keys)
			return map[int]int{1: 1, 2: 2}, nil
		})
		b.Call(t.Context(), []int{1, 2})
		time.Sleep(10 * time.Second)
		b.With(memo.MaxAge(10*time.Second)).Call(t.Context(), []int{1})
		b.Call(memo.WithMaxAge(t.Context(), 5*time.Second), []int{1, 2})
		if executed != 4 {
			t.Errorf("%d keys were executed, want 4", executed)
		}
	})
}

func TestMaxAgeMustNotBeNegative(t *testing.T) {
	for name, do := range map[string]func(){
		"MaxAge": func() { memo.MaxAge(-1) }, "WithMaxAge": func() { memo.WithMaxAge(t.Context(), -1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s(-1) did not panic", name)
				}
			}()
			do()
		}()
	}
}
