package memo_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
)

// A counter is a function that can be told to fail and to take its time.
type counter struct {
	runs  atomic.Int32
	fail  atomic.Bool
	delay atomic.Int64
}

var errBroken = errors.New("broken")

func (c *counter) run(context.Context, string) (int32, error) {
	n := c.runs.Add(1)
	time.Sleep(time.Duration(c.delay.Load()))
	if c.fail.Load() {
		return 0, errBroken
	}
	return n, nil
}

// timed runs test in a bubble with a function that counts its runs.
func timed(t *testing.T, test func(t *testing.T, c *counter, f *memo.Func[string, int32]), opts ...memo.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := new(counter)
		test(t, c, memo.New(c.run, opts...))
	})
}

func TestResultIsFreshForItsTTLAndNotLonger(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		c.delay.Store(int64(20 * time.Second)) // the TTL counts from when fn returned
		wantCall(t, f, 1)
		time.Sleep(time.Minute - 1)
		wantCall(t, f, 1)
		time.Sleep(time.Nanosecond)
		wantCall(t, f, 2)
	})
}

// What a policy's functions take to judge a result is neither time in fn nor a part
// of the result's age that does not count.
func TestTTLCountsFromTheReturnOfFn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(context.Context, int) (int, error) { time.Sleep(time.Second); return 1, nil },
			memo.TTL(10*time.Second), memo.CacheIf(func(int, error) bool { time.Sleep(3 * time.Second); return true }))
		f.Call(t.Context(), 1)
		e, err := f.Peek(t.Context(), 1)
		if got, want := time.Until(e.FreshUntil), 7*time.Second; got != want || err != nil {
			t.Errorf("fresh for another %v, %v, want %v", got, err, want)
		}
		if got, want := f.Stats().ExecutionTime, time.Second; got != want {
			t.Errorf("ExecutionTime = %v, want %v", got, want)
		}
	})
}

func TestTTLZeroKeepsNothingButSharesExecutions(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		c.delay.Store(int64(time.Second))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { wantCall(t, f, 1) })
		}
		wg.Wait()
		wantCall(t, f, 2)
	}, memo.TTL(0), memo.StaleIfError(time.Hour), memo.StaleWhileRevalidate(time.Hour))
}

func TestForeverNeverExpires(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		time.Sleep(200 * 365 * 24 * time.Hour)
		wantCall(t, f, 1)
		if e, err := f.Peek(t.Context(), "k"); err != nil || !e.FreshUntil.IsZero() || e.Stale {
			t.Errorf("Peek = %+v, %v; want a fresh entry without an end", e, err)
		}
	}, memo.TTL(memo.Forever), memo.Jitter(0.5), memo.StaleIfError(time.Hour))
}

func TestJitterShortensTheTTLByNoMoreThanItsPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.TTL(time.Hour), memo.Jitter(0.25))
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for n := range 1000 {
			f.Call(t.Context(), n)
			e, err := f.Peek(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			ttl := e.FreshUntil.Sub(e.Created)
			least, most = min(least, ttl), max(most, ttl)
		}
		if least < 45*time.Minute || most > time.Hour {
			t.Errorf("TTLs lie between %v and %v, want between 45m and 1h", least, most)
		}
		if least > 46*time.Minute || most < 59*time.Minute {
			t.Errorf("TTLs lie between %v and %v only: they are hardly spread", least, most)
		}
	})
}

func TestStaleResultIsReturnedWhileOneRefreshReplacesIt(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		time.Sleep(time.Minute)
		c.delay.Store(int64(10 * time.Second))
		began := time.Now()
		for range 100 {
			wantCall(t, f, 1)
		}
		if time.Since(began) != 0 {
			t.Errorf("the calls waited %v", time.Since(began))
		}
		if e, err := f.Peek(t.Context(), "k"); err != nil || !e.Stale || e.Value != 1 {
			t.Errorf("Peek = %+v, %v; want the stale 1", e, err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantCall(t, f, 2)
		if s := f.Stats(); s.StaleHits != 100 || s.Executions != 2 || s.Hits != 1 {
			t.Errorf("Stats = %+v; want 100 stale hits, 2 executions, 1 hit", s)
		}
	}, memo.StaleWhileRevalidate(time.Minute))
}

func TestStaleWindowEnds(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		c.fail.Store(true)
		time.Sleep(2*time.Minute - 1)
		wantCall(t, f, 1)
		synctest.Wait()
		time.Sleep(time.Nanosecond)
		if _, err := f.Call(t.Context(), "k"); err != errBroken {
			t.Errorf("past the window Call returned %v, want fn's error", err)
		}
	}, memo.StaleWhileRevalidate(time.Minute), memo.Logger(slog.New(slog.DiscardHandler)))
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		c.fail.Store(true)
		time.Sleep(time.Hour + time.Minute - 1)
		wantCall(t, f, 1)
		time.Sleep(time.Nanosecond)
		if _, err := f.Call(t.Context(), "k"); err != errBroken {
			t.Errorf("past the window Call returned %v, want fn's error", err)
		}
	}, memo.StaleIfError(time.Hour))
}

func TestBackgroundRefreshOutlivesTheCallThatCausedIt(t *testing.T) {
	type valueKey struct{}
	synctest.Test(t, func(t *testing.T) {
		var seen any
		var bounded bool
		var runs int
		f := memo.New(func(ctx context.Context, _ string) (int, error) {
			if runs++; runs == 2 {
				seen = ctx.Value(valueKey{})
				_, bounded = ctx.Deadline()
				time.Sleep(time.Second)
				return runs, ctx.Err()
			}
			return runs, nil
		}, memo.StaleWhileRevalidate(time.Minute), memo.LoadTimeout(5*time.Second))
		wantCall(t, f, 1)
		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "v"))
		f.Call(ctx, "k")
		cancel()
		time.Sleep(2 * time.Second)
		wantCall(t, f, 2)
		if seen != "v" || !bounded {
			t.Errorf("the refresh ran with value %v, bounded %v; want v, true", seen, bounded)
		}
	})
}

func TestRefreshThatFailsBacksOff(t *testing.T) {
	for name, window := range map[string]memo.Option{
		"StaleWhileRevalidate": memo.StaleWhileRevalidate(time.Hour),
		"StaleIfError":         memo.StaleIfError(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
				wantCall(t, f, 1)
				c.fail.Store(true)
				time.Sleep(time.Minute)
				for range 1000 { // over 100 s
					wantCall(t, f, 1)
					synctest.Wait()
					time.Sleep(100 * time.Millisecond)
				}
				// Two attempts at once, then after 250 ms, 500 ms, 1 s ... 30 s.
				if got := c.runs.Load() - 1; got < 5 || got > 12 {
					t.Errorf("%d attempts in 100s, want about ten", got)
				}
				c.fail.Store(false)
				time.Sleep(30 * time.Second)
				f.Call(t.Context(), "k")
				synctest.Wait()
				if got, err := f.Call(t.Context(), "k"); got == 1 || err != nil {
					t.Errorf("after fn's recovery Call = %d, %v; want a new result", got, err)
				}
			}, window, memo.Logger(slog.New(slog.DiscardHandler)))
		})
	}
}

func TestOneFailureDoesNotHoldUpTheNextAttempt(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		time.Sleep(time.Minute)
		c.fail.Store(true)
		wantCall(t, f, 1)
		c.fail.Store(false)
		wantCall(t, f, 3)
	}, memo.StaleIfError(time.Hour))
}

func TestBackgroundFailuresAreLogged(t *testing.T) {
	var logged bytes.Buffer
	logger := memo.Logger(slog.New(slog.NewTextHandler(&logged, nil)))
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		f := memo.New(func(context.Context, string) (int, error) {
			switch runs++; runs {
			case 2:
				return 0, errBroken
			case 3:
				panic("kaboom")
			}
			return 1, nil
		}, memo.StaleWhileRevalidate(time.Hour), memo.Name("reports.daily"), logger)
		wantCall(t, f, 1)
		time.Sleep(time.Minute)
		for range 2 {
			wantCall(t, f, 1)
			synctest.Wait()
		}
	})
	for _, want := range []string{"reports.daily", "broken", "kaboom"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log does not mention %s:\n%s", want, logged.String())
		}
	}
}

func TestPanicIsNotAnErrorThatAStaleResultReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		f := memo.New(func(context.Context, string) (int, error) {
			if runs++; runs == 2 {
				panic("kaboom")
			}
			return runs, nil
		}, memo.StaleIfError(time.Hour))
		wantCall(t, f, 1)
		time.Sleep(time.Minute)
		defer func() {
			if p, ok := recover().(*memo.PanicError); !ok || p.Value != "kaboom" {
				t.Errorf("recovered %v, want fn's panic", p)
			}
		}()
		f.Call(t.Context(), "k")
	})
}

func TestSoftTimeoutReturnsTheOldResultAndKeepsTheNewOne(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		c.delay.Store(int64(10 * time.Second))
		wantCall(t, f, 1) // nothing in hand: waits for as long as it takes
		time.Sleep(time.Minute)
		began := time.Now()
		wantCall(t, f, 1)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the call waited %v, want 2s", took)
		}
		time.Sleep(8 * time.Second)
		synctest.Wait()
		wantCall(t, f, 2)
		if got := c.runs.Load(); got != 2 {
			t.Errorf("fn ran %d times, want 2", got)
		}
	}, memo.SoftTimeout(2*time.Second), memo.StaleIfError(time.Hour))
}

func TestSoftTimeoutDoesNotReviveWhatIsPastItsWindow(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		c.delay.Store(int64(10 * time.Second))
		wantCall(t, f, 1)
		time.Sleep(3 * time.Minute)
		wantCall(t, f, 2)
	}, memo.SoftTimeout(2*time.Second), memo.StaleIfError(time.Minute))
}

func TestSoftTimeoutDoesNotOutlastTheWindow(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		time.Sleep(2*time.Minute - time.Second)
		c.delay.Store(int64(20 * time.Second))
		wantCall(t, f, 2) // a second after the call the old result's window ends
	}, memo.SoftTimeout(5*time.Second), memo.StaleIfError(time.Minute))
}

func TestOldResultOfAStricterCallerIsJudgedByItsOwnWindows(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		time.Sleep(14 * time.Second)
		c.fail.Store(true)
		c.delay.Store(int64(5 * time.Second))
		strict := f.With(memo.TTL(5 * time.Second))
		if got, err := strict.Call(t.Context(), "k"); err != errBroken {
			t.Errorf("Call = %d, %v; the old result is 19s old, 5s and 10s are allowed", got, err)
		}
	}, memo.StaleIfError(10*time.Second))
}

func TestRememberedErrorOfAStricterCallerDoesNotReplaceAFreshResult(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		time.Sleep(10 * time.Second)
		c.fail.Store(true)
		if _, err := f.With(memo.TTL(time.Second)).Call(t.Context(), "k"); err != errBroken {
			t.Errorf("Call = %v, want %v", err, errBroken)
		}
		wantCall(t, f, 1)
	}, memo.CacheErrors(time.Minute, nil))
}

func TestCacheIfIsNotAskedAboutACancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(ctx context.Context, _ string) (int32, error) { return patientFn(ctx, &runs) },
			memo.CacheIf(func(int32, error) bool { return true }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		f.Call(ctx, "k")
		synctest.Wait()
		wantCall(t, f, 2)
	})
}

func TestPanicOfAPolicyFunctionReachesTheCallers(t *testing.T) {
	for name, opt := range map[string]memo.Option{
		"CacheIf":     memo.CacheIf(func(int, error) bool { panic("kaboom") }),
		"CacheErrors": memo.CacheErrors(time.Hour, func(error) bool { panic("kaboom") }),
	} {
		f := memo.New(func(context.Context, string) (int, error) { return 0, errBroken }, opt)
		got := func() (v any) {
			defer func() { v = recover() }()
			f.Call(t.Context(), "k")
			return nil
		}()
		if p, ok := got.(*memo.PanicError); !ok || p.Value != "kaboom" {
			t.Errorf("%s: recovered %v, want a *PanicError", name, got)
		}
	}
}

func TestErrorOfAnExecutionThatRanOutOfTimeIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		f := memo.New(func(ctx context.Context, _ string) (int, error) {
			if runs++; runs == 1 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return runs, nil
		}, memo.CacheErrors(time.Hour, nil), memo.LoadTimeout(time.Second))
		if _, err := f.Call(t.Context(), "k"); err != context.DeadlineExceeded {
			t.Errorf("Call returned %v, want fn's DeadlineExceeded", err)
		}
		wantCall(t, f, 2)
	})
}

func TestCacheErrorsRemembersThoseThatMatch(t *testing.T) {
	gone := errors.New("gone")
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		var fail error = gone
		f := memo.New(func(context.Context, string) (string, error) {
			runs++
			return "", fail
		}, memo.CacheErrors(10*time.Second, func(err error) bool { return errors.Is(err, gone) }))
		for range 3 {
			if _, err := f.Call(t.Context(), "k"); err != gone {
				t.Errorf("Call returned %v, want the remembered error itself", err)
			}
		}
		if _, err := f.Peek(t.Context(), "k"); err != gone {
			t.Errorf("Peek returned %v, want the remembered error", err)
		}
		if runs != 1 {
			t.Errorf("fn ran %d times, want once", runs)
		}
		time.Sleep(10 * time.Second)
		fail = errBroken
		for range 3 {
			if _, err := f.Call(t.Context(), "k"); err != errBroken {
				t.Errorf("Call returned %v, want %v", err, errBroken)
			}
		}
		if runs != 4 {
			t.Errorf("fn ran %d times, want 4: the other error does not match", runs)
		}
	})
}

func TestCachedErrorDoesNotReplaceAResultThatMayStillBeReturned(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		wantCall(t, f, 1)
		c.fail.Store(true)
		time.Sleep(2 * time.Minute)
		for range 5 {
			wantCall(t, f, 1)
		}
		time.Sleep(time.Hour)
		c.runs.Store(0)
		for range 5 {
			if _, err := f.Call(t.Context(), "k"); err != errBroken {
				t.Errorf("Call returned %v, want %v", err, errBroken)
			}
		}
		if got := c.runs.Load(); got != 1 {
			t.Errorf("fn ran %d times, want once: its error is remembered", got)
		}
	}, memo.StaleIfError(time.Hour), memo.CacheErrors(time.Minute, nil))
}

func TestErrorOfACancelledExecutionIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(ctx context.Context, _ string) (string, error) {
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(time.Minute):
				return "done", nil
			}
		}, memo.CacheErrors(time.Hour, nil), memo.LoadTimeout(time.Hour))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f.Call(ctx, "k")
		wantCall(t, f, "done")
	})
}

func TestCacheIfDecidesWhatIsKept(t *testing.T) {
	var runs int
	f := memo.New(func(context.Context, string) (int, error) {
		runs++
		if runs > 2 {
			return runs, errBroken
		}
		return runs, nil
	}, memo.CacheIf(func(n int, err error) bool { return n > 2 }))
	wantCall(t, f, 1)
	wantCall(t, f, 2)
	for range 2 {
		if got, err := f.Call(t.Context(), "k"); got != 3 || err != errBroken {
			t.Errorf("Call = %d, %v; want the remembered 3, %v", got, err, errBroken)
		}
	}
	if runs != 3 {
		t.Errorf("fn ran %d times, want 3", runs)
	}
}

func TestEarlyRefreshReplacesAResultBeforeItExpires(t *testing.T) {
	const keys = 200
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(_ context.Context, n int) (int, error) {
			time.Sleep(time.Second)
			runs.Add(1)
			return n, nil
		}, memo.TTL(time.Minute), memo.EarlyRefresh(1))
		callAll := func() {
			var wg sync.WaitGroup
			for n := range keys {
				wg.Go(func() { f.Call(t.Context(), n) })
			}
			wg.Wait()
			time.Sleep(2 * time.Second) // for refreshes
		}
		callAll()
		time.Sleep(10 * time.Second)
		callAll() // 48 s before expiry, with a cost of 1 s: e^-48
		if got := runs.Load(); got != keys {
			t.Errorf("%d executions, want no refresh this early", got)
		}
		time.Sleep(60*time.Second - 2*time.Second - 12*time.Second - 1*time.Second)
		before := f.Stats()
		callAll() // 1 s before expiry: e^-1, 37 %
		refreshed := int(runs.Load()) - keys
		if refreshed < keys/5 || refreshed > keys*3/5 {
			t.Errorf("%d of %d results were refreshed a second before expiry, want about 37%%", refreshed, keys)
		}
		if s := f.Stats(); s.Hits-before.Hits != keys || s.Misses != before.Misses {
			t.Errorf("Stats = %+v; early refreshes are hits, and nobody waits for them", s)
		}
	})
}

func TestHintsFromInsideFn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		f := memo.New(func(ctx context.Context, _ string) (int, error) {
			runs++
			switch runs {
			case 1:
				memo.SetTTL(ctx, time.Hour)
				memo.SetTTL(ctx, time.Second)
			case 2:
				memo.NoStore(ctx)
			case 3:
				memo.SetTTL(ctx, 0)
			case 4:
				memo.SetTTL(ctx, -time.Second)
			}
			return runs, nil
		})
		wantCall(t, f, 1)
		wantCall(t, f, 1)
		time.Sleep(time.Second)
		for want := 2; want <= 5; want++ {
			wantCall(t, f, want)
		}
		time.Sleep(time.Second)
		wantCall(t, f, 5) // without a hint the TTL is a minute
	})
}

func TestHintsOutsideOfAnExecutionDoNothing(t *testing.T) {
	ctx := t.Context()
	memo.SetTTL(ctx, time.Hour)
	memo.NoStore(ctx)
	memo.AddTags(ctx, "t")
	if memo.Detached(ctx) != ctx {
		t.Error("Detached changed a context that belongs to no execution")
	}
	var late context.Context
	f := memo.New(func(ctx context.Context, _ string) (int, error) { late = ctx; return 1, nil })
	f.Call(ctx, "k")
	memo.AddTags(late, "late")
	if e, _ := f.Peek(ctx, "k"); e.Tags != nil {
		t.Errorf("Tags = %v: a hint counted after fn had returned", e.Tags)
	}
}

func TestPeekTellsTheLifeOfAnEntry(t *testing.T) {
	timed(t, func(t *testing.T, c *counter, f *memo.Func[string, int32]) {
		if _, err := f.Peek(t.Context(), "k"); err != memo.ErrMiss {
			t.Errorf("Peek = %v, want ErrMiss", err)
		}
		c.delay.Store(int64(time.Second))
		wantCall(t, f, 1)
		created := time.Now()
		time.Sleep(90 * time.Second)
		e, err := f.Peek(t.Context(), "k")
		if err != nil || e.Value != 1 || !e.Stale || !e.Created.Equal(created) || !e.FreshUntil.Equal(created.Add(time.Minute)) {
			t.Errorf("Peek = %+v, %v; want 1, stale, created %v, fresh for a minute", e, err, created)
		}
		if len(e.Tags) != 2 || e.Tags[0] != "a" || e.Tags[1] != "b" {
			t.Errorf("Tags = %v, want a and b, each once", e.Tags)
		}
		time.Sleep(time.Hour)
		if _, err := f.Peek(t.Context(), "k"); err != memo.ErrMiss {
			t.Errorf("past all windows Peek = %v, want ErrMiss", err)
		}
		if got := c.runs.Load(); got != 1 {
			t.Errorf("fn ran %d times, want once", got)
		}
	}, memo.StaleIfError(time.Hour), memo.Tags("a", "b", "a"))
}
