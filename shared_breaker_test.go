package memo_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// Pings had more time than calls: the breaker closed every half second, and three calls
// lost their time until it opened again.
func TestBreakerStaysOpenAtAStoreThatIsTooSlowForCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p := faultstore.New(s)
		mend := p.Before(faultstore.All, faultstore.Delay(400*time.Millisecond))
		f := memo.New(square, memo.Store(p.Bare()), memo.Name("square"), quietly) // which is pinged with a Get
		lost := 0
		for n := range 1000 {
			began := time.Now()
			f.Call(t.Context(), n)
			if time.Since(began) > 0 {
				lost++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if lost > 3 {
			t.Errorf("%d calls waited for the store, want the 3 that open the breaker", lost)
		}
		mend()
		time.Sleep(2 * time.Second)
		f.Call(t.Context(), -1)
		if _, err := memo.New(square, memo.Store(faultstore.New(s)), memo.Name("square")).Peek(t.Context(), -1); err != nil {
			t.Errorf("two seconds after the store has become quick, another process finds no result: %v", err)
		}
	})
}

// Only a call had the store tried again: the first ones after a quiet time did without
// a store that had been back for long.
func TestStoreThatIsBackIsUsedAgainThoughNobodyCalled(t *testing.T) {
	for _, pause := range []time.Duration{2 * time.Second, 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := faultstore.New(memstore.New(nil))
			f := memo.New(square, memo.Store(p), memo.Name("square"), memo.NoLocal(), memo.TTL(memo.Forever), quietly)
			f.Call(t.Context(), 1)
			mend := p.Down(errDown)
			for n := range 10 {
				f.Call(t.Context(), n)
			}
			time.Sleep(time.Hour)
			mend()
			time.Sleep(pause)
			f.Call(t.Context(), 1)
			if got := f.Stats().SharedHits; got != 1 {
				t.Errorf("%v after the store's return: %d hits in it, want 1", pause, got)
			}
		})
	}
}

// A ping that such a store did not return from kept it out until it did.
func TestStoreThatIgnoresItsContextIsUsedAgainAfterAPingThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		f := memo.New(square, memo.Store(p.Bare()), memo.Name("square"), memo.NoLocal(), quietly)
		f.Call(t.Context(), 1)
		mend := p.Before(faultstore.All, faultstore.Stall(time.Hour))
		for n := range 10 {
			f.Call(t.Context(), n)
		}
		time.Sleep(10 * time.Second)
		mend()
		time.Sleep(2 * time.Second)
		f.Call(t.Context(), 1)
		if got := f.Stats().SharedHits; got != 1 {
			t.Errorf("two seconds after the store's return: %d hits in it, want 1", got)
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestPingsOfAStoreThatHangsDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		f := memo.New(square, memo.Store(p.Bare()), memo.Name("square"), memo.NoLocal(), quietly)
		mend := p.Before(faultstore.All, faultstore.Stall(24*time.Hour))
		for n := range 10 {
			f.Call(t.Context(), n)
		}
		before := runtime.NumGoroutine()
		time.Sleep(time.Hour)
		if n := runtime.NumGoroutine() - before; n > 20 {
			t.Errorf("an hour without a call has made %d goroutines more", n)
		}
		mend()
		time.Sleep(48 * time.Hour)
	})
}
