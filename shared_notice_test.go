package memo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A prompt process is a notifying one whose reports are exact.
type prompt struct{ faultstore.Notifying }

func (p prompt) Prompt() store.Store { return p }

// A heard process lets a test report changes itself. It says nothing when its
// subscription is stopped, as one whose last reports are still on their way.
type heard struct {
	*faultstore.Store
	sink atomic.Pointer[store.Sink]
}

func (h *heard) Notify(_ context.Context, _ string, sink store.Sink) (func(), error) {
	h.sink.Store(&sink)
	sink.Up(true)
	return func() {}, nil
}

func (h *heard) reports() store.Sink { return *h.sink.Load() }

// Nobody subscribed.
func TestNotifiedInvalidationDropsEveryCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		p := faultstore.New(s).Notifying()
		// Two Funcs of one function have a copy each. One of them only was dropped.
		a1 := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.SharedName(), memo.LocalTTL(time.Hour))
		a2 := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.SharedName(), memo.LocalTTL(time.Hour))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		for range 3 {
			a1.Call(t.Context(), "x")
			a2.Call(t.Context(), "x")
			synctest.Wait()
			want := source.Add(1)
			b.Invalidate(t.Context(), "x")
			for _, f := range []*memo.Func[string, int64]{a1, a2} {
				if got, _ := f.Call(t.Context(), "x"); got != want {
					t.Errorf("got %d, want %d", got, want)
				}
			}
		}
	})
}

// A call that began after the notification joined the execution from before it.
func TestNotifiedInvalidationDetachesTheExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		began, goOn := make(chan bool, 2), make(chan bool)
		a := memo.New(func(ctx context.Context, k string) (int64, error) {
			v, _ := source.read(ctx, k)
			began <- true
			<-goOn
			return v, nil
		}, memo.Store(faultstore.New(s).Notifying()), memo.Name("f"))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Peek(t.Context(), "w")
		synctest.Wait()
		go a.Call(t.Context(), "x")
		<-began
		source.Store(1)
		b.Invalidate(t.Context(), "x")
		var got int64
		var wg sync.WaitGroup
		wg.Go(func() { got, _ = a.Call(t.Context(), "x") })
		synctest.Wait()
		close(goOn)
		wg.Wait()
		if got != 1 {
			t.Errorf("got %d", got)
		}
	})
}

// The report of a process's own write dropped what it had just put there.
func TestOwnWritesAreHeldWithPromptReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil },
			memo.Store(prompt{faultstore.New(memstore.New(nil)).Notifying()}), memo.Name("f"))
		f.Peek(t.Context(), 0)
		synctest.Wait()
		f.Call(t.Context(), 1)
		f.Call(t.Context(), 1)
		f.Set(t.Context(), 2, 2)
		f.Call(t.Context(), 2)
		if got := f.Stats(); got.Hits != 2 {
			t.Errorf("got %+v", got)
		}
	})
}

// Copies count as old while the connection is lost, and after that: nobody knows what
// was not reported.
func TestLostConnectionMakesCopiesOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		h := &heard{Store: faultstore.New(s)}
		a := memo.New(source.read, memo.Store(h), memo.Name("f"), memo.LocalTTL(time.Hour))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Call(t.Context(), "x")
		synctest.Wait()
		a.Call(t.Context(), "x")
		h.reports().Up(false)
		source.Store(1)
		b.Invalidate(t.Context(), "x")
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("got %d while the connection is lost", got)
		}
		source.Store(2)
		b.Invalidate(t.Context(), "x")
		h.reports().Suspect()
		h.reports().Up(true)
		if got, _ := a.Call(t.Context(), "x"); got != 2 {
			t.Errorf("got %d when it is back", got)
		}
	})
}

// What had changed before the subscription began was not reported. Copies and epochs from
// before that were trusted all the same.
func TestWhatWasReadBeforeTheSubscriptionIsNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		h := &heard{Store: faultstore.New(s)}
		a := memo.New(source.read, memo.Store(h), memo.Name("f"), memo.LocalTTL(time.Hour))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Call(t.Context(), "x")
		synctest.Wait()
		a.Call(t.Context(), "x")
		source.Store(1)
		b.Invalidate(t.Context(), "x")
		h.reports().Up(true)
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("after Invalidate got %d", got)
		}
		source.Store(2)
		b.Clear(t.Context())
		h.reports().Up(true)
		if got, _ := a.Call(t.Context(), "x"); got != 2 {
			t.Errorf("after Clear got %d", got)
		}
	})
}

// An Up that arrived after the subscription had ended stood for ever: nothing was held
// any more, or copies were trusted for longer.
func TestReportsOfAnEndedSubscriptionAreOfNoAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		h := &heard{Store: faultstore.New(s)}
		a := memo.New(source.read, memo.Store(h), memo.Name("f"))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Call(t.Context(), "x")
		time.Sleep(3 * time.Minute) // by when it has ended
		former := h.reports()
		a.Call(t.Context(), "x")
		synctest.Wait()
		former.Up(false)
		a.Call(t.Context(), "x")
		before := a.Stats().Hits
		if a.Call(t.Context(), "x"); a.Stats().Hits != before+1 {
			t.Error("after a late Up(false) nothing is held")
		}
		h.reports().Up(false)
		former.Up(true)
		source.Store(1)
		b.Invalidate(t.Context(), "x")
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("after a late Up(true), with the connection lost, got %d", got)
		}
	})
}

// The realm kept every function that had copies.
func TestDroppedFunctionsAreCollectedWhileOthersListen(t *testing.T) {
	s := memstore.New(nil)
	p, hears := faultstore.New(s), faultstore.NewGate()
	hears.Open()
	p.After(faultstore.Notify, hears.Wait)
	h := p.Notifying()
	keeper := memo.New(func(context.Context, int) (int, error) { return 1, nil }, memo.Store(h), memo.Name("keeper"))
	keeper.Call(t.Context(), 1)
	<-hears.Reached()
	const all = 20
	collected := make(chan int, all)
	for i := range all {
		witness := new([64]byte)
		runtime.AddCleanup(witness, func(i int) { collected <- i }, i)
		f := memo.New(func(context.Context, int) (byte, error) { return witness[0], nil }, memo.Store(h), memo.Name(fmt.Sprint("f", i)))
		f.Call(t.Context(), 1)
		f.Call(t.Context(), 1)
	}
	for deadline := time.Now().Add(10 * time.Second); len(collected) < all-1; runtime.Gosched() {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatalf("%d of %d dropped functions were collected", len(collected), all)
		}
	}
	runtime.KeepAlive(keeper)
}

// Connections that come and go, and reports of all kinds, while calls and Clears are
// under way.
func TestReportsAtAnyTimeFailNoCall(t *testing.T) {
	h := &heard{Store: faultstore.New(memstore.New(nil))}
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(h), memo.Name("f"), memo.Local(20))
	var keys []string
	for i := range 50 {
		key, _ := f.Key(i)
		keys = append(keys, key)
	}
	stop := make(chan bool)
	var calls, reports sync.WaitGroup
	reports.Go(func() {
		for h.sink.Load() == nil {
			f.Peek(t.Context(), 0)
			runtime.Gosched()
		}
		for {
			select {
			case <-stop:
				return
			default:
				h.reports().Up(false)
				h.reports().Suspect()
				h.reports().Up(true)
				h.reports().Changed([]string{keys[rand.N(len(keys))], "::clear:f:"})
			}
		}
	})
	for range 6 {
		calls.Go(func() {
			for range 500 {
				k := rand.N(len(keys))
				if got, err := f.Call(t.Context(), k); got != k || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
				if rand.N(20) == 0 {
					f.Clear(t.Context())
				}
			}
		})
	}
	calls.Wait()
	close(stop)
	reports.Wait()
}
