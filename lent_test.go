package memo_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A pooled is a context that its owner uses again for somebody else, as gin does.
type pooled struct {
	context.Context
	user string
}

type userKey struct{}

func (p *pooled) Value(key any) any {
	if key == (userKey{}) {
		return p.user
	}
	return p.Context.Value(key)
}

func onlyUser(ctx context.Context) context.Context {
	return context.WithValue(context.Background(), userKey{}, ctx.Value(userKey{}))
}

// Background refreshes read another request's values, and raced with it.
func TestExecutionSeesTheValuesOfItsCallsContext(t *testing.T) {
	for _, l := range leavings {
		t.Run(l.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resume, prime := make(chan bool), l.old
				var seen []any
				observer := memo.Observer(seeing(func(ctx context.Context, e memo.Event) {
					if e.Kind == memo.EventExecution && !prime {
						seen = append(seen, ctx.Value(userKey{}))
					}
				}))
				f := memo.New(func(ctx context.Context, a string) (int, error) {
					if !prime {
						<-resume
						seen = append(seen, ctx.Value(userKey{}))
					}
					return 0, nil
				}, append(l.opts(), memo.ContextFrom(onlyUser), memo.Observe(observer))...)
				if l.old {
					f.Call(t.Context(), "a")
					prime = false
					time.Sleep(2 * time.Minute)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				p := &pooled{ctx, "alice"}
				f.Call(p, "a")
				p.Context, p.user = nil, "mallory" // beside fn: the race detector looks on
				close(resume)
				synctest.Wait()
				if !slices.Equal(seen, []any{"alice", "alice"}) {
					t.Errorf("fn and the observer have seen %v", seen)
				}
			})
		})
	}
}

type seeing func(context.Context, memo.Event)

func (s seeing) Observe(ctx context.Context, e memo.Event) { s(ctx, e) }

func TestBatchSeesTheValuesOfItsCallsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan bool)
		var seen any
		b := memo.NewBatch(func(ctx context.Context, keys []int) (map[int]int, error) {
			<-resume
			seen = ctx.Value(userKey{})
			return nil, nil
		}, memo.ContextFrom(onlyUser))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := &pooled{ctx, "alice"}
		b.Call(p, []int{1, 2})
		p.Context, p.user = nil, "mallory"
		close(resume)
		synctest.Wait()
		if seen != "alice" {
			t.Errorf("fn has seen %v", seen)
		}
	})
}

// An operation of a store that nobody waits for goes on with the context, too.
func TestStoreSeesTheValuesOfItsCallsContext(t *testing.T) {
	ops := map[string]func(f *memo.Func[string, int], ctx context.Context){
		"Call":           func(f *memo.Func[string, int], ctx context.Context) { f.Call(ctx, "a") },
		"Peek":           func(f *memo.Func[string, int], ctx context.Context) { f.Peek(ctx, "a") },
		"Set":            func(f *memo.Func[string, int], ctx context.Context) { f.Set(ctx, "a", 1) },
		"Refresh":        func(f *memo.Func[string, int], ctx context.Context) { f.Refresh(ctx, "a") },
		"Invalidate":     func(f *memo.Func[string, int], ctx context.Context) { f.Invalidate(ctx, "a") },
		"Clear":          func(f *memo.Func[string, int], ctx context.Context) { f.Clear(ctx) },
		"InvalidateTags": func(_ *memo.Func[string, int], ctx context.Context) { group(ctx).InvalidateTags(ctx, "t") },
		"Group.Clear":    func(_ *memo.Func[string, int], ctx context.Context) { group(ctx).Clear(ctx) },
	}
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resume := make(chan bool)
				var over atomic.Bool // the bubble is, but the group may still be found
				defer over.Store(true)
				var others atomic.Int64
				s := faultstore.New(memstore.New(nil), func(ctx context.Context, _ faultstore.Call) error {
					if !over.Load() {
						<-resume
					}
					if got := ctx.Value(userKey{}); got == "mallory" {
						others.Add(1)
					}
					return errors.New("late")
				})
				g := memo.NewGroup("g", memo.Store(s), memo.ContextFrom(onlyUser), memo.Logger(slog.New(slog.DiscardHandler)))
				f := memo.New(func(context.Context, string) (int, error) { return 0, nil }, g, memo.Name("f"))
				p := &pooled{context.WithValue(t.Context(), groupKey{}, g), "alice"}
				op(f, p)
				p.Context, p.user = nil, "mallory"
				close(resume)
				synctest.Wait()
				if n := others.Load(); n > 0 {
					t.Errorf("%d operations have seen somebody else", n)
				}
			})
		})
	}
}

type groupKey struct{}

func group(ctx context.Context) *memo.Group { return ctx.Value(groupKey{}).(*memo.Group) }

// What ContextFrom leaves out does not hide which execution a call is made by.
func TestContextFromKeepsTheExecutionAround(t *testing.T) {
	none := memo.ContextFrom(func(context.Context) context.Context { return nil })
	g := memo.NewGroup("g", none)
	reads := 0
	inner := memo.New(func(ctx context.Context, a string) (int, error) {
		reads++
		memo.AddTags(ctx, "t")
		return reads, nil
	}, g)
	outer := memo.New(func(ctx context.Context, a string) (int, error) { return inner.Call(ctx, a) }, g)
	outer.Call(t.Context(), "a")
	g.InvalidateTags(t.Context(), "t")
	if got, err := outer.Call(t.Context(), "a"); got != 2 || err != nil {
		t.Errorf("got %v, %v, want 2: the inner result's tag went up", got, err)
	}
	var self *memo.Func[string, int]
	self = memo.New(func(ctx context.Context, a string) (int, error) { return self.Call(ctx, a) }, none)
	if _, err := self.Call(t.Context(), "a"); !errors.Is(err, memo.ErrRecursive) {
		t.Errorf("got %v, want ErrRecursive", err)
	}
}

func TestContextFromMayBeGivenAtEveryLevel(t *testing.T) {
	defer memo.SetDefault()
	name := func(level string) memo.CallOption {
		return memo.ContextFrom(func(context.Context) context.Context {
			return context.WithValue(context.Background(), userKey{}, level)
		})
	}
	memo.SetDefault(name("default"), memo.TTL(0))
	read := func(ctx context.Context, _ string) (any, error) { return ctx.Value(userKey{}), nil }
	g := memo.NewGroup("g", name("group"))
	ctx := context.WithValue(t.Context(), userKey{}, "caller")
	for want, f := range map[any]*memo.Func[string, any]{
		"default":  memo.New(read),
		"group":    memo.New(read, g),
		"function": memo.New(read, g, name("function")),
		"call":     memo.New(read, g, name("function")).With(name("call")),
		"caller":   memo.New(read, g, memo.ContextFrom(nil)),
	} {
		if got, err := f.Call(ctx, "a"); got != want || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

// A hit has nothing to leave behind.
func TestContextFromIsNotAskedByHits(t *testing.T) {
	asked := 0
	f := memo.New(func(context.Context, string) (int, error) { return 0, nil },
		memo.ContextFrom(func(ctx context.Context) context.Context { asked++; return ctx }), memo.Clone(func(n int) int { return n }))
	for range 3 {
		f.Call(t.Context(), "a")
	}
	if asked != 1 {
		t.Errorf("asked %d times in one miss and two hits", asked)
	}
}
