package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	theine "github.com/Yiling-J/theine-go"
	rediscache "github.com/go-redis/cache/v9"
	"github.com/maypok86/otter/v2"
	"github.com/viccon/sturdyc"

	"github.com/seed-0226adef/memo"
)

// A function is what the caches of this file remember, and what they make of it.
type function func(context.Context, string) (int64, error)

// A loader is a cache that runs a function for what it does not hold, once for
// all who wait. Keys are strings, which all loaders take as they are.
type loader struct {
	name string
	open func(tb testing.TB, fn function) function
}

// loaders are the caches whose misses and stampedes are measured.
var loaders = []loader{
	{"memo", memoLoader},
	{"memo.Pure", pureLoader},
	{"otter", otterLoader},
	{"theine", theineLoader},
	{"sturdyc", sturdycLoader},
	{"go-redis-cache", redisCacheLoader},
}

// BenchmarkMiss measures a call that finds nothing, with a function that takes no
// time, in a cache that is full. No two calls have the same key.
func BenchmarkMiss(b *testing.B) {
	modes(func(mode string, goroutines int) {
		for _, p := range shuffled(loaders) {
			b.Run(fmt.Sprintf("%s/peer=%s", mode, p.name), func(b *testing.B) {
				keys := distinctKeys(capacity + b.N)
				call := p.open(b, func(_ context.Context, k string) (int64, error) { return answer(k), nil })
				look := calls(call, keys)
				look(0, capacity)
				sweep(b, goroutines, b.N, func(lo, hi int) int64 { return look(capacity+lo, capacity+hi) })
			})
		}
	})
}

// TestMissesRunTheFunction checks that the peers do what is measured: that each
// runs the function once for each key, and returns what it returned.
func TestMissesRunTheFunction(t *testing.T) {
	for _, p := range loaders {
		t.Run(p.name, func(t *testing.T) {
			var runs atomic.Int64
			call := p.open(t, func(_ context.Context, k string) (int64, error) {
				runs.Add(1)
				return answer(k), nil
			})
			keys := distinctKeys(2 * capacity)
			look := calls(call, keys)
			for i := range keys {
				if got, want := look(i, i+1), int64(i); got != want {
					t.Fatalf("the result for %v is %d, want %d", keys[i], got, want)
				}
			}
			if got, want := runs.Load(), int64(len(keys)); got != want {
				t.Errorf("%d calls with a key each ran the function %d times", want, got)
			}
			before := runs.Load()
			if call(t.Context(), keys[len(keys)-1]); runs.Load() != before {
				t.Errorf("the result of the last call was not kept")
			}
		})
	}
}

// distinctKeys makes n keys in one piece of memory, so that the garbage collector
// has little to do with them.
func distinctKeys(n int) []string {
	const prefix = "accounts/profile/"
	text := make([]byte, 0, n*(len(prefix)+8))
	for i := range n {
		text = fmt.Appendf(text, "%s%08d", prefix, i)
	}
	keys, all := make([]string, n), string(text)
	for i := range keys {
		keys[i], all = all[:len(prefix)+8], all[len(prefix)+8:]
	}
	return keys
}

// calls makes a look-up of keys out of a function. What the function value costs
// does not show in a miss.
func calls(call function, keys []string) lookup {
	ctx := context.Background()
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			sum += must(call(ctx, k))
		}
		return sum
	}
}

func memoLoader(_ testing.TB, fn function) function {
	return memo.Wrap(fn, memo.TTL(ttl), memo.Local(capacity))
}

func pureLoader(_ testing.TB, fn function) function {
	call := memo.Pure(func(k string) int64 { return must(fn(context.Background(), k)) }, memo.TTL(ttl), memo.Local(capacity))
	return func(_ context.Context, k string) (int64, error) { return call(k), nil }
}

func otterLoader(tb testing.TB, fn function) function {
	c := otter.Must(&otter.Options[string, int64]{
		MaximumSize:      capacity,
		ExpiryCalculator: otter.ExpiryWriting[string, int64](ttl),
	})
	tb.Cleanup(func() { c.StopAllGoroutines() })
	load := otter.LoaderFunc[string, int64](fn)
	return func(ctx context.Context, k string) (int64, error) { return c.Get(ctx, k, load) }
}

func theineLoader(tb testing.TB, fn function) function {
	c := must(theine.NewBuilder[string, int64](capacity).BuildWithLoader(
		func(ctx context.Context, k string) (theine.Loaded[int64], error) {
			v, err := fn(ctx, k)
			return theine.Loaded[int64]{Value: v, Cost: 1, TTL: ttl}, err
		}))
	tb.Cleanup(c.Close)
	return c.Get
}

// sturdycLoader takes a new function at every call: that is how sturdyc's own
// knows its key.
func sturdycLoader(_ testing.TB, fn function) function {
	c := sturdyc.New[int64](capacity, 10, ttl, 10, sturdyc.WithNoContinuousEvictions())
	return func(ctx context.Context, k string) (int64, error) {
		return c.GetOrFetch(ctx, k, func(ctx context.Context) (int64, error) { return fn(ctx, k) })
	}
}

// redisCacheLoader is the tier in the process only, without a Redis behind it.
func redisCacheLoader(_ testing.TB, fn function) function {
	c := rediscache.New(&rediscache.Options{LocalCache: rediscache.NewTinyLFU(capacity, ttl)})
	return func(ctx context.Context, k string) (v int64, err error) {
		err = c.Once(&rediscache.Item{Ctx: ctx, Key: k, Value: &v, TTL: ttl, Do: func(i *rediscache.Item) (any, error) {
			return fn(i.Ctx, i.Key)
		}})
		return v, err
	}
}
