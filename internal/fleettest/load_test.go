package fleettest

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
)

// A busy process calls functions that add tags from inside, with many callers at once.
type busy struct {
	group *memo.Group
	inner *memo.Func[int, int]
	outer *memo.Func[int, int]
	batch *memo.Batch[int, int]
	runs  atomic.Int64
	log   *journal
}

// busyProgram is one as a process, with a kind of server and its address as arguments.
//
//	calls n k, nested n k    n callers who call a function with each of k keys
//	batch n k                n callers who call a batch with k keys
//	report                   executions, store errors, and what was logged
var busyProgram = testserver.NewProgram("busy", func(args []string) testserver.Commands {
	b, err := newBusy(args[0], args[1])
	if err != nil {
		panic(err)
	}
	return testserver.Commands{
		"calls":  b.crowd(func(keys int) error { return callEach(b.inner, keys) }),
		"nested": b.crowd(func(keys int) error { return callEach(b.outer, keys) }),
		"batch":  b.crowd(b.callBatch),
		"report": func(...string) (string, error) {
			return fmt.Sprintf("%d executions, %d store errors, log: %q", b.runs.Load(), b.group.Stats().StoreErrors, b.log), nil
		},
	}
})

func newBusy(kind, addr string) (*busy, error) {
	s, err := open(kind, addr)
	if err != nil {
		return nil, err
	}
	b := &busy{log: newJournal()}
	// No call may go on without the store because the machine is busy.
	b.group = memo.NewGroup("g", memo.Store(s), memo.StoreTimeout(patience), memo.Logger(slog.New(b.log)))
	b.inner = memo.New(func(ctx context.Context, n int) (int, error) {
		b.runs.Add(1)
		memo.AddTags(ctx, fmt.Sprint("number:", n), "numbers")
		return n, nil
	}, b.group, memo.Name("inner"))
	b.outer = memo.New(func(ctx context.Context, n int) (int, error) {
		b.runs.Add(1)
		memo.AddTags(ctx, fmt.Sprint("outer:", n))
		return b.inner.Call(ctx, n)
	}, b.group, memo.Name("outer"))
	b.batch = memo.NewBatch(func(ctx context.Context, ns []int) (map[int]int, error) {
		b.runs.Add(int64(len(ns)))
		memo.AddTags(ctx, "batch", "numbers")
		all := map[int]int{}
		for _, n := range ns {
			all[n] = n
		}
		return all, nil
	}, b.group, memo.Name("batch"))
	return b, nil
}

func callEach(f *memo.Func[int, int], keys int) error {
	for n := range keys {
		if got, err := f.Call(context.Background(), n); got != n || err != nil {
			return fmt.Errorf("got %d, %v, want %d", got, err, n)
		}
	}
	return nil
}

func (b *busy) callBatch(size int) error {
	keys := make([]int, size)
	for i := range keys {
		keys[i] = i
	}
	if got, err := b.batch.Call(context.Background(), keys); len(got) != size || err != nil {
		return fmt.Errorf("got %d results, %v, want %d", len(got), err, size)
	}
	return nil
}

// crowd has many callers do the same at once.
func (b *busy) crowd(call func(keys int) error) func(args ...string) (string, error) {
	return func(args ...string) (string, error) {
		callers, _ := strconv.Atoi(args[0])
		keys, err := strconv.Atoi(args[1])
		if err != nil {
			return "", err
		}
		errs := make([]error, callers)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() { errs[i] = call(keys) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return "", err
			}
		}
		return "", nil
	}
}

// Most of what many callers had executed did not reach the store, when its tags came from
// inside: of 600 keys some 500, of a batch all. The next process executed it again.
func TestNextProcessExecutesNothingThatABusyOneHas(t *testing.T) {
	const callers, keys = "16", "1000"
	for _, kind := range []string{"redis", "memcached"} {
		t.Run(kind, func(t *testing.T) {
			addr := servers[kind](t)
			first, second := busyProgram.Start(t, 1, kind, addr)[0], busyProgram.Start(t, 1, kind, addr)[0]
			for _, p := range []*testserver.Process{first, second} {
				for _, what := range []string{"nested", "calls", "batch"} {
					if _, err := p.Do(what, callers, keys); err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
			}
			for p, want := range map[*testserver.Process]string{
				first:  `3000 executions, 0 store errors, log: ""`,
				second: `0 executions, 0 store errors, log: ""`,
			} {
				if got, err := p.Do("report"); got != want || err != nil {
					t.Errorf("got %s, %v, want %s", got, err, want)
				}
			}
		})
	}
}
