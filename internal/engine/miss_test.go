package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
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
		if got := *(*int)(p.Load(t.Context(), p.config, search).Entry.Value); got != 1 {
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
		go func() { results <- *(*int)(p.Refresh(context.Background(), p.config, p.search()).Entry.Value) }()
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

// A caller who joined an execution of some seconds got its result, which another process
// had invalidated before the caller came.
func TestLateJoinerTakesNothingThatWasInvalidatedElsewhereBefore(t *testing.T) {
	for name, invalidate := range map[string]func(*process, context.Context){
		"key":   (*process).invalidate,
		"clear": func(p *process, ctx context.Context) { p.Clear(ctx, p.config) },
		"tag that fn adds at its end": func(p *process, ctx context.Context) {
			p.Shared.InvalidateTags(ctx, p.config.StoreTimeout, false, p.Space.Path, []string{"t"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				p, other := newProcess(s), newProcess(s)
				done := p.blocks()
				go p.call(t.Context())
				p.current().in(t, running)
				time.Sleep(5 * time.Second)
				p.source = 1
				invalidate(other, t.Context())
				late := make(chan int, 1)
				go func() { late <- *(*int)(p.Load(context.Background(), p.config, p.search()).Entry.Value) }()
				synctest.Wait()
				close(done)
				if got := <-late; got != 1 {
					t.Errorf("got %d", got)
				}
			})
		})
	}
}

// A result was refused by the store because its tag had been invalidated in another process
// while it was made. What was made from it, by an execution that began after that, was stored
// under the tag's new epoch.
func TestWhatIsMadeFromAResultThatWasRefusedIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p, other := newProcess(s), newProcess(s)
		outer := named("outer", p.store)
		outer.inner = p
		done := p.blocks()
		go p.call(t.Context())
		p.current().in(t, running)
		p.source = 1
		k, path := p.Shared.Keyspace, p.Space.Path
		other.Shared.InvalidateTags(t.Context(), other.config.StoreTimeout, false, path, []string{"t"})
		k.Changed([]string{k.EpochKey("turn", path, ""), k.EpochKey("tag", path, "t")}) // as a store reports
		go outer.call(t.Context())
		synctest.Wait()
		close(done)
		time.Sleep(2 * fleet.EpochTrust)
		fresh := named("outer", s)
		fresh.inner = newProcess(s)
		fresh.inner.source = 1
		if got := *(*int)(fresh.Load(t.Context(), fresh.config, fresh.search()).Entry.Value); got != 1 {
			t.Errorf("another process gets %d", got)
		}
	})
}

// A caller that had looked before a Set began waited for that Set, whatever its context said.
func TestCallerLeavesWhileASetIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, writes := gated(memstore.New(nil), faultstore.Swap)
		p := newProcess(s)
		p.config.StoreTimeout = 0
		go p.set(t.Context(), 2)
		p.current().in(t, setting)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			search := p.search()
			search.asked = true
			left <- p.Load(ctx, p.config, search).Err
		}()
		synctest.Wait()
		leave()
		if err := <-left; err != context.Canceled {
			t.Errorf("got %v", err)
		}
		writes.Open()
	})
}

// A caller that led, and panicked before it had started the execution, left those who had
// joined it waiting.
func TestLeaderThatPanicsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reads := gated(memstore.New(nil), faultstore.Get)
		p := newProcess(s)
		go func() {
			defer func() { recover() }()
			p.Load(t.Context(), p.config, new(Search).Begin("k", uncopied{fn{p}}, nil, fresh.Unusable))
		}()
		p.current().in(t, reading)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		joined := make(chan error)
		go func() {
			joined <- p.Load(ctx, p.config, p.search()).Err
		}()
		synctest.Wait()
		reads.Open()
		if err := <-joined; err != nil {
			t.Errorf("the joiner waits: %v", err)
		}
	})
}
