package memo_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// house is two memoized functions, of which the outer calls the inner, each with
// a group of its own.
type house struct {
	inner, outer           *memo.Func[string, int]
	innerGroup, outerGroup *memo.Group
	value                  int
}

func newHouse(innerOpts, outerOpts memo.Options) *house {
	h := &house{innerGroup: memo.NewGroup("inner"), outerGroup: memo.NewGroup("outer")}
	h.inner = memo.New(func(ctx context.Context, k string) (int, error) {
		memo.AddTags(ctx, "inner:"+k)
		return h.value, nil
	}, h.innerGroup, innerOpts)
	h.outer = memo.New(func(ctx context.Context, k string) (int, error) {
		v, err := h.inner.Call(ctx, k)
		return 10 * v, err
	}, h.outerGroup, outerOpts)
	return h
}

func TestResultTakesOverTheTagsOfTheResultsItWasMadeFrom(t *testing.T) {
	for _, innerIsAHit := range []bool{false, true} {
		h := newHouse(nil, memo.Options{memo.Tags("outer")})
		if innerIsAHit {
			h.inner.Call(t.Context(), "k")
		}
		wantCall(t, h.outer, 0)
		e, err := h.outer.Peek(t.Context(), "k")
		slices.Sort(e.Tags)
		if err != nil || !slices.Equal(e.Tags, []string{"inner:k", "outer"}) {
			t.Errorf("inner a hit %v: Tags = %v, %v; want the inner's and its own", innerIsAHit, e.Tags, err)
		}
		h.value = 1
		wantCall(t, h.outer, 0)
		if err := h.innerGroup.InvalidateTags(t.Context(), "inner:k"); err != nil {
			t.Fatal(err)
		}
		wantCall(t, h.outer, 10)
	}
}

// The inner result is found by the quick path that looks neither at the clock
// nor at the context, unless somebody could be listening.
func TestHotInnerResultHandsItsTagsUpToo(t *testing.T) {
	h := newHouse(memo.Options{memo.TTL(time.Hour)}, nil)
	for range 10_000 { // the coarse clock runs
		h.inner.Call(t.Context(), "k")
	}
	wantCall(t, h.outer, 0)
	if e, _ := h.outer.Peek(t.Context(), "k"); !slices.Equal(e.Tags, []string{"inner:k"}) {
		t.Errorf("Tags = %v, want inner:k", e.Tags)
	}
}

func TestTagsComeFromJoinedAndStaleResultsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := memo.New(func(ctx context.Context, _ string) (int, error) {
			time.Sleep(time.Second)
			memo.AddTags(ctx, "late")
			return 1, nil
		}, memo.StaleWhileRevalidate(time.Hour))
		call := func(ctx context.Context, k string) (int, error) { return inner.Call(ctx, k) }
		joined, stale := memo.New(call), memo.New(call)
		wantTags := func(name string, f *memo.Func[string, int]) {
			if e, err := f.Peek(t.Context(), "k"); err != nil || !slices.Equal(e.Tags, []string{"late"}) {
				t.Errorf("%s: Tags = %v, %v; want late", name, e.Tags, err)
			}
		}
		go inner.Call(t.Context(), "k")
		synctest.Wait()
		wantCall(t, joined, 1)
		wantTags("joined", joined)
		time.Sleep(2 * time.Minute)
		wantCall(t, stale, 1)
		wantTags("stale", stale)
		time.Sleep(2 * time.Second) // for the refresh
	})
}

func TestTagsGoUpThroughSeveralLevels(t *testing.T) {
	g := memo.NewGroup("g")
	value := 0
	a := memo.New(func(ctx context.Context, _ string) (int, error) { return value, nil }, g, memo.Tags("bottom"))
	b := memo.New(func(ctx context.Context, k string) (int, error) { return a.Call(ctx, k) })
	bypassed := memo.New(func(ctx context.Context, k string) (int, error) { return b.Call(ctx, k) }, memo.Disabled(true))
	d := memo.New(func(ctx context.Context, k string) (int, error) { return bypassed.Call(ctx, k) })
	wantCall(t, d, 0)
	value = 1
	wantCall(t, d, 0)
	g.InvalidateTags(t.Context(), "bottom")
	wantCall(t, d, 1)
}

func TestInvalidatingTheInnerTagDuringTheOuterExecutionOvertakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(nil, nil)
		slow := memo.New(func(ctx context.Context, k string) (int, error) {
			v, err := h.inner.Call(ctx, k)
			time.Sleep(time.Second)
			return v, err
		})
		go slow.Call(t.Context(), "k")
		synctest.Wait() // it has read 0
		h.value = 1
		h.innerGroup.InvalidateTags(t.Context(), "inner:k")
		wantCall(t, slow, 1)
		time.Sleep(2 * time.Second)
		wantCall(t, slow, 1)
	})
}

// Whoever recovers from the inner panic, or looks without calling, makes a result
// of what the inner function did all the same.
func TestTagsComeFromPanicsAndFromPeekToo(t *testing.T) {
	g := memo.NewGroup("g")
	broken := true
	inner := memo.New(func(ctx context.Context, _ string) (string, error) {
		memo.AddTags(ctx, "t")
		if broken {
			panic("broken")
		}
		return "fine", nil
	}, g)
	recovering := memo.New(func(ctx context.Context, k string) (s string, err error) {
		defer func() {
			if recover() != nil {
				s = "unavailable"
			}
		}()
		return inner.Call(ctx, k)
	})
	peeking := memo.New(func(ctx context.Context, k string) (string, error) {
		e, err := inner.Peek(ctx, k)
		return e.Value, err
	})
	wantCall(t, recovering, "unavailable")
	broken = false
	wantCall(t, inner, "fine")
	wantCall(t, peeking, "fine")
	g.InvalidateTags(t.Context(), "t")
	wantCall(t, recovering, "fine")
	if e, err := peeking.Peek(t.Context(), "k"); err != memo.ErrMiss {
		t.Errorf("Peek = %+v, %v; want ErrMiss", e, err)
	}
}

func TestResultIsFreshNoLongerThanWhatItWasMadeFrom(t *testing.T) {
	const inner, outer = 10 * time.Second, time.Hour
	for _, c := range []struct {
		name string
		opts memo.Options
		want time.Duration // the outer result's life when the inner is 4 s old
	}{
		{"without", memo.Options{memo.TTL(outer)}, outer},
		{"with", memo.Options{memo.TTL(outer), memo.InheritTTL(true)}, inner - 4*time.Second},
		{"with, and then without", memo.Options{memo.TTL(outer), memo.InheritTTL(true), memo.InheritTTL(false)}, outer},
		{"with a shorter TTL of its own", memo.Options{memo.TTL(time.Second), memo.InheritTTL(true)}, time.Second},
		{"with a stale window", memo.Options{memo.TTL(outer), memo.InheritTTL(true), memo.StaleWhileRevalidate(outer)}, inner - 4*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(memo.Options{memo.TTL(inner)}, c.opts)
				h.inner.Call(t.Context(), "k")
				time.Sleep(4 * time.Second)
				wantCall(t, h.outer, 0)
				h.value = 1
				time.Sleep(c.want - 1)
				wantCall(t, h.outer, 0)
				time.Sleep(time.Nanosecond)
				if e, err := h.outer.Peek(t.Context(), "k"); err != memo.ErrMiss {
					t.Errorf("Peek = %+v, %v; want ErrMiss", e, err)
				}
			})
		})
	}
}

func TestDetachedOptsOutOfTakingOver(t *testing.T) {
	g := memo.NewGroup("g")
	value := 0
	inner := memo.New(func(ctx context.Context, _ string) (int, error) { return value, nil }, g, memo.Tags("t"), memo.TTL(time.Second))
	outer := memo.New(func(ctx context.Context, k string) (int, error) {
		ctx = memo.Detached(ctx)
		memo.NoStore(ctx)
		return inner.Call(ctx, k)
	}, memo.InheritTTL(true), memo.TTL(time.Hour))
	wantCall(t, outer, 0)
	value = 1
	g.InvalidateTags(t.Context(), "t")
	wantCall(t, outer, 0)
	if e, err := outer.Peek(t.Context(), "k"); err != nil || len(e.Tags) > 0 || e.FreshUntil.Sub(e.Created) != time.Hour {
		t.Errorf("Peek = %+v, %v; want no tags and an hour", e, err)
	}
}

func TestInnerHintsAreNotTheOuterResults(t *testing.T) {
	for _, opts := range []memo.Options{nil, {memo.Disabled(true)}} {
		inner := memo.New(func(ctx context.Context, _ string) (int, error) {
			memo.SetTTL(ctx, time.Second)
			memo.NoStore(ctx)
			return 1, nil
		}, opts)
		outer := memo.New(func(ctx context.Context, k string) (int, error) { return inner.Call(ctx, k) })
		wantCall(t, outer, 1)
		if e, err := outer.Peek(t.Context(), "k"); err != nil || e.FreshUntil.Sub(e.Created) != time.Minute {
			t.Errorf("Peek = %+v, %v; want an entry that is fresh for a minute", e, err)
		}
	}
}

func TestFnMayUseSeveralGoroutines(t *testing.T) {
	inner := memo.New(func(ctx context.Context, n int) (int, error) { return n, nil }, memo.Tags("t"))
	outer := memo.New(func(ctx context.Context, _ string) (int, error) {
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				inner.Call(ctx, n)
				memo.AddTags(ctx, "u")
				memo.SetTTL(ctx, time.Second)
			})
		}
		wg.Wait()
		return 1, nil
	})
	wantCall(t, outer, 1)
	if e, _ := outer.Peek(t.Context(), "k"); len(e.Tags) != 2 {
		t.Errorf("Tags = %v, want t and u", e.Tags)
	}
}

// An execution that asks for the same results over and over is not to collect
// their tags over and over.
func TestTagsAreCollectedOnce(t *testing.T) {
	inner := memo.New(func(ctx context.Context, n int) (int, error) {
		memo.AddTags(ctx, fmt.Sprint("n", n), "all")
		return n, nil
	})
	outer := memo.New(func(ctx context.Context, _ string) (int, error) {
		for i := range 1000 {
			if _, err := inner.Call(ctx, i%100); err != nil {
				return 0, err
			}
		}
		return 1, nil
	})
	wantCall(t, outer, 1)
	e, err := outer.Peek(t.Context(), "k")
	if err != nil || len(e.Tags) != 101 {
		t.Errorf("Peek = %d tags, %v; want 101", len(e.Tags), err)
	}
	if n := memo.TagsHeld(outer, "k"); n != 101 {
		t.Errorf("%d tags are held, want 101", n)
	}
}

// Two results whose common tag was invalidated between their executions, elsewhere:
// the old one comes back last. What is made of both is old, but records the epoch
// of the new one.
func TestResultMadeFromOldAndNewIsNotHeld(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("stored=%v", stored), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				ctx, here := t.Context(), memo.Store(faultstore.New(s))
				elsewhere := memo.NewGroup("torn", memo.Store(faultstore.New(s)))
				var version atomic.Int64
				read := func(context.Context, string) (int64, error) { return version.Load(), nil }
				tagged := memo.Options{memo.NewGroup("torn"), here, memo.Tags("t"), memo.TTL(time.Hour)}
				slow := memo.New(func(ctx context.Context, k string) (int64, error) {
					v, err := read(ctx, k)
					time.Sleep(3 * time.Second)
					return v, err
				}, tagged, memo.Name("slow"))
				quick := memo.New(read, tagged, memo.Name("quick"))
				both := func(ctx context.Context, k string) (int64, error) {
					var sum atomic.Int64
					var wg sync.WaitGroup
					wg.Go(func() { v, _ := slow.Call(ctx, k); sum.Add(v) })
					time.Sleep(2 * time.Second) // by when the epoch from before is not trusted any more
					v, _ := quick.Call(ctx, k)
					wg.Wait()
					return sum.Add(v), nil
				}
				opts := memo.Options{memo.TTL(time.Hour), memo.LocalTTL(time.Hour)}
				if stored {
					opts = append(opts, here, memo.Name("both"))
				}
				outer := memo.New(both, opts)
				time.AfterFunc(time.Second, func() {
					version.Store(10)
					if err := elsewhere.InvalidateTags(ctx, "t"); err != nil {
						t.Error(err)
					}
				})
				if got, err := outer.Call(ctx, "k"); got != 10 || err != nil {
					t.Errorf("got %v, %v, want 0 from before and 10 from after the invalidation", got, err)
				}
				if got, err := outer.Call(ctx, "k"); got != 20 || err != nil {
					t.Errorf("then got %v, %v, want 20", got, err)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
