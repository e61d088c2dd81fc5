package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/nested"
)

// Terms are what a caller of Begin asks for.
type Terms struct {
	Serves   func(e *entry.Entry) bool // reports whether a result is one for this caller; nil if each is
	Alone    bool                      // the caller waits for no other execution, and gets ErrBusy
	Patience time.Duration             // how long it waits for others; negative for as long as its context lasts
	Forced   bool                      // an execution is to begin now, as for Refresh
}

// ErrBusy is what a caller gets who waits for nobody when another one executes.
var ErrBusy = errors.New("memo: another execution is under way")

// errUntaken ends an execution whose leader has left when the fleet gave it the right to
// execute. Nobody sees it: those who wait begin anew.
var errUntaken = errors.New("memo: the caller that was to execute has left")

// A Lead is an execution that its caller carries out, in its own goroutine: the answer to an
// HTTP request, say, which is made where it is sent. Others wait for it as for any, and the
// caller is one of those who wait, until its context ends.
//
// Whoever gets a Lead from Begin has to end it, by Finish or Fail. Only the first of these
// counts. When LoadTimeout is over, or everyone has left who waited, the Lead ends by itself.
// All methods may be called by any goroutine.
type Lead struct {
	call   *Call
	waiter Waiter
	caller context.Context
	ctx    context.Context // what the execution runs under
	forget func()          // ends the note that the caller waits

	mu      sync.Mutex
	ended   bool
	unwatch func() bool // of caller; guarded by mu
	unguard func() bool // of ctx; guarded by mu
}

// Bare is the Execution of those who execute themselves, and whose argument is the key.
type Bare struct{}

func (Bare) Own(string)                             {}
func (Bare) Run(context.Context) (any, error)       { return nil, errUntaken }
func (Bare) Abstain()                               {}
func (Bare) Counted() bool                          { return false }
func (Bare) AppendArgs(b []byte, key string) []byte { return keys.AppendText(b, key) }

// A host is the Execution that a caller of Begin carries out itself.
type host struct {
	Bare
	Terms
	caller  context.Context
	lead    *Lead         // what comes of it; set in the caller's goroutine
	busy    chan struct{} // closed when another process executes; nil unless Alone
	untaken bool          // the caller left before it began; set before the call is finished
}

// Abstain is called, by the execution's own goroutine, when it waits for another process.
func (h *host) Abstain() {
	if h.busy != nil {
		close(h.busy)
		h.busy = nil
	}
}

func (h *host) Counted() bool { return h.untaken }

// Begin is Load, or Refresh, for a caller that executes itself. It returns the result that
// serves the caller, or an error, or a Lead.
func (c *Cache) Begin(ctx context.Context, p *entry.Config, key string, t Terms) (*Lead, Outcome) {
	waiting := ctx
	if t.Patience >= 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, t.Patience)
		defer cancel()
	}
	h := &host{Terms: t, caller: ctx}
	s := &Search{Key: key, Exec: h, host: h}
	if t.Forced {
		out := c.Refresh(waiting, p, s)
		return h.lead, out
	}
	s.found(s.find(c, p, clock.Precise()))
	out := c.Load(waiting, p, s)
	return h.lead, out
}

// serves reports whether a result is one for this caller, whatever its age. h and e may be
// nil.
func (h *host) serves(e *entry.Entry) bool {
	return h == nil || e == nil || h.Serves == nil || h.Serves(e)
}

// find is Cache.Find for what serves the caller.
func (s *Search) find(c *Cache, p *entry.Config, t int64) (*entry.Entry, fresh.Verdict) {
	e, v := c.Find(p, s.Key, t)
	if !s.host.serves(e) {
		return nil, fresh.Unusable
	}
	return e, v
}

// isBusy reports whether a caller who waits for nobody would have to wait.
func (w *Waiter) isBusy() bool { return w.search.host != nil && w.search.host.Alone && !w.leader }

// carryOut makes the caller, who leads, carry the execution out, when the fleet lets it: then
// h.lead is set. Otherwise it returns what Load is to return.
func (w *Waiter) carryOut(ctx context.Context, call *Call, h *host, forget func()) (out Outcome, ok bool) {
	call.exec = h
	if call.run == nil {
		w.lead(call, h, forget)
		return Outcome{}, true
	}
	if h.Alone {
		h.busy = make(chan struct{})
	}
	busy, granted := h.busy, make(chan bool, 1) // which takes what nobody waits for any more
	go call.acquire(granted)
	err := ErrBusy
	select {
	case runs := <-granted:
		if runs {
			w.lead(call, h, forget)
			return Outcome{}, true
		}
		forget()
		return w.take(ctx, call)
	case <-busy:
	case <-ctx.Done():
		err = ctx.Err()
	}
	forget()
	call.leave(false)
	go call.decline(h, granted)
	w.count(ctx, call)
	return Outcome{Err: err}, true
}

// acquire asks the fleet for the right to execute, and tells whether the caller that leads
// has it. If it has not, the call is over by then. Its goroutine ends when that is known:
// the leader's context ends when the last one has left who waits.
func (c *Call) acquire(granted chan<- bool) {
	runs := false
	defer func() { granted <- runs }()
	if c.run.Obtain(&c.scope); c.obtained == nil && c.scope.Err() == nil {
		runs = true
		return
	}
	c.scope.End(context.Canceled)
	c.finish(&returned{elsewhere: c.obtained, err: c.scope.Err()})
}

// decline gives the right to execute back, if it is granted after all: those who wait begin
// anew. Its goroutine ends with that of acquire.
func (c *Call) decline(h *host, granted <-chan bool) {
	if !<-granted {
		return
	}
	h.untaken = true
	c.runs()
	c.scope.Lift()
	c.scope.End(context.Canceled)
	c.finish(&returned{err: errUntaken, single: true})
}

// lead makes the call a Lead of the caller.
func (w *Waiter) lead(call *Call, h *host, forget func()) {
	l := &Lead{call: call, waiter: *w, caller: h.caller, forget: forget}
	call.runs()
	l.ctx = &call.scope
	nested.Executing.Add(1)
	UnderWay.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unwatch = context.AfterFunc(h.caller, l.left)
	l.unguard = context.AfterFunc(l.ctx, func() { l.Fail(l.ctx.Err()) })
	h.lead = l
}

// left makes the caller not wait any longer. It goes on executing for those who do.
func (l *Lead) left() {
	defer l.waiter.cache.Survive(l.waiter.policy)
	l.call.leave(false)
	l.waiter.count(l.caller, l.call)
}

// Context returns the context of the execution. It has the values of the caller's, ends with
// the execution, and is where hints and the results of other functions are collected.
func (l *Lead) Context() context.Context { return l.ctx }

// Finish ends the execution with a result, which is kept for ttl and found by those tags,
// beside what has been collected. When it returns, the result is stored, or cannot be.
// value is a *R.
func (l *Lead) Finish(value any, ttl time.Duration, names []string) {
	nested.SetTTL(l.ctx, ttl)
	if len(names) > 0 {
		nested.AddTags(l.ctx, names)
	}
	if l.end() {
		l.settle(&returned{value: value, read: time.Now(), keep: true})
	}
}

// Fail ends the execution without a result: those who wait get err. It does not wait for
// the store, which is told that another process may execute.
func (l *Lead) Fail(err error) {
	switch {
	case !l.end():
	case l.call.run == nil:
		l.settle(&returned{err: err})
	default:
		go l.settle(&returned{err: err}) // for as long as the store may take
	}
}

// end reports whether the Lead had not ended.
func (l *Lead) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.ended
	l.ended = true
	return first
}

// settle finishes the call, and counts that of the caller if it is still there.
func (l *Lead) settle(got *returned) {
	defer UnderWay.Add(-1)
	l.mu.Lock()
	stayed := l.unwatch()
	l.unguard()
	l.mu.Unlock()
	l.call.scope.Lift()
	nested.Executing.Add(-1)
	l.call.scope.End(context.Canceled)
	l.call.finish(got)
	l.forget()
	if stayed {
		defer l.waiter.cache.Survive(l.waiter.policy)
		l.waiter.take(l.caller, l.call)
	}
}
