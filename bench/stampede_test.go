package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A stampede is so many callers who want one result, which nobody holds yet and
// which takes so long.
const (
	stampeders = 1_000
	slowness   = time.Millisecond
)

// BenchmarkStampede measures the time from the moment the callers are let go
// until the last one has the result, and how often that made the function run.
func BenchmarkStampede(b *testing.B) {
	for _, p := range shuffled(loaders) {
		b.Run("1000callers/peer="+p.name, func(b *testing.B) {
			fn, runs := slow()
			call := p.open(b, fn)
			keys := distinctKeys(b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for _, k := range keys {
				b.StopTimer()
				release := gather(call, k)
				b.StartTimer()
				sink.Add(release())
			}
			b.ReportMetric(float64(runs.Load())/float64(b.N), "executions/op")
		})
	}
}

// TestStampedeReturnsTheAnswer checks that the peers do what is measured: that
// every caller gets the result, and most of them without an execution. Whether
// there is just one is for memo to promise, and is measured for the others.
func TestStampedeReturnsTheAnswer(t *testing.T) {
	for _, p := range loaders {
		t.Run(p.name, func(t *testing.T) {
			fn, runs := slow()
			call := p.open(t, fn)
			if got, want := gather(call, keyOf[string](7))(), int64(7*stampeders); got != want {
				t.Errorf("the results sum up to %d, want %d", got, want)
			}
			switch n := runs.Load(); {
			case n == 0, n > stampeders/2:
				t.Errorf("the function ran %d times", n)
			case n > 1 && p.name == "memo":
				t.Errorf("the function ran %d times, want once", n)
			}
		})
	}
}

// slow returns a function that takes its time, and the number of its executions.
func slow() (function, *atomic.Int64) {
	var runs atomic.Int64
	return func(_ context.Context, k string) (int64, error) {
		runs.Add(1)
		time.Sleep(slowness)
		return answer(k), nil
	}, &runs
}

// gather makes the callers ready to call. The function that it returns lets them
// go, waits until all have come back, and returns the sum of their results.
func gather(call function, k string) (release func() int64) {
	var (
		ready, done sync.WaitGroup
		start       = make(chan struct{})
		sum         atomic.Int64
		ctx         = context.Background()
	)
	ready.Add(stampeders)
	for range stampeders {
		done.Go(func() {
			ready.Done()
			<-start
			sum.Add(must(call(ctx, k)))
		})
	}
	ready.Wait()
	return func() int64 {
		close(start)
		done.Wait()
		return sum.Load()
	}
}
