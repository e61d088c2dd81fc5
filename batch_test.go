package memo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A table is something to read many keys from at once. It notes what it was asked
// for.
type table struct {
	mu    sync.Mutex
	asked [][]int
	has   map[int]string
	err   error
}

func newTable() *table { return &table{has: map[int]string{1: "one", 2: "two", 3: "three"}} }

func (t *table) read(_ context.Context, keys []int) (map[int]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = append(t.asked, slices.Clone(keys))
	found := map[int]string{}
	for _, k := range keys {
		if v, ok := t.has[k]; ok {
			found[k] = v
		}
	}
	return found, t.err
}

// questions returns what the table was asked since the last time, sorted.
func (t *table) questions() [][]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	asked := t.asked
	t.asked = nil
	for _, keys := range asked {
		slices.Sort(keys)
	}
	slices.SortFunc(asked, slices.Compare)
	return asked
}

func wantValues(t *testing.T, b *memo.Batch[int, string], keys []int, want map[int]string) {
	t.Helper()
	got, err := b.Call(t.Context(), keys)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Call(%v): %s", keys, diff)
	}
}

func TestBatchAsksOnlyForWhatItDoesNotHold(t *testing.T) {
	for name, opts := range map[string][]memo.Option{
		"alone":  nil,
		"shared": {memo.Store(memstore.New(nil)), memo.Name("batch")},
	} {
		t.Run(name, func(t *testing.T) {
			rows := newTable()
			b := memo.NewBatch(rows.read, opts...)
			wantValues(t, b, []int{2, 1, 2, 9}, map[int]string{1: "one", 2: "two"})
			if diff := cmp.Diff([][]int{{1, 2, 9}}, rows.questions()); diff != "" {
				t.Error(diff)
			}
			wantValues(t, b, []int{1, 2, 3, 9}, map[int]string{1: "one", 2: "two", 3: "three"})
			if diff := cmp.Diff([][]int{{3, 9}}, rows.questions()); diff != "" {
				t.Error(diff)
			}
			wantValues(t, b, nil, map[int]string{})
			if s := b.Stats(); s.Executions != 2 || s.Hits != 2 || s.Misses != 5 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestBatchReadsTheStoreInOneRoundTrip(t *testing.T) {
	s, rows := memstore.New(nil), newTable()
	a := memo.NewBatch(rows.read, memo.Store(faultstore.New(s)), memo.Name("batch"))
	wantValues(t, a, []int{1, 2, 3}, rows.has)
	p := faultstore.New(s)
	b := memo.NewBatch(rows.read, memo.Store(p), memo.Name("batch"))
	wantValues(t, b, []int{1, 2, 3}, rows.has)
	if got := p.Count(faultstore.All); got != 1 {
		t.Errorf("%d operations", got)
	}
	if got := rows.questions(); len(got) != 1 {
		t.Errorf("asked for %v", got)
	}
	if got := b.Stats().SharedHits; got != 3 {
		t.Errorf("%d shared hits", got)
	}
}

// What a call has read for all its keys together is not read again for each of them.
func TestMissesOfABatchTakeThreeOperationsEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 200
		p := faultstore.New(memstore.New(nil))
		f := memo.NewBatch(func(_ context.Context, keys []int) (map[int]int, error) {
			found := map[int]int{}
			for _, n := range keys {
				found[n] = n
			}
			return found, nil
		}, memo.Store(p), memo.Name("f"))
		asked := []int{-1}
		if _, err := f.Call(t.Context(), asked); err != nil { // begins the epoch
			t.Fatal(err)
		}
		for n := range keys {
			asked = append(asked, n)
		}
		each := []faultstore.Op{faultstore.Get, faultstore.Set, faultstore.Add, faultstore.Swap, faultstore.Delete}
		var before, got []int64
		for _, op := range each {
			before = append(before, p.Count(op))
		}
		if _, err := f.Call(t.Context(), asked); err != nil {
			t.Fatal(err)
		}
		for i, op := range each {
			got = append(got, p.Count(op)-before[i])
		}
		if want := []int64{1, 0, keys, keys, 0}; !slices.Equal(got, want) {
			t.Errorf("%d operations to get, set, add, swap and delete, want %d", got, want)
		}
	})
}

func TestEpochsOfABatchAreReadOnceEach(t *testing.T) {
	const keys = 50
	s := memstore.New(nil)
	fn := func(ctx context.Context, keys []int) (map[int]int, error) {
		found := map[int]int{}
		for _, n := range keys {
			found[n] = n
		}
		memo.AddTags(ctx, "a", "b")
		return found, nil
	}
	var asked []int
	for n := range keys {
		asked = append(asked, n)
	}
	g := memo.NewGroup("g")
	memo.NewBatch(fn, memo.Store(faultstore.New(s)), memo.Name("f"), g).Call(t.Context(), asked)

	p, longest := faultstore.New(s), 0
	p.Before(faultstore.All, func(_ context.Context, c faultstore.Call) error {
		longest = max(longest, len(c.Keys))
		return nil
	})
	f := memo.NewBatch(fn, memo.Store(p), memo.Name("f"), memo.NewGroup("g"))
	if _, err := f.Call(t.Context(), asked); err != nil || f.Stats().Executions != 0 {
		t.Fatalf("%d executions, error %v", f.Stats().Executions, err)
	}
	if want := keys + 3; longest > want { // those of the function, the group and its turn
		t.Errorf("%d keys were asked for at once, want %d", longest, want)
	}
}

// Every result of a batch has all tags that fn adds. That is many epochs for each of many
// results, which are begun and read for all of them together.
func TestEpochsOfManyTagsAreBegunOnceForAllResultsOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, tags = 200, 100
		s := memstore.New(nil)
		p := faultstore.New(s)
		var asked atomic.Int64 // for epochs of tags
		p.Before(faultstore.All, func(_ context.Context, c faultstore.Call) error {
			asked.Add(int64(strings.Count(strings.Join(c.Keys, " "), "::tag:")))
			return nil
		})
		fn := func(ctx context.Context, keys []int) (map[int]int, error) {
			found := map[int]int{}
			for _, n := range keys {
				found[n] = n
			}
			for n := range tags {
				memo.AddTags(ctx, fmt.Sprint("row:", n))
			}
			return found, nil
		}
		var rows []int
		for n := range keys {
			rows = append(rows, n)
		}
		f := memo.NewBatch(fn, memo.Store(p), memo.Name("f"), memo.NewGroup("many"))
		f.Call(t.Context(), rows)
		if got := asked.Load(); got > 5*tags { // to read and to add each, and some to renew
			t.Errorf("%d operations for the epochs of %d tags", got, tags)
		}
		again := memo.NewBatch(fn, memo.Store(faultstore.New(s)), memo.Name("f"), memo.NewGroup("many"))
		if again.Call(t.Context(), rows); again.Stats().Executions != 0 {
			t.Error("the next process executes what is stored")
		}
	})
}

func TestBatchIsSplitByMaxBatch(t *testing.T) {
	rows := newTable()
	b := memo.NewBatch(rows.read, memo.MaxBatch(2))
	wantValues(t, b, []int{1, 2, 3}, rows.has)
	var sizes []int
	for _, keys := range rows.questions() {
		sizes = append(sizes, len(keys))
	}
	slices.Sort(sizes)
	if diff := cmp.Diff([]int{1, 2}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentBatchesExecuteEachKeyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var mu sync.Mutex
		runs := map[int]int{}
		slow := func(_ context.Context, keys []int) (map[int]string, error) {
			mu.Lock()
			found := map[int]string{}
			for _, k := range keys {
				runs[k]++
				found[k] = strings.Repeat("x", k)
			}
			mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			return found, nil
		}
		var wg sync.WaitGroup
		for range 3 {
			b := memo.NewBatch(slow, memo.Store(faultstore.New(s)), memo.Name("batch"), memo.MaxBatch(7))
			for from := range 10 {
				wg.Go(func() {
					keys := make([]int, 20)
					for i := range keys {
						keys[i] = from + i
					}
					got, err := b.Call(t.Context(), keys)
					if err != nil || len(got) != len(keys) {
						t.Errorf("got %d values, %v", len(got), err)
					}
					for k, v := range got {
						if len(v) != k {
							t.Errorf("key %d has the value of %d", k, len(v))
						}
					}
				})
			}
		}
		wg.Wait()
		for k, n := range runs {
			if n != 1 {
				t.Errorf("key %d was executed %d times", k, n)
			}
		}
	})
}

func TestMissingKeysAreRememberedIfAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rows := memstore.New(nil), newTable()
		a := memo.NewBatch(rows.read, memo.CacheMissing(time.Second), memo.Store(faultstore.New(s)), memo.Name("batch"))
		b := memo.NewBatch(rows.read, memo.CacheMissing(time.Second), memo.Store(faultstore.New(s)), memo.Name("batch"))
		for _, f := range []*memo.Batch[int, string]{a, b, a, b} {
			wantValues(t, f, []int{9}, map[int]string{})
		}
		if got := rows.questions(); len(got) != 1 {
			t.Errorf("asked for %v", got)
		}
		if _, err := a.Peek(t.Context(), 9); err != memo.ErrMiss {
			t.Errorf("Peek returned %v", err)
		}
		rows.has[9] = "nine"
		time.Sleep(time.Second)
		wantValues(t, b, []int{9}, map[int]string{9: "nine"})
	})
}

func TestBatchLosesNoValueToAnError(t *testing.T) {
	rows := newTable()
	rows.err = errors.New("half of the table is down")
	b := memo.NewBatch(rows.read)
	b.Set(t.Context(), 7, "seven")
	got, err := b.Call(t.Context(), []int{1, 7, 9, 10})
	if err != rows.err {
		t.Errorf("got error %v", err)
	}
	if diff := cmp.Diff(map[int]string{1: "one", 7: "seven"}, got); diff != "" {
		t.Error(diff)
	}
	rows.err = nil
	rows.questions()
	wantValues(t, b, []int{1, 9}, map[int]string{1: "one"})
	if diff := cmp.Diff([][]int{{9}}, rows.questions()); diff != "" {
		t.Error(diff)
	}
}

func TestPanicOfABatchReachesItsCallers(t *testing.T) {
	b := memo.NewBatch(func(context.Context, []int) (map[int]int, error) { panic("boom") })
	defer func() {
		p, ok := recover().(*memo.PanicError)
		if !ok || p.Value != "boom" || !strings.Contains(string(p.Stack), "TestPanicOfABatch") {
			t.Errorf("got %v", p)
		}
	}()
	b.Call(t.Context(), []int{1, 2, 3})
}

func TestBatchThatWaitsForItselfGetsErrRecursive(t *testing.T) {
	var b *memo.Batch[int, int]
	b = memo.NewBatch(func(ctx context.Context, keys []int) (map[int]int, error) {
		_, err := b.Call(ctx, []int{keys[len(keys)-1]})
		return nil, err
	})
	if _, err := b.Call(t.Context(), []int{1, 2, 3}); !errors.Is(err, memo.ErrRecursive) {
		t.Errorf("got %v", err)
	}
}

func TestCallerOfABatchLeavesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cancelled atomic.Bool
		b := memo.NewBatch(func(ctx context.Context, keys []int) (map[int]int, error) {
			<-ctx.Done()
			cancelled.Store(true)
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { _, err := b.Call(ctx, []int{1, 2}); done <- err }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if !cancelled.Load() {
			t.Error("the execution was not cancelled when everyone had left")
		}
	})
}

func TestWhatFnSaysHoldsForAllValuesOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := memo.NewGroup("batches")
		rows := newTable()
		b := memo.NewBatch(func(ctx context.Context, keys []int) (map[int]string, error) {
			memo.SetTTL(ctx, time.Hour)
			memo.AddTags(ctx, "rows")
			return rows.read(ctx, keys)
		}, g)
		wantValues(t, b, []int{1, 2}, map[int]string{1: "one", 2: "two"})
		time.Sleep(30 * time.Minute)
		wantValues(t, b, []int{1, 2}, map[int]string{1: "one", 2: "two"})
		if got := rows.questions(); len(got) != 1 {
			t.Errorf("asked for %v", got)
		}
		g.InvalidateTags(t.Context(), "rows")
		wantValues(t, b, []int{1, 2}, map[int]string{1: "one", 2: "two"})
		if got := rows.questions(); len(got) != 1 {
			t.Errorf("asked for %v", got)
		}
	})
}

func TestStaleValuesOfABatchAreRefreshedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := newTable()
		b := memo.NewBatch(rows.read, memo.TTL(time.Second), memo.StaleWhileRevalidate(time.Minute))
		old := maps.Clone(rows.has)
		wantValues(t, b, []int{1, 2, 3}, old)
		rows.questions()
		rows.has[1] = "uno"
		time.Sleep(2 * time.Second)
		wantValues(t, b, []int{1, 2, 3}, old)
		synctest.Wait()
		if diff := cmp.Diff([][]int{{1, 2, 3}}, rows.questions()); diff != "" {
			t.Error(diff)
		}
		wantValues(t, b, []int{1}, map[int]string{1: "uno"})
	})
}

func TestDisabledBatchTouchesNoCache(t *testing.T) {
	rows := newTable()
	b := memo.NewBatch(rows.read, memo.MaxBatch(2))
	for range 2 {
		got, err := b.With(memo.Disabled(true)).Call(t.Context(), []int{1, 2, 2, 3})
		if diff := cmp.Diff(rows.has, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	if diff := cmp.Diff([][]int{{1, 2}, {1, 2}, {3}, {3}}, rows.questions()); diff != "" {
		t.Error(diff)
	}
}

// A sulking observer panics when it is told of a miss.
type sulking struct{}

func (sulking) Observe(_ context.Context, e memo.Event) {
	if e.Kind == memo.EventMiss {
		panic("observer")
	}
}

// The keys of a batch are waited for in goroutines of memo's, where nobody could
// recover what an observer panics with.
func TestPanicOfAnObserverReachesTheCallerOfABatch(t *testing.T) {
	b := memo.NewBatch(newTable().read, memo.Observe(sulking{}))
	defer func() {
		if p, ok := recover().(*memo.PanicError); !ok || p.Value != "observer" {
			t.Errorf("got %v", p)
		}
	}()
	b.Call(t.Context(), []int{1, 2})
}
