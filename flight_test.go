package memo_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
)

func TestConcurrentCallersShareOneExecution(t *testing.T) {
	const callers = 2000
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(context.Context, string) (string, error) {
			time.Sleep(time.Second)
			return fmt.Sprint("run ", runs.Add(1)), nil
		})
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if got, err := f.Call(t.Context(), "k"); got != "run 1" || err != nil {
					t.Errorf("Call = %q, %v; want run 1, nil", got, err)
				}
			})
		}
		wg.Wait()
		got := f.Stats()
		if got.Executions != 1 || got.Misses != 1 || got.Joined != callers-1 {
			t.Errorf("Stats = %+v; want 1 execution, 1 miss and the rest joined", got)
		}
		if got.ExecutionTime != time.Second {
			t.Errorf("ExecutionTime = %v, want 1s", got.ExecutionTime)
		}
	})
}

// Without the fake clock the callers really run in parallel, and those who come
// just as the execution ends must find its result and not run fn again.
func TestCallersOfAnInstantFunctionShareOneExecution(t *testing.T) {
	for round := range 200 {
		f := memo.New(func(_ context.Context, k int) (int, error) { return k, nil })
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got, err := f.Call(t.Context(), round); got != round || err != nil {
					t.Errorf("Call = %d, %v; want %d, nil", got, err, round)
				}
			})
		}
		wg.Wait()
		if got := f.Stats().Executions; got != 1 {
			t.Fatalf("round %d: %d executions, want 1", round, got)
		}
	}
}

func TestLeavingOfTheFirstCallerDoesNotDisturbTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(ctx context.Context, _ int) (string, error) {
			select {
			case <-time.After(time.Second):
				return "done", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})
		first, cancel := context.WithCancel(t.Context())
		go func() {
			if _, err := f.Call(first, 1); err != context.Canceled {
				t.Errorf("the caller who left got %v, want context.Canceled", err)
			}
		}()
		synctest.Wait()
		go func() {
			if got, err := f.Call(t.Context(), 1); got != "done" || err != nil {
				t.Errorf("the caller who stayed got %q, %v; want done, nil", got, err)
			}
		}()
		synctest.Wait()
		cancel()
		time.Sleep(2 * time.Second)
		if got, err := f.Call(t.Context(), 1); got != "done" || err != nil || f.Stats().Executions != 1 {
			t.Errorf("Call = %q, %v after %d executions; want the kept result of one", got, err, f.Stats().Executions)
		}
	})
}

func TestWaiterReturnsAtItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(context.Context, int) (string, error) {
			time.Sleep(500 * time.Millisecond)
			return "slow", nil
		})
		go f.Call(t.Context(), 1)
		synctest.Wait()
		for _, alone := range []bool{false, true} {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := f.Call(ctx, map[bool]int{false: 1, true: 2}[alone])
			cancel()
			if took := time.Since(began); err != context.DeadlineExceeded || took != 50*time.Millisecond {
				t.Errorf("alone %v: Call returned %v after %v; want the deadline's error after 50ms", alone, err, took)
			}
		}
		time.Sleep(time.Second)
	})
}

func TestExecutionIsCancelledWhenTheLastWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		f := memo.New(func(ctx context.Context, _ int) (string, error) {
			<-ctx.Done()
			cause = ctx.Err()
			return "", cause
		})
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go f.Call(ctx, 1)
		}
		time.Sleep(time.Second)
		if cause != nil {
			t.Fatalf("fn's context ended while callers waited: %v", cause)
		}
		cancel()
		synctest.Wait()
		if cause != context.Canceled {
			t.Errorf("fn's context ended with %v, want context.Canceled", cause)
		}
	})
}

// A caller who comes while a cancelled execution is on its way out neither gets
// its error nor runs fn beside it.
func TestCallerAfterACancellationRunsFnAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, runs atomic.Int32
		f := memo.New(func(ctx context.Context, _ int) (string, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if runs.Add(1) == 1 {
				<-ctx.Done()
				time.Sleep(time.Second) // cleaning up takes a while
				return "", ctx.Err()
			}
			return "second", nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f.Call(ctx, 1)
		if got, err := f.Call(t.Context(), 1); got != "second" || err != nil {
			t.Errorf("Call = %q, %v; want second, nil", got, err)
		}
		if most.Load() != 1 {
			t.Errorf("fn ran %d times at once for one key", most.Load())
		}
	})
}

func TestResultOfAnExecutionThatIgnoredItsCancellationIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(context.Context, int) (string, error) {
			time.Sleep(time.Second)
			return "anyway", nil
		}, memo.TTL(0)) // it comes from the execution itself
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		f.Call(ctx, 1)
		if got, err := f.Call(t.Context(), 1); got != "anyway" || err != nil || f.Stats().Executions != 1 {
			t.Errorf("Call = %q, %v after %d executions; want the first one's result", got, err, f.Stats().Executions)
		}
	})
}

// patientFn returns n after a second, unless its context ends before.
func patientFn(ctx context.Context, runs *atomic.Int32) (int32, error) {
	n := runs.Add(1)
	select {
	case <-time.After(time.Second):
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func TestLeavingABackgroundRefreshDoesNotCancelIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(ctx context.Context, _ string) (int32, error) { return patientFn(ctx, &runs) },
			memo.StaleWhileRevalidate(time.Hour))
		wantCall(t, f, 1)
		time.Sleep(time.Minute)
		wantCall(t, f, 1) // and refreshes
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := f.With(memo.StaleWhileRevalidate(0)).Call(ctx, "k"); err != context.DeadlineExceeded {
			t.Errorf("Call = %v, want its deadline's error: it waits for the refresh", err)
		}
		time.Sleep(2 * time.Second)
		wantCall(t, f, 2)
	})
}

func TestLeavingBySoftTimeoutDoesNotCancelTheExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(ctx context.Context, _ string) (int32, error) { return patientFn(ctx, &runs) },
			memo.StaleIfError(time.Hour), memo.SoftTimeout(time.Millisecond))
		wantCall(t, f, 1)
		time.Sleep(2 * time.Minute)
		wantCall(t, f, 1)
		time.Sleep(2 * time.Second)
		wantCall(t, f, 2)
	})
}

// Callers who lose patience say nothing about fn.
func TestCancellationIsNotAFailureOfFn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(ctx context.Context, _ string) (int32, error) { return patientFn(ctx, &runs) },
			memo.StaleIfError(time.Hour))
		wantCall(t, f, 1)
		time.Sleep(2 * time.Minute)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			f.Call(ctx, "k")
			cancel()
			synctest.Wait()
		}
		wantCall(t, f, 7) // with a pause for failures it would be the old one
	})
}

// The end of a detached execution once took its successor out of the map.
func TestEndOfAnOvertakenExecutionLeavesItsSuccessorAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		g := memo.NewGroup("g")
		f := memo.New(func(ctx context.Context, _ string) (int32, error) { return patientFn(ctx, &runs) }, g, memo.Tags("t"))
		go f.Call(t.Context(), "k")
		time.Sleep(time.Second / 2)
		g.InvalidateTags(t.Context(), "t")
		go f.Call(t.Context(), "k")
		time.Sleep(time.Second * 3 / 4) // the first has ended, the second has not
		wantCall(t, f, 2)
		if got := runs.Load(); got != 2 {
			t.Errorf("%d executions, want 2", got)
		}
	})
}

func TestExecutionRunsUnderTheValuesOfItsCallersContext(t *testing.T) {
	type userKey struct{}
	f := memo.Wrap(func(ctx context.Context, _ int) (any, error) {
		return ctx.Value(userKey{}), nil
	})
	ctx := context.WithValue(t.Context(), userKey{}, "ann")
	if got, err := f(ctx, 1); got != "ann" || err != nil {
		t.Errorf("fn saw %v, %v; want ann, nil", got, err)
	}
}

func TestLoadTimeoutEndsTheContextOfFn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, memo.LoadTimeout(3*time.Second))
		began := time.Now()
		if _, err := f.Call(t.Context(), 1); err != context.DeadlineExceeded || time.Since(began) != 3*time.Second {
			t.Errorf("Call returned %v after %v, want fn's context.DeadlineExceeded after 3s", err, time.Since(began))
		}
	})
}

func TestFnThatIgnoresItsLoadTimeoutIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(context.Context, int) (int32, error) {
			n := runs.Add(1)
			if n == 1 {
				time.Sleep(time.Hour)
			}
			return n, nil
		}, memo.LoadTimeout(time.Second), memo.TTL(memo.Forever))
		began := time.Now()
		_, err := f.Call(t.Context(), 1)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 1100*time.Millisecond {
			t.Errorf("Call returned %v after %v, want a DeadlineExceeded by 1.1s", err, took)
		}
		if got, err := f.Call(t.Context(), 1); got != 2 || err != nil {
			t.Errorf("the next Call = %d, %v; want 2, nil", got, err)
		}
		time.Sleep(2 * time.Hour) // the first one comes back
		if got, err := f.Call(t.Context(), 1); got != 2 || err != nil {
			t.Errorf("after the late return Call = %d, %v; want 2, nil", got, err)
		}
	})
}

func TestPanicReachesEveryWaiter(t *testing.T) {
	const callers = 20
	cause := errors.New("out of cheese")
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(context.Context, int) (int, error) {
			time.Sleep(time.Second)
			if runs.Add(1) == 1 {
				panickingFunction(cause)
			}
			return 7, nil
		})
		var panics atomic.Int32
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				defer func() {
					p, ok := recover().(*memo.PanicError)
					if !ok {
						t.Errorf("a caller did not panic with a *PanicError")
						return
					}
					panics.Add(1)
					if p.Value != cause || !errors.Is(p, cause) {
						t.Errorf("Value = %v, want the very value of the panic", p.Value)
					}
					if !strings.Contains(string(p.Stack), "panickingFunction") {
						t.Errorf("Stack does not show where fn panicked:\n%s", p.Stack)
					}
				}()
				f.Call(t.Context(), 1)
			})
		}
		wg.Wait()
		if panics.Load() != callers {
			t.Errorf("%d callers panicked, want %d", panics.Load(), callers)
		}
		if got, err := f.Call(t.Context(), 1); got != 7 || err != nil {
			t.Errorf("after the panic Call = %d, %v; want 7, nil", got, err)
		}
		if s := f.Stats(); s.Executions != 2 || s.Failures != 1 {
			t.Errorf("Stats = %+v; want 2 executions, 1 failure", s)
		}
	})
}

//go:noinline
func panickingFunction(v any) { panic(v) }

// A Pure needs no goroutine: nobody can leave.
func TestAGoexitOfAPureFunctionEndsItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		f := memo.Pure(func(n int) int {
			select {
			case <-goOn:
				return n
			default:
				<-goOn
				runtime.Goexit()
				return 0
			}
		})
		ended, joined := make(chan string, 1), make(chan any, 1)
		go func() {
			defer func() { ended <- "by itself" }()
			f(1)
			t.Error("the call has returned")
		}()
		synctest.Wait()
		go func() {
			defer func() { joined <- recover() }()
			f(1)
		}()
		synctest.Wait()
		close(goOn)
		if <-ended; <-joined != memo.ErrGoexit {
			t.Error("who waited got no ErrGoexit")
		}
		if got := f(1); got != 1 {
			t.Errorf("after the Goexit f = %d, want 1", got)
		}
	})
}

func TestGoexitIsAnErrorToEveryWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		f := memo.New(func(context.Context, int) (int, error) {
			time.Sleep(time.Second)
			if runs.Add(1) == 1 {
				runtime.Goexit()
			}
			return 7, nil
		})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := f.Call(t.Context(), 1); !errors.Is(err, memo.ErrGoexit) {
					t.Errorf("Call returned %v, want ErrGoexit", err)
				}
			})
		}
		wg.Wait()
		if got, err := f.Call(t.Context(), 1); got != 7 || err != nil {
			t.Errorf("after the Goexit Call = %d, %v; want 7, nil", got, err)
		}
	})
}

func TestErrorsComeBackIdentical(t *testing.T) {
	want := &customError{}
	f := memo.Wrap(func(context.Context, int) (string, error) { return "partial", want })
	got, err := f(t.Context(), 1)
	if err != error(want) {
		t.Errorf("err = %#v, want the very error that fn returned", err)
	}
	if got != "partial" {
		t.Errorf("the result beside the error = %q, want what fn returned", got)
	}
}

type customError struct{ _ int }

func (*customError) Error() string { return "custom" }

func TestRecursionIsAnError(t *testing.T) {
	var f *memo.Func[int, int]
	f = memo.New(func(ctx context.Context, n int) (int, error) { return f.Call(ctx, n) })
	if _, err := f.Call(t.Context(), 1); err != memo.ErrRecursive {
		t.Errorf("direct recursion: %v, want ErrRecursive", err)
	}

	var a, b *memo.Func[int, int]
	a = memo.New(func(ctx context.Context, n int) (int, error) { return b.Call(ctx, n) })
	b = memo.New(func(ctx context.Context, n int) (int, error) { return a.Call(memo.Detached(ctx), n) })
	if _, err := a.Call(t.Context(), 1); err != memo.ErrRecursive {
		t.Errorf("recursion by way of another function: %v, want ErrRecursive", err)
	}

	f = memo.New(func(ctx context.Context, n int) (int, error) { return f.Refresh(ctx, n) })
	if _, err := f.Call(t.Context(), 1); err != memo.ErrRecursive {
		t.Errorf("recursion by Refresh: %v, want ErrRecursive", err)
	}
}

func TestRecursionWithOtherArgumentsWorks(t *testing.T) {
	var fib *memo.Func[int, int64]
	fib = memo.New(func(ctx context.Context, n int) (int64, error) {
		if n < 2 {
			return int64(n), nil
		}
		a, err := fib.Call(ctx, n-1)
		if err != nil {
			return 0, err
		}
		b, err := fib.Call(ctx, n-2)
		return a + b, err
	})
	if got, err := fib.Call(t.Context(), 80); got != 23416728348467685 || err != nil {
		t.Errorf("fib(80) = %d, %v", got, err)
	}
	if got := fib.Stats().Executions; got != 81 {
		t.Errorf("%d executions, want 81", got)
	}
}

// Two executions that were begun by different callers and then need each other
// would wait until their LoadTimeout: neither finds itself in its context.
func TestExecutionsThatWaitForEachOtherAreAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b *memo.Func[int, string]
		other := func(f **memo.Func[int, string]) func(context.Context, int) (string, error) {
			return func(ctx context.Context, n int) (string, error) {
				time.Sleep(time.Second)
				return (*f).Call(ctx, n)
			}
		}
		a, b = memo.New(other(&b)), memo.New(other(&a))
		began := time.Now()
		var wg sync.WaitGroup
		for _, f := range []*memo.Func[int, string]{a, b} {
			wg.Go(func() {
				if _, err := f.Call(t.Context(), 1); err != memo.ErrRecursive {
					t.Errorf("Call returned %v, want ErrRecursive", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v to find out", took)
		}
	})
}

func TestRefreshRunsFnAndKeepsItsResult(t *testing.T) {
	var runs atomic.Int32
	f := memo.New(func(context.Context, int) (int32, error) { return runs.Add(1), nil })
	for want := int32(1); want <= 3; want++ {
		if got, err := f.Refresh(t.Context(), 1); got != want || err != nil {
			t.Errorf("Refresh = %d, %v; want %d, nil", got, err, want)
		}
		if got, err := f.Call(t.Context(), 1); got != want || err != nil {
			t.Errorf("Call = %d, %v; want %d, nil", got, err, want)
		}
	}
}

// Otherwise a Call after the Refresh would return what is older than the
// Refresh's result.
func TestResultThatIsNotKeptDropsTheOlderOne(t *testing.T) {
	for name, opt := range map[string]memo.Option{
		"NoStore": memo.Options{},
		"CacheIf": memo.CacheIf(func(n int, err error) bool { return n != 2 }),
	} {
		runs := 0
		f := memo.New(func(ctx context.Context, _ string) (int, error) {
			if runs++; runs == 2 && name == "NoStore" {
				memo.NoStore(ctx)
			}
			return runs, nil
		}, opt)
		wantCall(t, f, 1)
		if got, err := f.Refresh(t.Context(), "k"); got != 2 || err != nil {
			t.Errorf("%s: Refresh = %d, %v; want 2, nil", name, got, err)
		}
		wantCall(t, f, 3)
	}
}

func TestRefreshThatFailsLeavesWhatIsHeld(t *testing.T) {
	broken := errors.New("broken")
	var fail atomic.Bool
	f := memo.New(func(context.Context, int) (string, error) {
		if fail.Load() {
			return "", broken
		}
		return "good", nil
	}, memo.StaleIfError(time.Hour))
	f.Call(t.Context(), 1)
	fail.Store(true)
	if _, err := f.Refresh(t.Context(), 1); err != broken {
		t.Errorf("Refresh returned %v, want fn's error", err)
	}
	if got, err := f.Call(t.Context(), 1); got != "good" || err != nil {
		t.Errorf("Call = %q, %v; want good, nil", got, err)
	}
}

// An execution that began before Refresh was called may have read what the
// caller knows to be out of date.
func TestRefreshDoesNotTakeTheResultOfAnEarlierExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, running, most atomic.Int32
		f := memo.New(func(context.Context, int) (int32, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			n := runs.Add(1)
			time.Sleep(time.Second)
			return n, nil
		})
		go f.Call(t.Context(), 1)
		synctest.Wait()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if got, err := f.Refresh(t.Context(), 1); got != 2 || err != nil {
					t.Errorf("Refresh = %d, %v; want 2, nil", got, err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 1 {
			t.Errorf("fn ran %d times at once for one key", most.Load())
		}
	})
}
