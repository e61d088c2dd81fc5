package memo_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/store/memstore"
)

// heapOf returns by how much the heap grows per byte of the bound, and per byte that
// the tier says it holds, when a tier of that bound is filled with results of fn.
func heapOf[R any](t *testing.T, limit int64, calls int, fn func(int) R, opts ...memo.Option) (ofLimit, ofBytes float64) {
	t.Helper()
	before := heap()
	// The runtime may keep a timer that was stopped, and with it the cache of the case before.
	own := []memo.Option{memo.LocalBytes(limit), memo.TTL(memo.Forever), memo.LoadTimeout(0)}
	f := memo.New(func(_ context.Context, n int) (R, error) { return fn(n), nil }, append(own, opts...)...)
	for n := range calls {
		if _, err := f.Call(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	s := f.Stats()
	grown := float64(heap()) - float64(before)
	runtime.KeepAlive(f)
	return grown / float64(limit), grown / float64(s.Bytes)
}

// An entry was taken for 256 bytes beside its value, and a value for its length. What
// is held has to fill the bound, and not to pass it.
func TestLocalBytesBoundsTheHeap(t *testing.T) {
	if memo.RaceEnabled {
		t.Skip("memory is not what the race detector is for")
	}
	const limit = 16 << 20
	type row struct {
		ID   int
		Name string
		Tags []string
	}
	blob := func(size int) func(int) []byte { return func(int) []byte { return make([]byte, size) } }
	check := func(name string, ofLimit, ofBytes float64) {
		if ofLimit < 0.75 || ofLimit > 1.25 || ofBytes < 0.75 || ofBytes > 1.25 {
			t.Errorf("%s: the heap grew by %.2f of the bound, and by %.2f of what Stats says", name, ofLimit, ofBytes)
		}
	}
	for _, size := range []int{5, 100, 1000, 10_000, 100_000, 1 << 20} {
		calls := max(2*limit/(size+300), 100)
		of, by := heapOf(t, limit, calls, blob(size))
		check(fmt.Sprintf("%d bytes", size), of, by)
		of, by = heapOf(t, limit, calls, func(n int) string { return strings.Repeat("x", size) })
		check(fmt.Sprintf("a string of %d bytes", size), of, by)
	}
	const many = limit / 100
	of, by := heapOf(t, limit, many, func(n int) int64 { return int64(n) })
	check("int64", of, by)
	of, by = heapOf(t, limit, many, func(n int) *row {
		return &row{n, strconv.Itoa(n), []string{"a" + strconv.Itoa(n), "b" + strconv.Itoa(n)}}
	})
	check("a struct", of, by)
	of, by = heapOf(t, limit, many, func(n int) map[string]int { return map[string]int{strconv.Itoa(n): n, "b": 1, "c": 2} })
	check("a small map", of, by)
	of, by = heapOf(t, limit, 2000, func(n int) map[int]string {
		m := map[int]string{}
		for i := range 500 {
			m[i] = strconv.Itoa(1_000_000 + i)
		}
		return m
	})
	check("a map of 500", of, by)
	of, by = heapOf(t, limit, many, func(n int) any { return n })
	check("an int in an interface", of, by)
	store := memstore.New(&memstore.Options{MaxBytes: 1})
	of, by = heapOf(t, limit, many/2, func(n int) int64 { return int64(n) }, memo.Store(store), memo.Name("n"))
	check("int64 with a store", of, by)
}

// A result took 354 bytes when an entry had room for everything that one can have.
func TestASmallResultTakesLittleMemory(t *testing.T) {
	if memo.RaceEnabled {
		t.Skip("memory is not what the race detector is for")
	}
	const count, most = 100_000, 170
	keys := make([]string, count)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%015d", i)
	}
	before := heap()
	f := memo.New(func(context.Context, string) (int64, error) { return 0, nil }, memo.Local(count))
	for i, key := range keys {
		if err := f.Set(t.Context(), key, int64(1000+i)); err != nil {
			t.Fatal(err)
		}
	}
	if of := float64(int64(heap())-int64(before)) / count; of > most {
		t.Errorf("a result takes %.0f bytes, with its key, want at most %d", of, most)
	}
	runtime.KeepAlive(keys)
	runtime.KeepAlive(f)
}

// What a lock guards was not weighed, so that a tier of 8 MiB held 200.
func TestALockHidesNoWeight(t *testing.T) {
	const size = 100_000
	type embedded struct {
		sync.Mutex
		Data []byte
	}
	type named struct {
		mu   sync.RWMutex
		Text string
		More *embedded
	}
	type pointed struct {
		Mu    *sync.Mutex
		Parts [][]byte
	}
	_ = &new(named).mu // which only reflection looks at
	blob := func() []byte { return make([]byte, size) }
	for name, result := range map[string]any{
		"embedded":    &embedded{Data: blob()},
		"of a field":  &named{Text: string(blob())},
		"twice":       &named{More: &embedded{Data: blob()}},
		"by pointer":  &pointed{Mu: new(sync.Mutex), Parts: [][]byte{blob()}},
		"in a slice":  []*embedded{{Data: blob()}},
		"in a map":    map[string]*embedded{"a": {Data: blob()}},
		"nil pointer": &pointed{Parts: [][]byte{blob()}},
	} {
		f := memo.New(func(context.Context, int) (any, error) { return result, nil })
		f.Call(t.Context(), 1)
		if got := f.Stats().Bytes; got < size || got > size*5/4 {
			t.Errorf("%s: weighs %d, want %d and little more", name, got, size)
		}
	}
	byValue := memo.New(func(context.Context, int) (r embedded, err error) { r.Data = blob(); return })
	byValue.Call(t.Context(), 1)
	if got := byValue.Stats().Bytes; got < size {
		t.Errorf("by value: weighs %d, want %d", got, size)
	}
}

// A result whose lock somebody has is somebody else's too: it is neither waited for nor
// looked at.
func TestAResultThatIsLockedIsNotWaitedFor(t *testing.T) {
	type client struct {
		sync.Mutex
		Peers map[string][]byte
	}
	shared := &client{Peers: map[string][]byte{"a": make([]byte, 1000)}}
	shared.Lock()
	f := memo.New(func(context.Context, int) (*client, error) { return shared, nil })
	f.Call(t.Context(), 1)
	if got := f.Stats().Bytes; got > 1000 {
		t.Errorf("weighs %d, want what is held of it at least: less than 1000", got)
	}
	shared.Unlock()
	f.Call(t.Context(), 2)
	if !shared.TryLock() {
		t.Error("the lock was not given back")
	}
}
