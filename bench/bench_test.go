package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What every cache is set up with.
const (
	capacity = 10_000
	ttl      = time.Hour
	heldKeys = 1_024 // while hits are measured
)

// roomFor returns the bound of a cache in which n results stay.
func roomFor(n int) int { return max(capacity, 2*n) }

// A key is an argument of the function that the caches remember.
type key interface{ int64 | string | query }

// A query is a struct of the kind that functions take: fixed fields, one of them
// a string.
type query struct {
	Region string
	Tenant int64
	Page   int32
}

// keyOf makes the nth key. Each call makes strings of its own: a caller does not
// look up with the very string that is stored, so none of the caches gets away
// with comparing pointers.
func keyOf[K key](n int) (k K) {
	switch k := any(&k).(type) {
	case *int64:
		*k = int64(n)
	case *string:
		*k = fmt.Sprintf("accounts/profile/%08d", n)
	case *query:
		*k = query{Region: fmt.Sprintf("eu-west-%d", n%3), Tenant: int64(n), Page: 1}
	}
	return k
}

func keysOf[K key](n int) []K {
	keys := make([]K, n)
	for i := range keys {
		keys[i] = keyOf[K](i)
	}
	return keys
}

// textOf is the key of a cache that takes strings only. It ends in n.
func textOf[K key](k K) string {
	switch k := any(k).(type) {
	case int64:
		return strconv.FormatInt(k, 10)
	case string:
		return string([]byte(k))
	case query:
		return fmt.Sprintf("%s/%d/%d", k.Region, k.Page, k.Tenant)
	}
	panic("unreachable")
}

// textsOf makes one text of a key, however often it occurs.
func textsOf[K key](keys []K) []string {
	texts, made := make([]string, len(keys)), map[K]string{}
	for i, k := range keys {
		if _, ok := made[k]; !ok {
			made[k] = textOf(k)
		}
		texts[i] = made[k]
	}
	return texts
}

// answer is the function behind every cache: it returns the n of a key or its
// text.
func answer[K key](k K) int64 {
	switch k := any(k).(type) {
	case int64:
		return k
	case string:
		var n int64
		for _, digit := range []byte(k[max(0, len(k)-8):]) {
			if digit < '0' || digit > '9' {
				n = 0
				continue
			}
			n = n*10 + int64(digit-'0')
		}
		return n
	case query:
		return k.Tenant
	}
	panic("unreachable")
}

// A lookup calls a cache for the keys from lo to hi of those it was made for, and
// returns the sum of the results. The loop is inside so that each cache is
// called as its users call it, and not through a function value. It panics if
// the cache does not do what the benchmark is about.
type lookup func(lo, hi int) int64

// block is how many keys a lookup is given at once. It divides the number of keys
// that hits go around in.
const block = 256

// sink keeps results alive.
var sink atomic.Int64

// sweep makes b.N calls, going around the n keys of look, in so many goroutines.
func sweep(b *testing.B, goroutines, n int, look lookup) {
	var next atomic.Int64
	work := func() {
		var sum int64
		for {
			done := int(next.Add(block)) - block
			if done >= b.N {
				sink.Add(sum)
				return
			}
			lo := done % n
			sum += look(lo, min(lo+block, lo+b.N-done))
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	if goroutines == 1 {
		work()
		return
	}
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(work)
	}
	wg.Wait()
}

// modes are how the calls of a benchmark are made.
func modes(run func(name string, goroutines int)) {
	run("serial", 1)
	run("parallel", runtime.GOMAXPROCS(0))
}

// shuffled returns the peers in random order, so that over several runs none
// always comes after the same other.
func shuffled[P any](peers []P) []P {
	s := make([]P, len(peers))
	for i, j := range rand.Perm(len(peers)) {
		s[i] = peers[j]
	}
	return s
}

// must returns v where err can only be a mistake in the benchmark.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// errMissed is what a look-up panics with that should have been a hit.
var errMissed = errors.New("a key that is stored was not found")
