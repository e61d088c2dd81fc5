package memo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A workload has many results made at once. ask returns when its calls have, and again
// asks for the same.
type workload struct {
	opts  []memo.Option
	ask   func(t *testing.T, p *program, n int)
	again func(t *testing.T, p *program, n int)
}

// A program is what one process runs: functions of one group, which add tags.
type program struct {
	executions atomic.Int64
	slow       atomic.Bool   // storing the results of one takes longer
	took       time.Duration // how long fn takes
	leave      func()        // what it does in the end, if set

	group *memo.Group
	one   *memo.Func[int, int]
	outer *memo.Func[int, int]
	batch *memo.Batch[int, int]
}

// newProgram makes a program whose store takes a millisecond for each operation.
func newProgram(s store.Store, log io.Writer, opts ...memo.Option) *program {
	a := new(program)
	p := faultstore.New(s, func(ctx context.Context, c faultstore.Call) error {
		if a.slow.Load() && c.Op == faultstore.Swap && c.Has(":one:") {
			return faultstore.Delay(20*time.Millisecond)(ctx, c)
		}
		return faultstore.Delay(time.Millisecond)(ctx, c)
	})
	a.group = memo.NewGroup("g", append(memo.Options{memo.Store(p), memo.Logger(slog.New(slog.NewTextHandler(log, nil))), memo.TTL(time.Hour)}, opts...))
	a.one = memo.New(a.run, a.group, memo.Name("one"))
	a.outer = memo.New(func(ctx context.Context, n int) (int, error) {
		n, err := a.one.Call(ctx, n)
		a.executions.Add(1)
		memo.AddTags(ctx, fmt.Sprint("outer", n))
		return n, err
	}, a.group, memo.Name("outer"))
	a.batch = memo.NewBatch(func(ctx context.Context, ns []int) (map[int]int, error) {
		a.executions.Add(int64(len(ns)))
		all := map[int]int{}
		for _, n := range ns {
			memo.AddTags(ctx, fmt.Sprint("t", n%10))
			all[n] = n
		}
		a.pause()
		return all, nil
	}, a.group, memo.Name("batch"))
	return a
}

func (a *program) run(ctx context.Context, n int) (int, error) {
	a.executions.Add(1)
	memo.AddTags(ctx, fmt.Sprint("t", n))
	a.pause()
	return n, nil
}

func (a *program) pause() {
	time.Sleep(a.took)
	if a.leave != nil {
		a.leave()
	}
}

// each calls f with each number below n, all at once.
func each(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func callEach(t *testing.T, p *program, n int) {
	each(n, func(i int) { p.one.Call(t.Context(), i) })
}

func callOuter(t *testing.T, p *program, n int) {
	each(n, func(i int) { p.outer.Call(t.Context(), i) })
}

func callBatch(t *testing.T, p *program, n int) { p.batch.Call(t.Context(), numbers(n)) }

var workloads = map[string]workload{
	"calls":        {ask: callEach, again: callEach},
	"nested calls": {ask: callOuter, again: callOuter},
	"nested calls, whose inner results the callers do not wait for": {ask: func(t *testing.T, p *program, n int) {
		p.slow.Store(true) // its results are stored after StoreTimeout
		callOuter(t, p, n)
		time.Sleep(time.Minute)
		p.slow.Store(false)
	}, again: callOuter},
	"a batch": {ask: callBatch, again: callBatch},
	"Refresh": {ask: func(t *testing.T, p *program, n int) {
		each(n, func(i int) { p.one.Refresh(t.Context(), i) })
	}, again: callEach},
	"Set by a caller who has hung up": {ask: func(t *testing.T, p *program, n int) {
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		each(n, func(i int) {
			if err := p.one.Set(ctx, i, i); err != nil {
				t.Error(err)
			}
		})
	}, again: callEach},
	"background refreshes": {
		opts: []memo.Option{memo.TTL(time.Minute), memo.StaleWhileRevalidate(time.Hour)},
		ask: func(t *testing.T, p *program, n int) {
			callEach(t, p, n)
			time.Sleep(2 * time.Minute)
			callEach(t, p, n)
			time.Sleep(time.Second)
		}, again: callEach,
	},
	"callers who leave as fn returns": {ask: func(t *testing.T, p *program, n int) {
		ctx, hangUp := context.WithCancel(t.Context())
		var open atomic.Int64
		open.Store(int64(n))
		p.took, p.leave = 100*time.Millisecond, func() {
			if open.Add(-1) == 0 {
				hangUp()
			}
		}
		each(n, func(i int) { p.one.Call(ctx, i) })
		time.Sleep(time.Second)
	}, again: callEach},
	"callers of a batch who leave as fn returns": {ask: func(t *testing.T, p *program, n int) {
		ctx, hangUp := context.WithCancel(t.Context())
		p.leave = hangUp
		p.batch.Call(ctx, numbers(n))
		time.Sleep(time.Second)
	}, again: callBatch},
	"LoadTimeout as fn returns": {opts: []memo.Option{memo.LoadTimeout(time.Second)}, ask: func(t *testing.T, p *program, n int) {
		p.took = time.Second
		callEach(t, p, n)
		time.Sleep(time.Second)
	}, again: callEach},
}

// Everything that happens after fn has returned ran under fn's context, which is over by
// then. As soon as results had to queue for the store, those whose tags were unknown
// got lost, with nothing but a counter to tell.
func TestWhatFnHasReturnedIsStoredThoughItsContextIsOver(t *testing.T) {
	const n = 300
	for name, w := range workloads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				var log bytes.Buffer
				first, second := newProgram(s, &log, w.opts...), newProgram(s, &log, w.opts...)
				w.ask(t, first, n)
				w.again(t, second, n)
				time.Sleep(time.Minute) // leases are given back
				if got := second.executions.Load(); got > 0 {
					t.Errorf("another process executed %d of %d again", got, n)
				}
				for _, p := range []*program{first, second} {
					if got := p.group.Stats().StoreErrors; got > 0 {
						t.Errorf("%d store errors of a store in order", got)
					}
				}
				if log.Len() > 0 {
					t.Errorf("logged:\n%s", log.String())
				}
			})
		})
	}
}

// A result that did not reach a store in order was counted, and nothing said why.
func TestResultThatIsNotStoredIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := faultstore.New(memstore.New(nil))
		f := memo.New(square, memo.Store(p), memo.Name("square"), memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		f.Call(t.Context(), 0)
		lost := map[string]bool{}
		p.Before(faultstore.Swap, func(_ context.Context, c faultstore.Call) error {
			if lost[c.Keys[0]] {
				return nil
			}
			lost[c.Keys[0]] = true // but the lease is given back
			return errors.New("full")
		})
		lines := func() (lines []string) {
			for line := range strings.Lines(log.String()) {
				lines = append(lines, line)
			}
			return lines
		}
		for n := range 100 {
			f.Call(t.Context(), n+1)
			synctest.Wait()
		}
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], "a result was not stored") || !strings.Contains(got[0], "full") || strings.Contains(got[0], "unreported") {
			t.Errorf("for a hundred results this is logged:\n%s", log.String())
		}
		time.Sleep(time.Minute)
		f.Call(t.Context(), 1000)
		synctest.Wait()
		if got := lines(); len(got) != 2 || !strings.Contains(got[1], "unreported=99") {
			t.Errorf("a minute later this is logged:\n%s", log.String())
		}
	})
}

// What a store in trouble does not take is not told result by result: it is out of order,
// and that is told once.
func TestResultsThatAreLostInAnOutageAreOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := faultstore.New(memstore.New(nil))
		f := memo.New(square, memo.Store(p), memo.Name("square"), memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		f.Call(t.Context(), 0)
		mend := p.Down(errDown)
		each(100, func(n int) { f.Call(t.Context(), n+1) })
		mend()
		time.Sleep(time.Second)
		each(100, func(n int) { f.Call(t.Context(), n+1000) })
		if got := strings.Count(log.String(), "\n"); got != 2 || strings.Contains(log.String(), "not stored") {
			t.Errorf("logged:\n%swant that the store is out, and that it is back", log.String())
		}
	})
}

// Results for a store that is slow piled up in memory, as many as were executed.
func TestResultsThatWaitForASlowStoreAreBounded(t *testing.T) {
	const n, size, most = 1000, 1 << 20, 128 // results of a MiB, and how many may wait
	page := make([]byte, size)
	for name, opts := range map[string]memo.Options{"StoreTimeout": nil, "no StoreTimeout": {memo.StoreTimeout(0)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				c := &counting{Codec: codec.JSON}
				s := memstore.New(nil)
				slow, stored := slowForPages(s, c)
				f := memo.New(func(context.Context, int) ([]byte, error) {
					time.Sleep(time.Second)
					return page, nil
				}, append(opts, memo.Store(slow), memo.Name("page"), memo.NoLocal(), memo.TTL(memo.Forever), memo.Codec(c), memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))...)
				each(n, func(i int) { f.Call(t.Context(), i) })
				time.Sleep(time.Hour)
				if got := stored.Load(); got == 0 || got > most+3*16 { // some were written before their callers had gone
					t.Errorf("%d results of a MiB were stored an hour later, want %d or a few more", got, most)
				}
				if got := c.most.Load(); got > 16 {
					t.Errorf("%d results were encoded at a time, want one for each write", got)
				}
				if !strings.Contains(log.String(), "too many results are waiting") {
					t.Errorf("of the others this is logged:\n%s", log.String())
				}
			})
		})
	}
}

// A counting codec counts what it has encoded.
type counting struct {
	codec.Codec
	encoded, most atomic.Int64
}

func (c *counting) Append(b []byte, v any) ([]byte, error) {
	if len(*v.(*[]byte)) < len(aPage) { // a sample
		return c.Codec.Append(b, v)
	}
	raise(&c.most, c.encoded.Add(1))
	return append(b, aPage...), nil
}

const aPage = `"aaaaaaaaaaaaaaaa"`

// slowForPages returns a store that takes almost too long to store a page that c has
// encoded, and how many it was given.
func slowForPages(s store.Store, c *counting) (p *faultstore.Store, stored *atomic.Int64) {
	p, stored = faultstore.New(s), new(atomic.Int64)
	isPage := func(c faultstore.Call) bool { return bytes.Contains(c.Value, []byte(aPage)) }
	p.Before(faultstore.Swap, func(_ context.Context, call faultstore.Call) error {
		if isPage(call) {
			stored.Add(1)
			time.Sleep(240 * time.Millisecond)
		}
		return nil
	})
	p.After(faultstore.Swap, func(_ context.Context, call faultstore.Call) error {
		if isPage(call) {
			c.encoded.Add(-1)
		}
		return nil
	})
	return p, stored
}

// The leases of a big batch and those of its results that were late in the queue ran out
// or got no turn, though the store was quick.
func TestBigBatchIsStoredWholeByAQuickStore(t *testing.T) {
	for name, c := range map[string]struct {
		keys int
		each time.Duration // that the store takes for an operation
		took time.Duration // that fn takes
	}{
		"10,000 keys":              {10_000, 500 * time.Microsecond, 0},
		"a function that is slow":  {3000, 2 * time.Millisecond, 7 * time.Second},
		"a store that is far away": {600, 5 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := memstore.New(&memstore.Options{MaxBytes: 1 << 30})
				var runs, writing, most atomic.Int64
				start := func() *memo.Batch[int, int] {
					p := faultstore.New(s, func(ctx context.Context, call faultstore.Call) error {
						if call.Op == faultstore.Swap {
							raise(&most, writing.Add(1))
							defer writing.Add(-1)
						}
						return faultstore.Delay(c.each)(ctx, call)
					})
					return memo.NewBatch(func(ctx context.Context, ns []int) (map[int]int, error) {
						memo.AddTags(ctx, "t")
						runs.Add(int64(len(ns)))
						time.Sleep(c.took)
						return squares(ctx, ns)
					}, memo.NewGroup("g"), memo.Store(p), memo.Name("squares"), memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
				}
				for range 2 {
					b := start()
					if got, err := b.Call(t.Context(), numbers(c.keys)); len(got) != c.keys || err != nil {
						t.Errorf("got %d results, %v", len(got), err)
					}
					time.Sleep(time.Minute / 2)
					if got := b.Stats().StoreErrors; got > 0 {
						t.Errorf("%d store errors of a store in order", got)
					}
				}
				if got := runs.Load(); got != int64(c.keys) {
					t.Errorf("two processes executed %d keys, want %d", got, c.keys)
				}
				if got := most.Load(); got > 16 {
					t.Errorf("%d writes at a time, want no more than 16, renewals of leases included", got)
				}
				if log.Len() > 0 {
					t.Errorf("logged:\n%s", log.String())
				}
			})
		})
	}
}
