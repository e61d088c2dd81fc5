package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
)

// An invalidation is one of the ways to make a result invalid: the promise is the
// same for all of them.
type invalidation struct {
	name string
	do   func(context.Context, *memo.Func[string, int], *memo.Group) error
}

var invalidations = []invalidation{
	{"Invalidate", func(ctx context.Context, f *memo.Func[string, int], _ *memo.Group) error {
		return f.Invalidate(ctx, "k")
	}},
	{"Clear", func(ctx context.Context, f *memo.Func[string, int], _ *memo.Group) error { return f.Clear(ctx) }},
	{"Group.Clear", func(ctx context.Context, _ *memo.Func[string, int], g *memo.Group) error { return g.Clear(ctx) }},
	{"static tag", func(ctx context.Context, _ *memo.Func[string, int], g *memo.Group) error {
		return g.InvalidateTags(ctx, "static")
	}},
	{"added tag", func(ctx context.Context, _ *memo.Func[string, int], g *memo.Group) error {
		return g.InvalidateTags(ctx, "other", "added")
	}},
	{"tag of the containing group", func(ctx context.Context, _ *memo.Func[string, int], g *memo.Group) error {
		return around.InvalidateTags(ctx, "static")
	}},
	{"Clear of the containing group", func(ctx context.Context, _ *memo.Func[string, int], g *memo.Group) error {
		return around.Clear(ctx)
	}},
}

var around = memo.NewGroup("around")

// source is a value that changes, read slowly by a memoized function.
type source struct {
	value atomic.Int64
	delay time.Duration
}

func (s *source) read(ctx context.Context, _ string) (int, error) {
	v := s.value.Load()
	memo.AddTags(ctx, "added")
	time.Sleep(s.delay)
	return int(v), nil
}

func forEachInvalidation(t *testing.T, delay time.Duration, opts memo.Options,
	test func(t *testing.T, s *source, f *memo.Func[string, int], invalidate func())) {
	for _, inv := range invalidations {
		t.Run(inv.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{delay: delay}
				g := memo.NewGroup("group", around)
				f := memo.New(s.read, g, memo.Tags("static"), opts)
				test(t, s, f, func() {
					if err := inv.do(t.Context(), f, g); err != nil {
						t.Errorf("invalidating: %v", err)
					}
				})
			})
		})
	}
}

func TestInvalidationDropsWhatIsHeld(t *testing.T) {
	forEachInvalidation(t, 0, nil, func(t *testing.T, s *source, f *memo.Func[string, int], invalidate func()) {
		wantCall(t, f, 0)
		s.value.Store(1)
		wantCall(t, f, 0) // still remembered, or the test shows nothing
		invalidate()
		if _, err := f.Peek(t.Context(), "k"); err != memo.ErrMiss {
			t.Errorf("Peek after the invalidation: %v, want ErrMiss", err)
		}
		wantCall(t, f, 1)
	})
}

func TestInvalidationDuringAnExecution(t *testing.T) {
	forEachInvalidation(t, time.Second, nil, func(t *testing.T, s *source, f *memo.Func[string, int], invalidate func()) {
		waiter := make(chan int)
		go func() {
			v, _ := f.Call(t.Context(), "k")
			waiter <- v
		}()
		synctest.Wait() // fn has read 0
		s.value.Store(1)
		invalidate()
		wantCall(t, f, 1)
		if got := <-waiter; got != 0 {
			t.Errorf("the caller from before got %d, want the result of the execution that it waited for", got)
		}
		time.Sleep(time.Minute / 2)
		wantCall(t, f, 1)
	})
}

// A call that begins after the invalidation while the overtaken execution is
// still under way, and alone: it must not join it.
func TestOvertakenExecutionIsKeptNowhere(t *testing.T) {
	forEachInvalidation(t, time.Second, nil, func(t *testing.T, s *source, f *memo.Func[string, int], invalidate func()) {
		go f.Call(t.Context(), "k")
		synctest.Wait()
		s.value.Store(1)
		invalidate()
		time.Sleep(2 * time.Second) // it has landed
		if e, err := f.Peek(t.Context(), "k"); err != memo.ErrMiss {
			t.Errorf("Peek = %+v, %v; want ErrMiss", e, err)
		}
		if n := f.Stats().Entries; n != 0 {
			t.Errorf("%d entries are held, want none", n)
		}
		wantCall(t, f, 1)
	})
}

func TestInvalidationDuringABackgroundRefresh(t *testing.T) {
	opts := memo.Options{memo.TTL(time.Minute), memo.StaleWhileRevalidate(time.Hour)}
	forEachInvalidation(t, time.Second, opts, func(t *testing.T, s *source, f *memo.Func[string, int], invalidate func()) {
		wantCall(t, f, 0)
		time.Sleep(2 * time.Minute)
		s.value.Store(1)
		wantCall(t, f, 0) // stale; the refresh reads 1
		synctest.Wait()
		s.value.Store(2)
		invalidate()
		wantCall(t, f, 2)
		time.Sleep(10 * time.Second)
		wantCall(t, f, 2)
	})
}

// The tags that fn adds at its end are unknown while it runs, so a later call can
// only find out by waiting that the result is not for it.
func TestCallAfterATagWasInvalidatedDoesNotTakeAResultThatGetsTheTagLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var value atomic.Int32
		g := memo.NewGroup("group")
		f := memo.New(func(ctx context.Context, _ string) (int32, error) {
			v := value.Load()
			time.Sleep(time.Second)
			memo.AddTags(ctx, "late")
			return v, nil
		}, g)
		go f.Call(t.Context(), "k")
		synctest.Wait()
		value.Store(1)
		g.InvalidateTags(t.Context(), "late")
		if got, err := f.Call(t.Context(), "k"); got != 1 || err != nil {
			t.Errorf("Call = %d, %v; want 1, nil", got, err)
		}
		if got, err := f.Call(t.Context(), "k"); got != 1 || err != nil {
			t.Errorf("Call = %d, %v; want 1, nil", got, err)
		}
		if got := f.Stats().Executions; got != 2 {
			t.Errorf("%d executions, want 2", got)
		}
	})
}

func TestSetOvertakesAnExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Second}
		f := memo.New(s.read)
		go f.Call(t.Context(), "k")
		synctest.Wait()
		if err := f.Set(t.Context(), "k", 42); err != nil {
			t.Fatal(err)
		}
		wantCall(t, f, 42)
		time.Sleep(2 * time.Second)
		wantCall(t, f, 42)
	})
}

func TestInvalidationLeavesOthersAlone(t *testing.T) {
	ctx := t.Context()
	runs := map[string]int{}
	count := func(name string) func(context.Context, int) (string, error) {
		return func(ctx context.Context, n int) (string, error) {
			runs[fmt.Sprint(name, n)]++
			memo.AddTags(ctx, fmt.Sprint("n", n))
			return name, nil
		}
	}
	g, h := memo.NewGroup("g"), memo.NewGroup("h")
	f1, f2, f3 := memo.New(count("g1 "), g), memo.New(count("g2 "), g), memo.New(count("h "), h)
	callAll := func() {
		for n := range 2 {
			f1.Call(ctx, n)
			f2.Call(ctx, n)
			f3.Call(ctx, n)
		}
	}
	steps := []struct {
		name  string
		do    func() error
		rerun []string
	}{
		{"nothing", func() error { return nil }, []string{"g1 0", "g1 1", "g2 0", "g2 1", "h 0", "h 1"}},
		{"Invalidate", func() error { return f1.Invalidate(ctx, 1) }, []string{"g1 1"}},
		{"Invalidate without arguments", func() error { return f1.Invalidate(ctx) }, nil},
		{"Invalidate two", func() error { return f1.Invalidate(ctx, 0, 1) }, []string{"g1 0", "g1 1"}},
		{"Clear", func() error { return f2.Clear(ctx) }, []string{"g2 0", "g2 1"}},
		{"tag", func() error { return g.InvalidateTags(ctx, "n0") }, []string{"g1 0", "g2 0"}},
		{"no tags", func() error { return g.InvalidateTags(ctx) }, nil},
		{"unknown tag", func() error { return g.InvalidateTags(ctx, "n7") }, nil},
		{"Group.Clear", func() error { return h.Clear(ctx) }, []string{"h 0", "h 1"}},
	}
	for _, s := range steps {
		clear(runs)
		if err := s.do(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		callAll()
		if len(runs) != len(s.rerun) {
			t.Errorf("%s: ran %v, want %v", s.name, runs, s.rerun)
		}
		for _, name := range s.rerun {
			if runs[name] != 1 {
				t.Errorf("%s: %s ran %d times, want once", s.name, name, runs[name])
			}
		}
	}
}

// A namespace does not remember an unbounded number of tags. What it forgets it
// takes for invalidated.
func TestForgottenTagsCountAsInvalidated(t *testing.T) {
	g := memo.NewGroup("g")
	ctx := t.Context()
	var value int
	f := memo.New(func(context.Context, string) (int, error) { return value, nil }, g, memo.Tags("mine"), memo.TTL(memo.Forever))
	untagged := memo.New(func(context.Context, string) (int, error) { return value, nil }, g)
	wantCall(t, f, 0)
	wantCall(t, untagged, 0)
	value = 1
	g.InvalidateTags(ctx, "mine")
	for i := range 1<<16 + 10 {
		g.InvalidateTags(ctx, fmt.Sprint("other", i))
	}
	wantCall(t, f, 1)
	wantCall(t, untagged, 0)
}

// G1 in general: whatever runs at once, no call that begins after an invalidation
// returns what was read before it.
func TestNoCallReturnsWhatWasReadBeforeAnInvalidationThatItFollows(t *testing.T) {
	for _, inv := range invalidations {
		t.Run(inv.name, func(t *testing.T) {
			var version atomic.Int64
			read := func(ctx context.Context, _ string) (int, error) {
				v := version.Load()
				if v%3 == 0 {
					memo.AddTags(ctx, "added")
				}
				spin(int(v % 50))
				if v%3 != 0 {
					memo.AddTags(ctx, "added")
				}
				if v%7 == 0 {
					return 0, errors.New("sometimes it fails")
				}
				return int(v), nil
			}
			g := memo.NewGroup("group", around)
			f := memo.New(read, g, memo.Tags("static"), memo.TTL(200*time.Microsecond),
				memo.StaleWhileRevalidate(time.Second), memo.StaleIfError(time.Second), memo.EarlyRefresh(1),
				memo.Logger(slog.New(slog.DiscardHandler)))
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				defer stop()
				for i := 0; i < 1000 || i < 1_000_000 && f.Stats().Executions < 100; i++ {
					version.Add(1)
					if err := inv.do(t.Context(), f, g); err != nil {
						t.Errorf("invalidating: %v", err)
					}
					floor.Store(version.Load())
					spin(rand.IntN(200))
				}
			})
			floor.Store(0)
			for range 4 {
				wg.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						least := floor.Load()
						var got int
						var err error
						if i%17 == 0 {
							got, err = f.Refresh(t.Context(), "k")
						} else {
							got, err = f.Call(t.Context(), "k")
						}
						if err == nil && int64(got) < least {
							t.Errorf("a call that began when version %d was invalidated returned version %d", least-1, got)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// floor is the oldest version that a call which begins now may return.
var floor atomic.Int64

func spin(n int) {
	for range n * 10 {
		spun.Add(1)
	}
}

var spun atomic.Int64

func wantCall[R comparable](t *testing.T, f *memo.Func[string, R], want R) {
	t.Helper()
	if got, err := f.Call(t.Context(), "k"); got != want || err != nil {
		t.Errorf("Call = %v, %v; want %v, nil", got, err, want)
	}
}
