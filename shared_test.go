package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A process is a store as one process of a fleet sees it: a value of its own, so
// that nothing but the store itself is shared. It counts operations. before and
// after, if set, are called around each, with its name and its keys, and may fail
// it: before it has taken place, or as if its answer were lost.
type process struct {
	store.Store
	before, after func(ctx context.Context, op, keys string) error

	ops  atomic.Int64
	fail atomic.Pointer[error] // what every operation returns instead
}

func (p *process) breakDown(err error) { p.fail.Store(&err) }
func (p *process) mend()               { p.fail.Store(nil) }

// do does one operation.
func (p *process) do(ctx context.Context, op, keys string, work func() error) error {
	p.ops.Add(1)
	if err := p.fail.Load(); err != nil {
		return *err
	}
	if p.before != nil {
		if err := p.before(ctx, op, keys); err != nil {
			return err
		}
	}
	err := work()
	if p.after != nil {
		if lost := p.after(ctx, op, keys); lost != nil {
			return lost
		}
	}
	return err
}

func (p *process) Get(ctx context.Context, key string) (value []byte, err error) {
	err = p.do(ctx, "get", key, func() error { value, err = p.Store.Get(ctx, key); return err })
	return value, err
}

func (p *process) GetMulti(ctx context.Context, keys []string) (values map[string][]byte, err error) {
	values = map[string][]byte{}
	err = p.do(ctx, "get", strings.Join(keys, " "), func() error { values, err = store.GetMulti(ctx, p.Store, keys); return err })
	return values, err
}

func (p *process) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return p.do(ctx, "set", key, func() error { return p.Store.Set(ctx, key, value, ttl) })
}

func (p *process) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return p.do(ctx, "add", key, func() error { return p.Store.Add(ctx, key, value, ttl) })
}

func (p *process) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	return p.do(ctx, "swap", key, func() error { return p.Store.Swap(ctx, key, old, value, ttl) })
}

func (p *process) Delete(ctx context.Context, keys ...string) error {
	return p.do(ctx, "delete", strings.Join(keys, " "), func() error { return p.Store.Delete(ctx, keys...) })
}

// Ping is not counted: nobody waits for it.
func (p *process) Ping(ctx context.Context) error {
	if err := p.fail.Load(); err != nil {
		return *err
	}
	return nil
}

var errDown = errors.New("down")

// quietly keeps what goes wrong on purpose out of the log.
var quietly = memo.Logger(slog.New(slog.DiscardHandler))

// A notifying process hears of changes, in a bubble before synctest.Wait returns.
type notifying struct{ *process }

func (p notifying) Notify(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
	return store.Notify(ctx, p.Store, prefix, sink)
}

// A hearing process is a notifying one that says when it hears.
type hearing struct {
	*process
	up chan struct{} // has a place
}

func (h hearing) Notify(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
	stop, err := store.Notify(ctx, h.Store, prefix, sink)
	select {
	case h.up <- struct{}{}:
	default: // once more, after an idle time
	}
	return stop, err
}

func TestResultOfOneProcessIsAHitInAnother(t *testing.T) {
	s := memstore.New(nil)
	var runs atomic.Int64
	double := func(_ context.Context, n int) (int, error) { runs.Add(1); return 2 * n, nil }
	a := memo.New(double, memo.Store(&process{Store: s}), memo.Name("double"))
	there := &process{Store: s}
	b := memo.New(double, memo.Store(there), memo.Name("double"))
	for _, f := range []*memo.Func[int, int]{a, b, b, a} {
		if got, err := f.Call(t.Context(), 21); got != 42 || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if got := runs.Load(); got != 1 {
		t.Errorf("%d executions", got)
	}
	if got, want := b.Stats(), (memo.Stats{Hits: 1, SharedHits: 1, Entries: 1, Bytes: b.Stats().Bytes}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := there.ops.Load(); got != 1 {
		t.Errorf("a hit in the store took %d operations", got)
	}
}

func TestAMissTakesThreeOperations(t *testing.T) {
	p := &process{Store: memstore.New(nil)}
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"))
	f.Call(t.Context(), 1) // the first of a function also begins its epoch
	before := p.ops.Load()
	f.Call(t.Context(), 2)
	if got := p.ops.Load() - before; got != 3 {
		t.Errorf("got %d operations, want 3", got)
	}
}

func TestConcurrentCallersInManyProcessesCauseOneExecution(t *testing.T) {
	for _, notifies := range []bool{false, true} {
		t.Run(fmt.Sprintf("notifies=%v", notifies), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				var runs atomic.Int64
				slow := func(_ context.Context, n int) (int, error) {
					runs.Add(1)
					time.Sleep(20 * time.Millisecond)
					return 2 * n, nil
				}
				var wg sync.WaitGroup
				for range 4 {
					var p store.Store = &process{Store: s}
					if notifies {
						p = notifying{p.(*process)}
					}
					f := memo.New(slow, memo.Store(p), memo.Name("slow"))
					for range 250 {
						wg.Go(func() {
							if got, err := f.Call(t.Context(), 21); got != 42 || err != nil {
								t.Errorf("got %v, %v", got, err)
							}
						})
					}
				}
				wg.Wait()
				if got := runs.Load(); got != 1 {
					t.Errorf("%d executions", got)
				}
				time.Sleep(2 * time.Minute) // until the notifications have ended
			})
		})
	}
}

func TestInvalidateInAnotherProcessDuringAnExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var version atomic.Int64
		began, goOn := make(chan bool, 1), make(chan bool)
		a := memo.New(func(context.Context, string) (int64, error) {
			v := version.Load()
			began <- true
			<-goOn
			return v, nil
		}, memo.Store(&process{Store: s}), memo.Name("f"))
		b := memo.New(func(context.Context, string) (int64, error) { return version.Load(), nil }, memo.Store(&process{Store: s}), memo.Name("f"))
		var got int64
		var wg sync.WaitGroup
		wg.Go(func() { got, _ = a.Call(t.Context(), "x") })
		<-began
		version.Store(1)
		if err := b.Invalidate(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		goOn <- true
		wg.Wait()
		if got != 0 {
			t.Errorf("the caller of the execution got %d", got)
		}
		if v, _ := b.Call(t.Context(), "x"); v != 1 {
			t.Errorf("the process that invalidated got %d", v)
		}
		if v, _ := a.Call(t.Context(), "x"); v != 1 {
			t.Errorf("the process that executed got %d", v)
		}
	})
}

func TestClearInAnotherProcessIsSeenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var version atomic.Int64
		read := func(context.Context, string) (int64, error) { return version.Load(), nil }
		a := memo.New(read, memo.Store(&process{Store: s}), memo.Name("f"), memo.LocalTTL(time.Hour), memo.TTL(time.Hour))
		b := memo.New(read, memo.Store(&process{Store: s}), memo.Name("f"))
		a.Call(t.Context(), "x")
		version.Store(1)
		if err := b.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v, _ := b.Call(t.Context(), "x"); v != 1 {
			t.Errorf("the process that cleared got %d", v)
		}
		time.Sleep(time.Second)
		if v, _ := a.Call(t.Context(), "x"); v != 1 {
			t.Errorf("the other process got %d", v)
		}
	})
}

func TestStoreThatFailsNeverFailsACall(t *testing.T) {
	p := &process{Store: memstore.New(nil)}
	p.breakDown(errDown)
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"))
	for i := range 100 {
		if got, err := f.Call(t.Context(), i); got != i || err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if f.Stats().StoreErrors == 0 {
		t.Error("no store errors were counted")
	}
	if err := f.Invalidate(t.Context(), 1); err == nil {
		t.Error("Invalidate did not say that it could not reach the store")
	}
	p.mend()
}

func TestCodecDiffersFromCallToCall(t *testing.T) {
	s := memstore.New(nil)
	type user struct{ Name string }
	var runs atomic.Int64
	load := func(_ context.Context, n int) (user, error) { runs.Add(1); return user{fmt.Sprint("u", n)}, nil }
	a := memo.New(load, memo.Store(&process{Store: s}), memo.Name("f"))
	b := memo.New(load, memo.Store(&process{Store: s}), memo.Name("f"), memo.Codec(codec.MsgPack))
	for i, c := range []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob} {
		a.With(memo.Codec(c)).Call(t.Context(), i)
		if got, err := b.Call(t.Context(), i); got.Name != fmt.Sprint("u", i) || err != nil {
			t.Errorf("%s: got %v, %v", c.Name(), got, err)
		}
	}
	if got := runs.Load(); got != 3 {
		t.Errorf("%d executions", got)
	}
}

func TestTagInvalidatedInAnotherProcessDuringAnExecutionThatAddsItLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var version atomic.Int64
		began, goOn := make(chan bool, 1), make(chan bool)
		var wait atomic.Bool
		read := func(ctx context.Context, _ string) (int64, error) {
			v := version.Load()
			if wait.Load() {
				began <- true
				<-goOn
			}
			memo.AddTags(ctx, "t")
			return v, nil
		}
		ga, gb := memo.NewGroup("g"), memo.NewGroup("g")
		a := memo.New(read, ga, memo.Store(&process{Store: s}), memo.Name("f"))
		b := memo.New(read, gb, memo.Store(&process{Store: s}), memo.Name("f"))
		wait.Store(true)
		var wg sync.WaitGroup
		wg.Go(func() { a.Call(t.Context(), "x") })
		<-began
		version.Store(1)
		if err := gb.InvalidateTags(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		goOn <- true
		wg.Wait()
		wait.Store(false)
		if v, _ := b.Call(t.Context(), "x"); v != 1 {
			t.Errorf("the process that invalidated got %d", v)
		}
		time.Sleep(time.Second)
		if v, _ := a.Call(t.Context(), "x"); v != 1 {
			t.Errorf("the process that executed got %d", v)
		}
		runs := b.Stats().Executions + a.Stats().Executions
		b.Invalidate(t.Context(), "y")
		a.Call(t.Context(), "y")
		b.Call(t.Context(), "y")
		if got := b.Stats().Executions + a.Stats().Executions - runs; got != 1 {
			t.Errorf("%d executions of a result with a tag", got)
		}
	})
}
