package memo_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/store/memstore"
)

var errFn = errors.New("fn failed")

// promptly returns what call returns, and fails the test if that waits for anything
// that ends with time. It runs in a bubble.
func promptly(t *testing.T, call func() error) error {
	t.Helper()
	began := time.Now()
	err := call()
	if took := time.Since(began); took > 0 {
		t.Errorf("the call took %v, want it to return at once", took)
	}
	return err
}

// Functions that get no context cannot hand it on: they waited for the execution that
// waited for them, until its LoadTimeout.
func TestCallbackThatWaitsForItsOwnExecutionGetsErrRecursive(t *testing.T) {
	type fns struct {
		f, g *memo.Func[int, int]
		b    *memo.Batch[int, int]
	}
	background := func() context.Context { return context.Background() }
	ways := map[string]func(*fns) error{
		"the same call": func(f *fns) error { _, err := f.f.Call(background(), 1); return err },
		"Refresh":       func(f *fns) error { _, err := f.f.Refresh(background(), 1); return err },
		"by way of another function": func(f *fns) error {
			_, err := f.g.Call(background(), 1)
			return err
		},
		"by way of a bypassed one": func(f *fns) error {
			_, err := f.g.With(memo.Disabled(true)).Call(background(), 1)
			return err
		},
		"by way of a batch": func(f *fns) error { _, err := f.b.Call(background(), []int{1, 2}); return err },
		"by another policy": func(f *fns) error {
			_, err := f.f.With(memo.TTL(time.Hour), memo.ContextFrom(func(context.Context) context.Context { return nil })).Call(background(), 1)
			return err
		},
	}
	callbacks := map[string]struct {
		fails  error
		option func(func()) memo.Option
	}{
		"CacheIf": {nil, func(call func()) memo.Option {
			return memo.CacheIf(func(int, error) bool { call(); return true })
		}},
		"CacheIf of an error": {errFn, func(call func()) memo.Option {
			return memo.CacheIf(func(int, error) bool { call(); return false })
		}},
		"CacheErrors": {errFn, func(call func()) memo.Option {
			return memo.CacheErrors(time.Minute, func(error) bool { call(); return true })
		}},
	}
	for name, cb := range callbacks {
		for way, call := range ways {
			for _, shared := range []bool{false, true} {
				t.Run(name+"/"+way, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var f fns
						var got error
						opts := []memo.Option{cb.option(func() { got = promptly(t, func() error { return call(&f) }) })}
						if shared {
							opts = append(opts, memo.Store(memstore.New(nil)), memo.Name("f"))
						}
						f.f = memo.New(func(context.Context, int) (int, error) { return 1, cb.fails }, opts...)
						f.g = memo.New(func(ctx context.Context, a int) (int, error) { return f.f.Call(ctx, a) })
						f.b = memo.NewBatch(func(ctx context.Context, keys []int) (map[int]int, error) {
							_, err := f.f.Call(ctx, 1)
							return nil, err
						})
						if _, err := f.f.Call(t.Context(), 1); err != cb.fails {
							t.Errorf("Call = %v, want %v: fn has returned", err, cb.fails)
						}
						if !errors.Is(got, memo.ErrRecursive) {
							t.Errorf("the callback got %v, want ErrRecursive", got)
						}
					})
				})
			}
		}
	}
}

// What a callback may call, it can, and gets no one else's executions for its own.
func TestCallbackCallsWhatDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *memo.Func[int, int]
		var inner error
		f = memo.New(func(_ context.Context, a int) (int, error) {
			time.Sleep(time.Second)
			return a, nil
		}, memo.CacheIf(func(r int, _ error) bool {
			if r > 0 {
				_, inner = f.Call(context.Background(), r-1)
			}
			time.Sleep(time.Second)
			return true
		}))
		go f.Call(t.Context(), 3)
		time.Sleep(7500 * time.Millisecond) // the CacheIf of 3 is under way
		synctest.Wait()
		if r, err := f.Call(t.Context(), 3); r != 3 || err != nil || inner != nil {
			t.Errorf("a call of another goroutine got %v, %v, and the callback's %v; want no error", r, err, inner)
		}
		if n := f.Stats().Executions; n != 4 {
			t.Errorf("%d executions, want 4", n)
		}
	})
}

func TestTagsGoToTheExecutionWhoseContextACallbackUses(t *testing.T) {
	group := memo.NewGroup("callback-tags")
	tagged := memo.New(func(context.Context, int) (int, error) { return 1, nil }, group, memo.Tags("inner"))
	outer := memo.New(func(ctx context.Context, a int) (int, error) {
		f := memo.New(func(context.Context, int) (int, error) { return 1, nil },
			memo.CacheIf(func(int, error) bool { tagged.Call(ctx, 1); return true }))
		return f.Call(ctx, a)
	}, group)
	outer.Call(t.Context(), 1)
	if e, err := outer.Peek(t.Context(), 1); err != nil || len(e.Tags) != 1 {
		t.Errorf("tags %q, %v; want that of the call that was made with fn's context", e.Tags, err)
	}
}

// A Clone that called for the result it copies ended the process: its stack overflowed.
func TestCloneThatCallsForItsOwnResultGetsErrRecursive(t *testing.T) {
	other := map[*memo.Func[int, int]]*memo.Func[int, int]{}
	ways := map[string]func(*memo.Func[int, int]) error{
		"Call": func(f *memo.Func[int, int]) error { _, err := f.Call(context.Background(), 1); return err },
		"Peek": func(f *memo.Func[int, int]) error { _, err := f.Peek(context.Background(), 1); return err },
		"Set":  func(f *memo.Func[int, int]) error { return f.Set(context.Background(), 1, 1) },
		"by way of another": func(f *memo.Func[int, int]) error {
			_, err := other[f].Call(context.Background(), 1)
			return err
		},
	}
	for name, call := range ways {
		for _, opts := range []memo.Options{{}, {memo.TTL(0)}, {memo.NoLocal()}} {
			t.Run(name, func(t *testing.T) {
				var f *memo.Func[int, int]
				var inner error
				f = memo.New(func(context.Context, int) (int, error) { return 1, nil }, opts, memo.Clone(func(r int) int {
					if err := call(f); err != nil && inner == nil {
						inner = err
					}
					return r
				}))
				other[f] = memo.New(f.Call, memo.TTL(0))
				for range 2 { // an execution, and a hit
					inner = nil
					f.Call(t.Context(), 1)
					if !errors.Is(inner, memo.ErrRecursive) && !(name == "Peek" && errors.Is(inner, memo.ErrMiss)) {
						t.Errorf("Clone got %v, want ErrRecursive", inner)
					}
				}
			})
		}
	}
}

func TestCloneMayCallForOtherResults(t *testing.T) {
	var f *memo.Func[int, int]
	f = memo.New(func(_ context.Context, a int) (int, error) { return a, nil }, memo.Clone(func(r int) int {
		if r == 0 {
			return 0
		}
		below, err := f.Call(context.Background(), r-1)
		if err != nil {
			t.Errorf("the result of %d: %v", r-1, err)
		}
		return below + 1
	}))
	for range 2 {
		if r, err := f.Call(t.Context(), 100); r != 100 || err != nil {
			t.Errorf("got %d, %v", r, err)
		}
	}
}

// A Clone that waits for the execution that asked for the copy.
func TestCloneThatWaitsForTheExecutionAroundItGetsErrRecursive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outer *memo.Func[int, int]
		var got error
		f := memo.New(func(context.Context, int) (int, error) { return 1, nil }, memo.Clone(func(r int) int {
			got = promptly(t, func() error { _, err := outer.Call(context.Background(), 1); return err })
			return r
		}))
		outer = memo.New(func(ctx context.Context, a int) (int, error) { return f.Call(ctx, a) })
		outer.Call(t.Context(), 1)
		if !errors.Is(got, memo.ErrRecursive) {
			t.Errorf("got %v, want ErrRecursive", got)
		}
	})
}
