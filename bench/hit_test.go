package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	theine "github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	rediscache "github.com/go-redis/cache/v9"
	"github.com/jellydator/ttlcache/v3"
	"github.com/maypok86/otter/v2"
	gocache "github.com/patrickmn/go-cache"
	"github.com/viccon/sturdyc"

	"github.com/seed-0226adef/memo"
)

// An opener sets a cache up, fills it with the answers for stored, and returns
// the look-up of keys. It panics if the cache does not take them. What is to be
// done when the cache is no longer needed is left to tb.Cleanup.
type opener[K key] func(tb testing.TB, stored, keys []K) lookup

// A hitPeer is a cache whose hits are measured.
type hitPeer struct {
	name     string
	ofInt64  opener[int64]
	ofString opener[string]
	ofStruct opener[query]
}

// hitPeers are all of them. Where one takes strings only, its other keys are
// made strings before the clock runs: what that costs its users at every call is
// left out, in its favour.
var hitPeers = []hitPeer{
	{"memo", memoHits[int64], memoHits[string], memoHits[query]},
	{"sync.Map", syncMapHits[int64], syncMapHits[string], syncMapHits[query]},
	{"otter", otterHits[int64], otterHits[string], otterHits[query]},
	{"theine", theineHits[int64], theineHits[string], theineHits[query]},
	{"ttlcache", ttlcacheHits[int64], ttlcacheHits[string], ttlcacheHits[query]},
	{"ristretto", ristrettoHits[int64], ristrettoHits[string], asText[query](ristrettoHits[string])},
	{"sturdyc", asText[int64](sturdycHits), sturdycHits, asText[query](sturdycHits)},
	{"go-cache", asText[int64](goCacheHits), goCacheHits, asText[query](goCacheHits)},
	{"go-redis-cache", asText[int64](redisCacheHits), redisCacheHits, asText[query](redisCacheHits)},
}

func ofInt64(p hitPeer) opener[int64]   { return p.ofInt64 }
func ofString(p hitPeer) opener[string] { return p.ofString }
func ofStruct(p hitPeer) opener[query]  { return p.ofStruct }

// hitSizes are how many results the caches hold, of those peers that come first.
var hitSizes = []int{1 << 14, 1 << 18, 1 << 20}

// sizedPeers is how many these are: memo, the floor, and the fastest cache that also expires.
const sizedPeers = 3

// draws are the ways in which calls choose among so many keys.
var draws = map[string]func(n int) func() int{
	"uniform": func(n int) func() int { return func() int { return rand.IntN(n) } },
	"zipf": func(n int) func() int { // the popular ones lie anywhere
		z, place := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, uint64(n-1)), rand.Perm(n)
		return func() int { return place[z.Uint64()] }
	},
}

// BenchmarkHit measures a call that finds its result. The cache holds 1,024; the
// calls are for one of them, or for all, drawn at random. Where it holds more, calls are
// drawn uniformly, or by Zipf's law.
func BenchmarkHit(b *testing.B) {
	b.Run("int64", func(b *testing.B) { benchmarkHits(b, ofInt64) })
	b.Run("string", func(b *testing.B) { benchmarkHits(b, ofString) })
	b.Run("struct", func(b *testing.B) { benchmarkHits(b, ofStruct) })
}

func benchmarkHits[K key](b *testing.B, of func(hitPeer) opener[K]) {
	stored, fresh := keysOf[K](heldKeys), keysOf[K](heldKeys)
	drawn := make([]K, 8*heldKeys)
	for i := range drawn {
		drawn[i] = fresh[rand.IntN(heldKeys)]
	}
	one := slices.Repeat(drawn[:1], heldKeys)
	defer benchmarkSizes(b, of)
	for n, keys := range map[string][]K{"1key": one, "1024keys": drawn} {
		modes(func(mode string, goroutines int) {
			for _, p := range shuffled(hitPeers) {
				b.Run(fmt.Sprintf("%s/%s/peer=%s", n, mode, p.name), func(b *testing.B) {
					look := of(p)(b, stored, keys)
					look(0, len(keys))
					sweep(b, goroutines, len(keys), look)
				})
			}
		})
	}
}

// benchmarkSizes measures hits in larger caches. Each is filled once, since that takes longer
// than what is measured.
func benchmarkSizes[K key](b *testing.B, of func(hitPeer) opener[K]) {
	for _, size := range hitSizes {
		for name, draw := range draws {
			b.Run(fmt.Sprintf("%d%s", size, name), func(b *testing.B) {
				stored, fresh, next := keysOf[K](size), keysOf[K](size), draw(size)
				keys := make([]K, max(2*size, 1<<16))
				for i := range keys {
					keys[i] = fresh[next()]
				}
				for _, p := range shuffled(hitPeers[:sizedPeers]) {
					look := sync.OnceValue(func() lookup { return of(p)(b, stored, keys) })
					modes(func(mode string, goroutines int) {
						b.Run(fmt.Sprintf("%s/peer=%s", mode, p.name), func(b *testing.B) {
							look := look()
							look(0, min(len(keys), 1<<16))
							sweep(b, goroutines, len(keys), look)
						})
					})
				}
			})
		}
	}
}

// TestHitsReturnTheAnswer checks that the peers do what is measured: that each
// returns for each key what was stored under it.
func TestHitsReturnTheAnswer(t *testing.T) {
	t.Run("int64", func(t *testing.T) { testHits(t, ofInt64) })
	t.Run("string", func(t *testing.T) { testHits(t, ofString) })
	t.Run("struct", func(t *testing.T) { testHits(t, ofStruct) })
}

func testHits[K key](t *testing.T, of func(hitPeer) opener[K]) {
	for _, p := range hitPeers {
		t.Run(p.name, func(t *testing.T) {
			keys := keysOf[K](heldKeys)
			look := of(p)(t, keysOf[K](heldKeys), keys)
			for i := range keys {
				if got, want := look(i, i+1), int64(i); got != want {
					t.Fatalf("the result for %v is %d, want %d", keys[i], got, want)
				}
			}
		})
	}
}

// TestAMissIsNoHit checks that a peer that does not find a key stops the
// benchmark, instead of being measured as fast at it.
func TestAMissIsNoHit(t *testing.T) {
	for _, p := range hitPeers {
		t.Run(p.name, func(t *testing.T) {
			keys := keysOf[string](heldKeys)
			look := p.ofString(t, keys[1:], keys)
			defer func() {
				if recover() == nil {
					t.Error("the look-up of a key that was not stored went unnoticed")
				}
			}()
			look(0, 1)
		})
	}
}

// asText makes an opener for keys of any kind out of one for strings.
func asText[K key](open opener[string]) opener[K] {
	return func(tb testing.TB, stored, keys []K) lookup {
		return open(tb, textsOf(stored), textsOf(keys))
	}
}

func memoHits[K key](_ testing.TB, stored, keys []K) lookup {
	var filled atomic.Bool
	call := memo.Wrap(func(_ context.Context, k K) (int64, error) {
		if filled.Load() {
			return 0, errMissed
		}
		return answer(k), nil
	}, memo.TTL(ttl), memo.Local(roomFor(len(stored))))
	ctx := context.Background()
	for _, k := range stored {
		must(call(ctx, k))
	}
	filled.Store(true)
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			v, err := call(ctx, k)
			if err != nil {
				panic(err)
			}
			sum += v
		}
		return sum
	}
}

// syncMapHits is no cache: nothing expires, and nothing is evicted. It is what
// a look-up by many goroutines costs at least.
func syncMapHits[K key](_ testing.TB, stored, keys []K) lookup {
	var m sync.Map
	for _, k := range stored {
		m.Store(k, answer(k))
	}
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			v, ok := m.Load(k)
			if !ok {
				panic(errMissed)
			}
			sum += v.(int64)
		}
		return sum
	}
}

func otterHits[K key](tb testing.TB, stored, keys []K) lookup {
	c := otter.Must(&otter.Options[K, int64]{
		MaximumSize:      roomFor(len(stored)),
		ExpiryCalculator: otter.ExpiryWriting[K, int64](ttl),
	})
	tb.Cleanup(func() { c.StopAllGoroutines() })
	for _, k := range stored {
		c.Set(k, answer(k))
	}
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			v, ok := c.GetIfPresent(k)
			if !ok {
				panic(errMissed)
			}
			sum += v
		}
		return sum
	}
}

func theineHits[K key](tb testing.TB, stored, keys []K) lookup {
	c := must(theine.NewBuilder[K, int64](capacity).Build())
	tb.Cleanup(c.Close)
	for _, k := range stored {
		c.SetWithTTL(k, answer(k), 1, ttl)
	}
	c.Wait()
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			v, ok := c.Get(k)
			if !ok {
				panic(errMissed)
			}
			sum += v
		}
		return sum
	}
}

// ttlcacheHits does without the touch that makes an item live longer at every
// Get, which the other caches do not do either and which costs time.
func ttlcacheHits[K key](tb testing.TB, stored, keys []K) lookup {
	c := ttlcache.New(
		ttlcache.WithTTL[K, int64](ttl),
		ttlcache.WithCapacity[K, int64](capacity),
		ttlcache.WithDisableTouchOnHit[K, int64](),
	)
	go c.Start()
	tb.Cleanup(c.Stop)
	for _, k := range stored {
		c.Set(k, answer(k), ttlcache.DefaultTTL)
	}
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			item := c.Get(k)
			if item == nil {
				panic(errMissed)
			}
			sum += item.Value()
		}
		return sum
	}
}

// ristrettoHits has ten counters for each item, as ristretto's documentation
// advises, and bounds the number of items: each costs 1 and nothing is added for
// what ristretto needs itself. Its Set may drop what it is given, and is repeated
// then.
func ristrettoHits[K int64 | string](tb testing.TB, stored, keys []K) lookup {
	c := must(ristretto.NewCache(&ristretto.Config[K, int64]{
		NumCounters:        10 * capacity,
		MaxCost:            capacity,
		BufferItems:        64,
		IgnoreInternalCost: true,
	}))
	tb.Cleanup(c.Close)
	for _, k := range stored {
		for !c.SetWithTTL(k, answer(k), 1, ttl) {
			runtime.Gosched()
		}
	}
	c.Wait()
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			v, ok := c.Get(k)
			if !ok {
				panic(errMissed)
			}
			sum += v
		}
		return sum
	}
}

// sturdycHits has the shards and the percentage of sturdyc's first example. It
// does without the goroutine that evicts what has expired, which cannot be
// stopped; a look-up checks the expiry all the same. The function to fetch with
// is one for all keys: one that captures its key would be an allocation more.
func sturdycHits(_ testing.TB, stored, keys []string) lookup {
	c := sturdyc.New[int64](capacity, 10, ttl, 10, sturdyc.WithNoContinuousEvictions())
	for _, k := range stored {
		c.Set(k, answer(k))
	}
	fetch := func(context.Context) (int64, error) { return 0, errMissed }
	ctx := context.Background()
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			v, err := c.GetOrFetch(ctx, k, fetch)
			if err != nil {
				panic(err)
			}
			sum += v
		}
		return sum
	}
}

// goCacheHits has no bound on the number of items: go-cache does not know one.
func goCacheHits(_ testing.TB, stored, keys []string) lookup {
	c := gocache.New(ttl, 10*time.Minute)
	for _, k := range stored {
		c.SetDefault(k, answer(k))
	}
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			v, ok := c.Get(k)
			if !ok {
				panic(errMissed)
			}
			sum += v.(int64)
		}
		return sum
	}
}

// redisCacheHits is the tier in the process only, without a Redis behind it. It
// holds bytes, so each hit decodes its result.
func redisCacheHits(_ testing.TB, stored, keys []string) lookup {
	ctx := context.Background()
	c := rediscache.New(&rediscache.Options{LocalCache: rediscache.NewTinyLFU(capacity, ttl)})
	for _, k := range stored {
		if err := c.Set(&rediscache.Item{Ctx: ctx, Key: k, Value: answer(k)}); err != nil {
			panic(err)
		}
	}
	return func(lo, hi int) (sum int64) {
		var v int64
		for _, k := range keys[lo:hi] {
			if err := c.Get(ctx, k, &v); err != nil {
				panic(err)
			}
			sum += v
		}
		return sum
	}
}
