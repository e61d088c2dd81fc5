package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

var errDown = errors.New("down")

// quietly keeps what goes wrong on purpose out of the log.
var quietly = memo.Logger(slog.New(slog.DiscardHandler))

func TestResultOfOneProcessIsAHitInAnother(t *testing.T) {
	s := memstore.New(nil)
	var runs atomic.Int64
	double := func(_ context.Context, n int) (int, error) { runs.Add(1); return 2 * n, nil }
	a := memo.New(double, memo.Store(faultstore.New(s)), memo.Name("double"))
	there := faultstore.New(s)
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
	if got := there.Count(faultstore.All); got != 1 {
		t.Errorf("a hit in the store took %d operations", got)
	}
}

func TestAMissTakesThreeOperations(t *testing.T) {
	p := faultstore.New(memstore.New(nil))
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"))
	f.Call(t.Context(), 1) // the first of a function also begins its epoch
	before := p.Count(faultstore.All)
	f.Call(t.Context(), 2)
	if got := p.Count(faultstore.All) - before; got != 3 {
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
					p := faultstore.New(s)
					var shared store.Store = p
					if notifies {
						shared = p.Notifying()
					}
					f := memo.New(slow, memo.Store(shared), memo.Name("slow"))
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
		}, memo.Store(faultstore.New(s)), memo.Name("f"))
		b := memo.New(func(context.Context, string) (int64, error) { return version.Load(), nil }, memo.Store(faultstore.New(s)), memo.Name("f"))
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
		a := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"), memo.LocalTTL(time.Hour), memo.TTL(time.Hour))
		b := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"))
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
	p := faultstore.New(memstore.New(nil))
	mend := p.Down(errDown)
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
	mend()
}

func TestCodecDiffersFromCallToCall(t *testing.T) {
	s := memstore.New(nil)
	type user struct{ Name string }
	var runs atomic.Int64
	load := func(_ context.Context, n int) (user, error) { runs.Add(1); return user{fmt.Sprint("u", n)}, nil }
	a := memo.New(load, memo.Store(faultstore.New(s)), memo.Name("f"))
	b := memo.New(load, memo.Store(faultstore.New(s)), memo.Name("f"), memo.Codec(codec.MsgPack))
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
		a := memo.New(read, ga, memo.Store(faultstore.New(s)), memo.Name("f"))
		b := memo.New(read, gb, memo.Store(faultstore.New(s)), memo.Name("f"))
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
