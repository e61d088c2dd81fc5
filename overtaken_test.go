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

// Nobody tells a process without a store what others invalidate while it executes: what it has
// made is a second old when fn began a second ago, not when fn has returned.
func TestResultThatWasNotStoredIsTrustedFromTheBeginOfItsExecution(t *testing.T) {
	for name, invalidate := range map[string]func(context.Context, *memo.Func[string, int64]) error{
		"Invalidate": func(ctx context.Context, f *memo.Func[string, int64]) error { return f.Invalidate(ctx, "k") },
		"Clear":      func(ctx context.Context, f *memo.Func[string, int64]) error { return f.Clear(ctx) },
	} {
		for _, knows := range []bool{false, true} { // the epochs, and only gets no lease
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := memstore.New(nil)
					var source atomic.Int64
					slowly := func(context.Context, string) (int64, error) {
						v := source.Load()
						time.Sleep(3 * time.Second)
						return v, nil
					}
					lossy := faultstore.New(s)
					here := memo.New(slowly, memo.Store(lossy.Bare()), memo.Name("f"), quietly)
					there := memo.New(slowly, memo.Store(faultstore.New(s).Bare()), memo.Name("f"))
					fails := faultstore.All
					if knows {
						here.Call(t.Context(), "warm")
						fails = faultstore.Add
					}
					heal := lossy.Before(fails, faultstore.Fail(errors.New("down")))
					go here.Call(t.Context(), "k")
					time.Sleep(time.Second)
					source.Store(1)
					if err := invalidate(t.Context(), there); err != nil {
						t.Fatal(err)
					}
					heal()
					time.Sleep(2*time.Second + time.Millisecond)
					if got, err := here.Call(t.Context(), "k"); got != 1 || err != nil {
						t.Errorf("two seconds after it had been invalidated, a call got %d, %v", got, err)
					}
				})
			})
		}
	}
}

// What an execution is made of may have been invalidated long before the execution is over, and
// before a caller joins it.
func TestLateJoinerTakesNothingThatIsMadeOfWhatWasInvalidatedElsewhere(t *testing.T) {
	for name, change := range map[string]func(context.Context, *memo.Group) error{
		"InvalidateTags": func(ctx context.Context, g *memo.Group) error { return g.InvalidateTags(ctx, "t") },
		"ExpireTags":     func(ctx context.Context, g *memo.Group) error { return g.ExpireTags(ctx, "t") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				var source atomic.Int64
				var slow atomic.Bool
				slow.Store(true)
				process := func() (*memo.Func[string, int64], *memo.Group) {
					g := memo.NewGroup("g", memo.Store(faultstore.New(s).Bare()), memo.LocalTTL(time.Second))
					inner := memo.New(func(ctx context.Context, _ string) (int64, error) {
						memo.AddTags(ctx, "t")
						return source.Load(), nil
					}, g, memo.Name("inner"))
					return memo.New(func(ctx context.Context, k string) (int64, error) {
						v, err := inner.Call(ctx, k)
						if slow.Load() {
							time.Sleep(3 * time.Second)
						}
						return v, err
					}, g, memo.Name("outer")), g
				}
				here, _ := process()
				_, there := process()
				go here.Call(t.Context(), "k")
				time.Sleep(500 * time.Millisecond)
				source.Store(1)
				if err := change(t.Context(), there); err != nil {
					t.Fatal(err)
				}
				time.Sleep(1500 * time.Millisecond)
				slow.Store(false)
				if got, err := here.Call(t.Context(), "k"); got != 1 || err != nil {
					t.Errorf("one and a half seconds after it had been invalidated, a call got %d, %v", got, err)
				}
			})
		})
	}
}
