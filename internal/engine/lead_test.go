package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// patient are the terms of a caller who waits for as long as it takes.
var patient = Terms{Patience: -1}

// An asking is a Begin that is under way.
type asking struct {
	lead *Lead
	out  Outcome
	over chan struct{} // closed when Begin has returned
}

func (p *process) begin(ctx context.Context, terms Terms) *asking {
	a := &asking{over: make(chan struct{})}
	go func() {
		defer close(a.over)
		a.lead, a.out = p.Begin(ctx, p.config, "k", terms)
	}()
	synctest.Wait()
	return a
}

// leads returns the Lead that Begin has come back with.
func (a *asking) leads(t *testing.T) *Lead {
	t.Helper()
	if synctest.Wait(); !a.isOver() || a.lead == nil {
		t.Fatalf("over: %v, lead %v, outcome %+v; want a Lead", a.isOver(), a.lead, a.out)
	}
	return a.lead
}

func (a *asking) isOver() bool {
	select {
	case <-a.over:
		return true
	default:
		return false
	}
}

// gets checks what Begin has come back with.
func (a *asking) gets(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	switch {
	case !a.isOver():
		t.Fatal("it still waits")
	case a.out.Entry == nil || a.out.Entry.Err() != nil:
		t.Fatalf("got %+v, lead %v; want %d", a.out, a.lead, want)
	case *(*int)(a.out.Entry.Value) != want:
		t.Errorf("got %d, want %d", *(*int)(a.out.Entry.Value), want)
	}
}

func (a *asking) fails(t *testing.T, want error) {
	t.Helper()
	synctest.Wait()
	err := a.out.Err
	if a.isOver() && a.out.Entry != nil {
		err = a.out.Entry.Err()
	}
	if !a.isOver() || a.lead != nil || !errors.Is(err, want) {
		t.Errorf("over: %v, lead %v, error %v; want %v", a.isOver(), a.lead, err, want)
	}
}

func (a *asking) waits(t *testing.T) *asking {
	t.Helper()
	if synctest.Wait(); a.isOver() {
		t.Fatalf("it does not wait: lead %v, outcome %+v", a.lead, a.out)
	}
	return a
}

func finish(l *Lead, v int) { l.Finish(&v, time.Minute, nil) }

// withAndWithoutStore runs a test with processes that share a store, and with one alone.
func withAndWithoutStore(t *testing.T, test func(t *testing.T, newOne func() *process)) {
	t.Run("store", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := memstore.New(nil)
			test(t, func() *process { return newProcess(s) })
		})
	})
	t.Run("alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, func() *process {
				p := &process{Cache: New("f", entry.TypingOf[int]()), config: newProcess(memstore.New(nil)).config}
				p.Space = newProcess(memstore.New(nil)).Space
				p.HoldLocally(100, 0)
				p.Start(p.config)
				return p
			})
		})
	})
}

func TestALeadAnswersThoseWhoWait(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		lead := p.begin(t.Context(), patient).leads(t)
		waits := p.begin(t.Context(), patient).waits(t)
		finish(lead, 1)
		waits.gets(t, 1)
		p.begin(t.Context(), patient).gets(t, 1) // it is held
		lead.Fail(errors.New("too late"))
		finish(lead, 2)
		p.begin(t.Context(), patient).gets(t, 1)
	})
}

func TestWhatALeadBringsIsForEveryProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		lead := newProcess(s).begin(t.Context(), patient).leads(t)
		waits := newProcess(s).begin(t.Context(), patient).waits(t)
		finish(lead, 1)
		<-waits.over
		waits.gets(t, 1)
		newProcess(s).begin(t.Context(), patient).gets(t, 1)
	})
}

func TestALeadThatFailsTellsThoseWhoWait(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		lead := p.begin(t.Context(), patient).leads(t)
		waits := p.begin(t.Context(), patient).waits(t)
		failure := errors.New("none")
		lead.Fail(failure)
		waits.fails(t, failure)
		newOne().begin(t.Context(), patient).leads(t).Fail(failure)
	})
}

// Who gives up has an answer to send, and no time for the store.
func TestAFailureDoesNotWaitForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faultstore.New(memstore.New(nil))
		lead := newProcess(s).begin(t.Context(), patient).leads(t)
		g := gate(s, faultstore.All)
		lead.Fail(context.Canceled)
		<-g.Reached()
		g.Open()
		next := newProcess(s).begin(t.Context(), patient)
		<-next.over
		next.leads(t).Fail(context.Canceled)
	})
}

func TestALeaderMayLeaveAlone(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		ctx, leave := context.WithCancel(t.Context())
		lead := p.begin(ctx, patient).leads(t)
		other, leaveToo := context.WithCancel(t.Context())
		waits := p.begin(other, patient).waits(t)
		leave()
		if synctest.Wait(); lead.Context().Err() != nil {
			t.Error("the execution is over, and somebody waits for it")
		}
		leaveToo()
		waits.fails(t, context.Canceled)
		if lead.Context().Err() == nil {
			t.Error("the execution goes on for nobody")
		}
		next := p.begin(t.Context(), patient).leads(t) // it does not wait for what nobody wants
		finish(lead, 1)
		finish(next, 2)
		p.begin(t.Context(), patient).gets(t, 2)
	})
}

func TestWhoIsAloneWaitsForNobody(t *testing.T) {
	alone := Terms{Patience: -1, Alone: true}
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		lead := p.begin(t.Context(), patient).leads(t)
		p.begin(t.Context(), alone).fails(t, ErrBusy)
		if q := newOne(); q.Shared != nil { // in a fleet, neither for another process
			q.begin(t.Context(), alone).fails(t, ErrBusy)
		}
		finish(lead, 1)
		p.begin(t.Context(), alone).gets(t, 1)
	})
}

func TestPatienceEnds(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		lead := p.begin(t.Context(), patient).leads(t)
		began := time.Now()
		waits := p.begin(t.Context(), Terms{Patience: time.Second}).waits(t)
		<-waits.over
		if took := time.Since(began); took != time.Second {
			t.Errorf("it has waited for %v, want a second", took)
		}
		waits.fails(t, context.DeadlineExceeded)
		finish(lead, 1)
	})
}

// A leader that has left before it was let execute held those up who waited for it.
func TestWhoLeavesBeforeItMayExecuteHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		first := newProcess(s).begin(t.Context(), patient).leads(t)
		p := newProcess(s)
		ctx, leave := context.WithCancel(t.Context())
		leader := p.begin(ctx, patient).waits(t)
		waits := p.begin(t.Context(), patient).waits(t)
		leave()
		leader.fails(t, context.Canceled)
		waits.waits(t)
		first.Fail(errors.New("none"))
		<-waits.over
		finish(waits.leads(t), 2)
		if n := p.Count.Executions.Load(); n != 1 {
			t.Errorf("%d executions are counted, and one was carried out", n)
		}
	})
}

func TestOnlyWhatServesIsTaken(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		finish(p.begin(t.Context(), patient).leads(t), 1)
		newer := Terms{Patience: -1, Serves: func(e *entry.Entry) bool { return *(*int)(e.Value) > 1 }}
		lead := p.begin(t.Context(), newer).leads(t)
		p.begin(t.Context(), patient).gets(t, 1) // others are served meanwhile
		waits := p.begin(t.Context(), newer).waits(t)
		others := newOne()
		elsewhere := others.begin(t.Context(), newer)
		if others.Shared == nil {
			finish(elsewhere.leads(t), 2)
		} else {
			elsewhere.waits(t)
		}
		finish(lead, 2)
		waits.gets(t, 2)
		if others.Shared != nil {
			<-elsewhere.over
			elsewhere.gets(t, 2)
		}
	})
}

func TestALeadForcedBeginsWhateverIsHeld(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		finish(p.begin(t.Context(), patient).leads(t), 1)
		finish(p.begin(t.Context(), Terms{Patience: -1, Forced: true}).leads(t), 2)
		p.begin(t.Context(), patient).gets(t, 2)
	})
}

func TestALeadEndsAtLoadTimeout(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		began := time.Now()
		lead := p.begin(t.Context(), patient).leads(t)
		waits := p.begin(t.Context(), patient).waits(t)
		<-waits.over
		if took := time.Since(began); took != p.config.LoadTimeout {
			t.Errorf("the waiter was let go after %v, want %v", took, p.config.LoadTimeout)
		}
		waits.fails(t, context.DeadlineExceeded)
		next := p.begin(t.Context(), patient).leads(t)
		finish(lead, 1)
		finish(next, 2)
		p.begin(t.Context(), patient).gets(t, 2)
	})
}

func TestWhoCarriesOutDoesNotWaitForItself(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		lead := p.begin(t.Context(), patient).leads(t)
		p.begin(lead.Context(), patient).fails(t, ErrRecursive)
		finish(lead, 1)
	})
}

// What was invalidated while it was carried out is for those who have waited, and kept
// nowhere.
func TestWhatALeadBringsIsInvalidatedMeanwhile(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, newOne func() *process) {
		p := newOne()
		lead := p.begin(t.Context(), patient).leads(t)
		waits := p.begin(t.Context(), patient).waits(t)
		p.invalidate(t.Context())
		finish(lead, 1)
		waits.gets(t, 1)
		finish(p.begin(t.Context(), patient).leads(t), 2)
		p.begin(t.Context(), patient).gets(t, 2)
	})
}
