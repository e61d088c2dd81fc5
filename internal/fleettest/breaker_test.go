package fleettest

import (
	"sync"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
)

// The promise is 20 µs, which the benchmarks measure. This is about the order of
// magnitude: a call that asks a store, even one that refuses at once, takes longer.
// It does not run in parallel with the others.
func TestCallPastAnOpenBreakerCostsMicroseconds(t *testing.T) {
	const bound = 100 * time.Microsecond
	for kind, newSite := range sites {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t)
			defer s.heal()
			f := memo.New(double, s.here(memo.Name("double"))...)
			alone := memo.New(double)
			s.faults["black hole"].strike()
			var wg sync.WaitGroup
			for i := range 8 { // more than opens it
				wg.Go(func() { f.Call(t.Context(), -1-i) })
			}
			wg.Wait()
			key := 0
			with, without := time.Hour, time.Hour // per call, in the quietest moment
			for range 30 {
				with = min(with, perCall(t, f, &key))
				without = min(without, perCall(t, alone, &key))
			}
			if with-without > bound {
				t.Errorf("a miss takes %v with a store that is left alone and %v without a store", with, without)
			}
		})
	}
}

// perCall returns how long a call with a new key takes.
func perCall(t *testing.T, f *memo.Func[int, int], key *int) time.Duration {
	const calls = 200
	began := time.Now()
	for range calls {
		*key++
		if got, err := f.Call(t.Context(), *key); got != 2**key || err != nil {
			t.Fatalf("got %d, %v", got, err)
		}
	}
	return time.Since(began) / calls
}
