package memo_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
)

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestMemoryIsBoundedByTheNumberOfEntries(t *testing.T) {
	const most = 1000
	distinct := 200_000
	if memo.RaceEnabled { // it takes ten times as long then, and memory is not what the detector is for
		distinct = 20_000
	}
	before := heap()
	f := memo.New(func(_ context.Context, k string) (string, error) { return k[:8], nil }, memo.Local(most))
	padding := strings.Repeat("x", 1024-8)
	for i := range distinct {
		if _, err := f.Call(t.Context(), fmt.Sprintf("%08d", i)+padding); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(heap()) - int64(before); grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB, want at most 32", grown>>20)
	}
	s := f.Stats()
	if s.Entries > most || s.Entries < most/2 {
		t.Errorf("%d entries are held, want close to %d", s.Entries, most)
	}
	if s.Evictions != uint64(distinct)-s.Entries {
		t.Errorf("%d evictions, want %d: all but what is held", s.Evictions, uint64(distinct)-s.Entries)
	}
	runtime.KeepAlive(f)
}

func TestLocalBytesBoundsTheWeightOfEntries(t *testing.T) {
	const limit, size = 1 << 20, 10_000
	f := memo.New(func(_ context.Context, n int) ([]byte, error) { return make([]byte, size), nil }, memo.LocalBytes(limit))
	for n := range 1000 {
		f.Call(t.Context(), n)
	}
	s := f.Stats()
	if s.Bytes > limit || s.Bytes < limit/2 {
		t.Errorf("%d bytes are held, want close to %d", s.Bytes, limit)
	}
	if per := s.Bytes / s.Entries; per < size || per > size+1000 {
		t.Errorf("an entry of %d bytes weighs %d", size, per)
	}
}

func TestResultThatIsLargerThanTheTierIsNotHeld(t *testing.T) {
	f := memo.New(func(context.Context, int) ([]byte, error) { return make([]byte, 1<<20), nil }, memo.LocalBytes(1<<10))
	if got, err := f.Call(t.Context(), 1); len(got) != 1<<20 || err != nil {
		t.Errorf("Call = %d bytes, %v", len(got), err)
	}
	if s := f.Stats(); s.Entries != 0 || s.Bytes != 0 {
		t.Errorf("Stats = %+v, want nothing held", s)
	}
}

func TestEstimateFollowsWhatAResultLeadsTo(t *testing.T) {
	type leaf struct {
		Name  string
		Blob  []byte
		Next  *leaf
		notes []string
	}
	text := strings.Repeat("x", 1000)
	for name, c := range map[string]struct {
		value any
		least uint64
	}{
		"string":          {text, 1000},
		"slice":           {[]string{text, text}, 2000},
		"long slice":      {slicesOf(text, 5000), 4_000_000},
		"map":             {map[string][]byte{text: []byte(text)}, 2000},
		"pointers":        {&leaf{Name: text, Blob: []byte(text), Next: &leaf{Name: text}}, 3000},
		"interface":       {[]any{text, &leaf{Name: text}}, 2000},
		"array":           {[2]string{text, text}, 2000},
		"unexported part": {leaf{notes: []string{text}}, 0},
	} {
		f := memo.New(func(context.Context, int) (any, error) { return c.value, nil })
		f.Call(t.Context(), 1)
		got := f.Stats().Bytes
		if got < c.least || got > c.least*3/2+1000 {
			t.Errorf("%s: estimated at %d bytes, want at least %d and not much more", name, got, c.least)
		}
	}
}

// A client that is made once for each argument guards what it goes on changing. To
// estimate its size memo went through its map, without the lock.
func TestResultsThatGuardThemselvesAreLeftAlone(t *testing.T) {
	type client struct {
		sync.Mutex
		Peers map[string]string
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	dial := memo.New(func(context.Context, int) (*client, error) {
		c := &client{Peers: map[string]string{}}
		begun := make(chan struct{})
		wg.Go(func() {
			close(begun)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				c.Lock()
				c.Peers[strconv.Itoa(i%100)] = strconv.Itoa(i)
				c.Unlock()
			}
		})
		<-begun
		return c, nil
	})
	for i := range 20 {
		dial.Call(t.Context(), i)
	}
	close(stop)
	wg.Wait()
	if s := dial.Stats(); s.Bytes < 20*256 {
		t.Errorf("Stats = %+v, want them counted all the same", s)
	}
}

func slicesOf(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func TestNoLocalHoldsNothing(t *testing.T) {
	runs := 0
	f := memo.New(func(context.Context, string) (int, error) { runs++; return runs, nil }, memo.NoLocal())
	wantCall(t, f, 1)
	wantCall(t, f, 2)
	if err := f.Set(t.Context(), "k", 7); err != nil {
		t.Error(err)
	}
	if err := f.Clear(t.Context()); err != nil {
		t.Error(err)
	}
	wantCall(t, f, 3)
	if s := f.Stats(); s.Entries != 0 {
		t.Errorf("Stats = %+v, want no entries", s)
	}
}

func TestClearGivesTheMemoryBack(t *testing.T) {
	g := memo.NewGroup("g")
	for name, clear := range map[string]func(*memo.Func[int, []byte]) error{
		"Clear":       func(f *memo.Func[int, []byte]) error { return f.Clear(t.Context()) },
		"Group.Clear": func(*memo.Func[int, []byte]) error { return g.Clear(t.Context()) },
	} {
		f := memo.New(func(context.Context, int) ([]byte, error) { return make([]byte, 100), nil }, g)
		for n := range 100 {
			f.Call(t.Context(), n)
		}
		if err := clear(f); err != nil {
			t.Error(err)
		}
		if s := f.Stats(); s.Entries != 0 || s.Bytes != 0 || s.Executions != 100 {
			t.Errorf("%s: Stats = %+v, want nothing held and the counters kept", name, s)
		}
	}
}

// What is asked for often stays, though most hits are not reported to the
// eviction policy one by one.
func TestOftenUsedResultsSurviveAScan(t *testing.T) {
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Local(1000), memo.TTL(time.Hour))
	ctx := t.Context()
	const hot = 100
	next := hot
	for range 10 {
		for n := range hot {
			for range 20 {
				f.Call(ctx, n)
			}
		}
		for range 1000 {
			f.Call(ctx, next)
			next++
		}
	}
	before := f.Stats().Executions
	for n := range hot {
		f.Call(ctx, n)
	}
	if lost := f.Stats().Executions - before; lost > hot/10 {
		t.Errorf("%d of %d hot results were evicted by a scan", lost, hot)
	}
}

func TestDroppedFunctionsLeaveNothingBehind(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	before := heap()
	g := memo.NewGroup("g")
	for i := range 200 {
		f := memo.New(func(_ context.Context, n int) ([]byte, error) { return make([]byte, 10_000), nil },
			g, memo.StaleWhileRevalidate(time.Hour), memo.EarlyRefresh(1))
		for n := range 100 {
			if _, err := f.Call(t.Context(), n); err != nil {
				t.Fatal(i, err)
			}
		}
	}
	if got := g.Stats().Executions; got != 200*100 {
		t.Errorf("the group counts %d executions, want %d, those of dropped functions included", got, 200*100)
	}
	eventually(t, "goroutines and memory are given back", func() bool {
		return runtime.NumGoroutine() <= goroutines && int64(heap())-int64(before) < 16<<20
	})
	if got := g.Stats().Executions; got != 200*100 {
		t.Errorf("after the collection the group counts %d executions, want %d", got, 200*100)
	}
	runtime.KeepAlive(g)
}

// eventually waits for what other goroutines or the collector have yet to do.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("waited for 10s in vain until %s\n%s", what, bytes.TrimRight(buf[:runtime.Stack(buf, true)], "\x00"))
		}
	}
}

func TestTierIsSafeForConcurrentUse(t *testing.T) {
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Local(50))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				n := (i*7 + g) % 200
				if got, err := f.Call(t.Context(), n); got != n || err != nil {
					t.Errorf("Call(%d) = %d, %v", n, got, err)
					return
				}
				switch i % 100 {
				case 0:
					f.Invalidate(t.Context(), n)
				case 1:
					f.Clear(t.Context())
				case 2:
					f.Set(t.Context(), n, n)
				case 3:
					f.Stats()
				}
			}
		})
	}
	wg.Wait()
	if s := f.Stats(); s.Entries > 50 {
		t.Errorf("%d entries are held, want at most 50", s.Entries)
	}
}
