package memo

import (
	"context"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
)

// busy makes calls until the coarse clock runs, and on until stop is called.
func busy(t *testing.T) (stop func()) {
	t.Helper()
	f := Wrap(func(context.Context, int) (int, error) { return 1, nil }, TTL(time.Hour))
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		once := sync.OnceFunc(func() { close(running) })
		for ctx.Err() == nil {
			f(ctx, 1)
			if clock.Published.Load() != clock.Stopped {
				once()
			}
		}
	})
	<-running
	return func() {
		cancel()
		wg.Wait()
	}
}

func TestCoarseClockRunsUnderLoadAndEndsByItself(t *testing.T) {
	before := runtime.NumGoroutine()
	stop := busy(t)
	if lag := clock.Now() - clock.Coarse(); lag < 0 || lag > int64(10*time.Second) {
		t.Errorf("the coarse time is %v behind", time.Duration(lag))
	}
	stop()
	for deadline := time.Now().Add(10 * time.Second); clock.Published.Load() != clock.Stopped || runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the coarse clock's goroutine still runs after 10s without a call")
		}
	}
}

// awaitIdle waits for the coarse clock of earlier tests to end, and until their last
// look-up is too long ago for another one to start it.
func awaitIdle() {
	for clock.Published.Load() != clock.Stopped || clock.Now()-clock.LastPrecise.Load() < 2*int64(clock.Demand) {
		runtime.Gosched()
	}
}

// The goroutine can be held up by a busy machine, or with the whole process by
// SIGSTOP: results once lived for seconds past their TTL then.
func TestHitsFindOutThatTheCoarseTimeIsLate(t *testing.T) {
	awaitIdle()
	if !clock.Published.CompareAndSwap(clock.Stopped, (clock.Now()-int64(time.Hour))&^1) {
		t.Fatal("the coarse clock runs, and nobody makes calls")
	}
	defer clock.Published.Store(clock.Stopped) // as its goroutine would, if there were one
	runs := 0
	f := New(func(context.Context, int) (int, error) { runs++; return runs, nil }, TTL(1))
	const most = 2 + clock.HitsPerLook*entry.Stripes
	for range most {
		f.Call(t.Context(), 1)
	}
	if runs < 2 {
		t.Errorf("%d calls were answered with a result that had expired", most-1)
	}
}

func TestOccasionalCallsDoNotStartTheCoarseClock(t *testing.T) {
	awaitIdle()
	f := Wrap(func(context.Context, int) (int, error) { return 1, nil })
	for range 3 {
		f(t.Context(), 1)
		for began := clock.Now(); clock.Now() < began+2*int64(clock.Demand); {
			runtime.Gosched()
		}
	}
	if clock.Published.Load() != clock.Stopped {
		t.Error("a call every 2ms started the coarse clock")
	}
}

// In one order of the tests this came before the one above, which then failed.
func TestBubbleLeavesNoTimeThatIsYetToCome(t *testing.T) {
	awaitIdle()
	f := Wrap(func(context.Context, int) (int, error) { return 1, nil })
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * 365 * 24 * time.Hour)
		f(t.Context(), 1)
		f(t.Context(), 1)
	})
	if last := clock.LastPrecise.Load(); last > clock.Now() {
		t.Errorf("a look-up counts as made in %v", time.Duration(last-clock.Now()))
	}
}

func TestFakedTimeIsExactWhileTheCoarseClockRuns(t *testing.T) {
	defer busy(t)()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		f := New(func(context.Context, int) (int, error) { runs++; return runs, nil }, TTL(time.Hour))
		for want := 1; want <= 5; want++ {
			for range 100 {
				if got, err := f.Call(t.Context(), 1); got != want || err != nil {
					t.Fatalf("Call = %d, %v; want %d, nil", got, err, want)
				}
			}
			time.Sleep(time.Hour - 1)
			if got, _ := f.Call(t.Context(), 1); got != want {
				t.Fatalf("before its TTL the result is %d, want %d", got, want)
			}
			time.Sleep(time.Nanosecond)
		}
	})
}

func TestBubbleThatSleepsToTheFutureStartsNoGoroutine(t *testing.T) {
	awaitIdle()
	synctest.Test(t, func(t *testing.T) {
		f := New(func(context.Context, int) (int, error) { return 1, nil }, TTL(Forever))
		f.Call(t.Context(), 1)
		time.Sleep(100 * 365 * 24 * time.Hour)
		for range 100 {
			f.Call(t.Context(), 1)
		}
		if clock.Published.Load() != clock.Stopped {
			t.Error("calls in the bubble started the coarse clock, which goes by the bubble's time")
		}
	})
}

// (While calls outside keep the coarse clock running, a bubble takes their fresh
// results for fresh: nothing as cheap as a hit can tell that it is in a bubble.)
func TestResultFromOutsideOfABubbleIsNotUsedInside(t *testing.T) {
	runs := 0
	f := New(func(context.Context, int) (int, error) { runs++; return runs, nil })
	f.Call(t.Context(), 1)
	awaitIdle()
	synctest.Test(t, func(t *testing.T) {
		if got, _ := f.Call(t.Context(), 1); got != 2 {
			t.Errorf("inside Call = %d, want 2: the result's time of storing has not come yet", got)
		}
	})
	if got, _ := f.Call(t.Context(), 1); got != 3 {
		t.Errorf("outside Call = %d, want 3: the bubble's result is 26 years old", got)
	}
}

// Nothing is put in front that has left the tier, and a result whose hot time had
// ended before it began was taken for such a one: every hit took the long way.
func TestResultWithoutAHotTimeIsInUse(t *testing.T) {
	f := New(func(context.Context, string) (int, error) { return 1, nil }, EarlyRefresh(1e15))
	f.Call(t.Context(), "k")
	if e := f.core.Held("k"); e == nil || e.Retired() {
		t.Errorf("held is %v, want a result in use", e)
	}
}

// The coarse time may lag by clockSlack and still never answers for an instant
// at which the result is not fresh, or may want to be refreshed early.
func TestHotTimeLeavesRoomForTheCoarseClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		created := rapid.Int64Range(-1<<60, 1<<60).Draw(t, "created")
		life := fresh.Lifetime{
			TTL:     time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "ttl")),
			Jitter:  rapid.Float64Range(0, 1).Draw(t, "jitter"),
			Stale:   time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "stale")),
			Inherit: rapid.OneOf(rapid.Just(clock.Forever), rapid.Int64Range(-1<<60, 1<<60)).Draw(t, "inherit"),
		}
		w := life.Window(created, rapid.Int64Range(0, int64(time.Hour)).Draw(t, "cost"), rapid.Float64Range(0, 1).Draw(t, "draw"))
		beta := rapid.Float64Range(0, 100).Draw(t, "beta")
		hot := w.CoarseUntil(beta)
		if w.Fresh > w.End && !w.Empty() {
			t.Fatalf("window %+v ends before its freshness does", w)
		}
		if life.TTL == 0 && !w.Empty() {
			t.Fatalf("window %+v of a TTL of zero is not empty", w)
		}
		if w.Fresh > life.Inherit && life.TTL > 0 || w.End > life.Inherit && life.TTL > 0 {
			t.Fatalf("window %+v outlives what it inherited, %d", w, life.Inherit)
		}
		if created < 0 && hot != fresh.Cold {
			t.Fatalf("window %+v of a faked clock is hot until %d", w, hot)
		}
		if hot != fresh.Cold && hot > w.Fresh-int64(clock.Slack) {
			t.Fatalf("window %+v is hot until %d, less than the slack before its end", w, hot)
		}
		if p := (&fresh.Policy{MaxAge: -1, Beta: beta}); hot > created {
			at := hot - 1
			if v := w.Verdict(at, p, func() float64 { return 1e-17 }); at >= created && v != fresh.Fresh {
				t.Fatalf("window %+v is hot at %d, where it is judged %v", w, at, v)
			}
		}
	})
}

func TestBackoffDoublesToItsLimit(t *testing.T) {
	want := []time.Duration{0, 0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
		4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
	for failures, want := range want {
		if got := fresh.Backoff(uint32(failures)); got != want {
			t.Errorf("backoff(%d) = %v, want %v", failures, got, want)
		}
	}
	if got := fresh.Backoff(math.MaxUint32); got != 30*time.Second {
		t.Errorf("backoff of very many = %v, want 30s", got)
	}
}
