package engine

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/seed-0226adef/memo/store/memstore"
)

// What a read had seen was used by an execution that began after an Invalidate, and
// callers who came later joined that.
func TestWhatWasReadBeforeAnInvalidationIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p := newProcess(s)
		newProcess(s).call(t.Context())
		demanding, search := *p.config, p.search()
		demanding.MaxAge = 0
		p.Read(t.Context(), &demanding, search)
		p.source = 1
		p.invalidate(t.Context())
		if got := *p.Load(t.Context(), p.config, search).Entry.Value.(*int); got != 1 {
			t.Errorf("got %d", got)
		}
	})
}

// A Refresh joined the execution of a call that had come in between, which may bring back
// what the store has.
func TestRefreshJoinsNoExecutionOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(memstore.New(nil))
		done := p.blocks()
		go p.call(t.Context())
		p.current().in(t, running)
		w := Waiter{cache: p.Cache, policy: p.config, search: p.search(), seq: sequence(), forced: true}
		if w.joinOrLead(t.Context()) != nil {
			t.Error("it has joined")
		}
		close(done)
	})
}

// The result of a publication that went on after its waiters were let go was joined by a
// Refresh that was called after that, and returned as its own.
func TestRefreshJoinsNoExecutionWhoseWaitersWereLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := publishes(t).linger(t)
		p := call.of
		p.source = 1
		results := make(chan int, 1)
		go func() { results <- *p.Refresh(context.Background(), p.config, p.search()).Entry.Value.(*int) }()
		synctest.Wait()
		call.writes.Open()
		got := <-results
		if got != 1 {
			t.Errorf("Refresh returned %d, the result of an execution from before it was called", got)
		}
	})
}

// A Peek looked again and again, for as long as an execution was under way.
func TestPeekWaitsForNoExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(memstore.New(nil))
		done := p.blocks()
		go p.call(t.Context())
		p.current().in(t, running)
		if e, _ := p.Peek(t.Context(), p.config, p.search()); e != nil {
			t.Errorf("it has found %v", e.Value)
		}
		close(done)
	})
}
