//go:build !race

package httpcache_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/store/memstore"
)

// heapNow returns the bytes in use once they have stopped becoming fewer: what earlier
// tests have left goes by and by.
func heapNow() int64 {
	least, calm := int64(math.MaxInt64), 0
	for calm < 3 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		if now := int64(m.HeapAlloc); now < least-64<<10 {
			least, calm = now, 0
		} else {
			calm++
		}
	}
	return least
}

// discarding is a client that keeps nothing.
type discarding struct{ h http.Header }

func (d discarding) Header() http.Header         { return d.h }
func (d discarding) Write(p []byte) (int, error) { return len(p), nil }
func (d discarding) WriteHeader(int)             {}

// pagesOf returns a handler of pages of size bytes.
func pagesOf(size int, set func(h http.Header, path string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		set(w.Header(), r.URL.Path)
		w.Write(make([]byte, size))
	})
}

// A cache of 128 MiB that held pages of 5 bytes took 254 MiB: what a response is beside
// its body was not weighed.
func TestLocalBytesBoundsTheHeapOfACache(t *testing.T) {
	const limit = 8 << 20
	check := func(size, times int, set func(http.Header, string), opts ...memo.Option) {
		t.Helper()
		var grown float64
		for range 3 { // a goroutine of an earlier test that ends meanwhile spoils a measurement
			cache := httpcache.New(nil, append([]memo.Option{memo.LocalBytes(limit)}, opts...)...)
			grown = float64(fill(cache, limit, size, times, set)) / limit
			if grown >= 0.75 && grown <= 1.25 {
				return
			}
		}
		t.Errorf("pages of %d bytes, asked for %d times: the heap grew by %.2f of LocalBytes", size, times, grown)
	}
	for _, size := range []int{5, 200, 4 << 10} {
		for _, set := range []func(http.Header, string){noFields, aDozen, varying} {
			check(size, 1, set)
		}
	}
	check(5, 1, aCut)
	check(5, 2, noFields)
	check(5, 2, varying)
	check(256<<10, 2, aDozen)
	check(1<<20, 1, varying)

	shared := []memo.Option{memo.Store(memstore.New(nil)), memo.Name("pages"), memo.SharedName()}
	first := httpcache.New(nil, shared...)
	fill(first, limit, 200, 1, aDozen) // what the next one reads
	check(200, 2, aDozen, shared...)
	runtime.KeepAlive(first) // or it might be collected while the next one is measured
}

func noFields(http.Header, string) {}

func varying(h http.Header, path string) {
	h.Set("Vary", "Accept-Language")
	h.Set("Etag", `"`+path+`"`)
}

func aDozen(h http.Header, path string) {
	for i := range 10 {
		h.Set("X-Field-"+strconv.Itoa(i), "some text that many pages have")
	}
	h["X-List"] = []string{"one", "two " + path}
}

// aCut sets a field to a small part of what would otherwise be collected.
func aCut(h http.Header, path string) { h.Set("X-Path", strings.Repeat(path, 1000)[:20]) }

// fill returns by how much the heap grows when a cache gets more pages than limit
// holds, each several times.
func fill(cache *httpcache.Cache, limit, size, times int, set func(http.Header, string)) int64 {
	before := heapNow()
	pages := cache.Handler(pagesOf(size, set))
	for i := range limit/(size+1000) + 10 {
		r := httptest.NewRequest("GET", fmt.Sprintf("/pages/%d", i), nil)
		for range times {
			pages.ServeHTTP(discarding{http.Header{}}, r)
		}
	}
	grown := heapNow() - before
	runtime.KeepAlive(cache)
	return grown
}
