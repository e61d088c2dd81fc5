package engine

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/lease"
	"github.com/seed-0226adef/memo/internal/nested"
)

// An Outcome is what a call comes back with: an entry, or the reason why there
// is none.
type Outcome struct {
	Entry    *entry.Entry
	Err      error
	Panicked *entry.PanicError
}

// Load answers a caller that has found nothing usable in this process. It
//
//  1. has the store confirm what was found here and not verified,
//  2. joins the execution that is under way,
//  3. or reads the store,
//  4. or leads an execution: that asks the fleet for the right to run fn, runs it, and
//     publishes the result, in a goroutine of its own; see Call.execute,
//  5. and waits for it, until that is done, its context ends, or SoftTimeout has passed.
//
// What comes of it may turn out not to be for this caller, who then starts over.
func (c *Cache) Load(ctx context.Context, p *entry.Config, s *Search) Outcome {
	if c.Verify(ctx, p, s); s.Verdict.Answers() {
		c.answer(ctx, p, s.Key, s.Entry, s.Verdict, entry.EventHit)
		c.refreshFound(ctx, p, s)
		return Outcome{Entry: s.Entry}
	}
	arrived := c.arrival(p, s.Key)
	for ; ; s.again() {
		if err := ctx.Err(); err != nil {
			if s.waited {
				c.countJoined(ctx, p, s.Key)
			}
			return Outcome{Err: err}
		}
		w := Waiter{cache: c, policy: p, around: nested.Of(ctx), search: s, seq: sequence(), arrived: arrived}
		var call *Call
		if c.Shared != nil { // otherwise joinOrLead does it
			call = w.join()
		}
		if call == nil && c.Shared != nil && !s.asked {
			out, over, led := w.ask(ctx)
			if over {
				return out
			}
			call, s = led, w.search
		}
		if call == nil {
			call = w.joinOrLead(ctx)
		}
		if !w.leader {
			s.Exec.Abstain()
		}
		if call == nil { // an answer was stored since the caller looked, or is about to be
			e, v := s.find(c, p, clock.Precise())
			if c.answer(ctx, p, s.Key, e, v, entry.EventHit); v.Answers() {
				return Outcome{Entry: e}
			}
			continue
		}
		if w.isBusy() {
			call.leave(false)
			return Outcome{Err: ErrBusy}
		}
		if out, ok := w.wait(ctx, call); ok {
			return out
		}
	}
}

// refreshFound begins the execution that is to replace what a search has found, if its
// verdict says so.
func (c *Cache) refreshFound(ctx context.Context, p *entry.Config, s *Search) {
	if s.host == nil && (s.Verdict == fresh.Early || s.Verdict == fresh.Revalidate) {
		c.RefreshInBackground(ctx, p, s.Entry, s.Exec)
	}
}

// A Waiter is one caller's wait for an execution.
type Waiter struct {
	cache  *Cache
	policy *entry.Config
	around *nested.Frame // of the execution that the call is made by, or nil
	search *Search       // what the caller knows
	seq    uint64        // the sequence number before it joined
	forced bool          // fn is to be run whatever the store has
	leader bool          // the caller leads the execution
	late   bool          // it has joined one that another process may have overtaken before it came

	arrived uint64 // how many executions had begun when the caller came, if the store has to confirm what it takes
}

// arrival counts the executions that have begun before a caller under p comes, to whom
// that matters.
func (c *Cache) arrival(p *entry.Config, key string) uint64 {
	if !p.Confirm {
		return 0
	}
	sh := c.Shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.executions
}

// joins makes the caller a waiter of the execution. It holds the shard's mu.
func (w *Waiter) joins(call *Call) {
	call.waiters++
	w.late = call.run != nil && (w.policy.Confirm && call.number <= w.arrived || clock.Now() > clock.After(call.begun, fleet.EpochTrust))
}

// join makes the caller a waiter of the execution that is under way, if it may be one
// without asking the store first.
func (w *Waiter) join() *Call {
	sh := w.cache.Shard(w.search.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	call := sh.calls[w.search.Key]
	if call == nil || !call.mayBeJoined(w.policy, w.search) {
		return nil
	}
	w.joins(call)
	return call
}

// ask answers the caller from the store, if that has a result for it. If it has none, the
// caller leads an execution, or goes on with what it knows then.
//
// With an old result in hand the caller does not wait longer than SoftTimeout.
func (w *Waiter) ask(ctx context.Context) (out Outcome, over bool, led *Call) {
	c, p, s := w.cache, w.policy, w.search
	s.leads = true
	soft, old := ctx, s.old
	if old != nil && p.SoftTimeout > 0 {
		var cancel context.CancelFunc
		soft, cancel = context.WithTimeout(ctx, p.SoftTimeout)
		defer cancel()
	}
	ended := c.Read(soft, p, s.only()...)
	switch {
	case s.led != nil:
		w.leader = true
		return Outcome{}, false, s.led
	case ended && s.Verdict.Answers():
		c.answer(ctx, p, s.Key, s.Entry, s.Verdict, entry.EventSharedHit)
		c.refreshFound(ctx, p, s)
		return Outcome{Entry: s.Entry}, true, nil
	case ctx.Err() == nil && soft.Err() != nil && w.usable(old):
		c.RefreshInBackground(ctx, p, old, s.Exec)
		return c.answerStale(ctx, p, old), true, nil
	}
	if !ended { // the read goes on, and with it this search
		again := s.anew(old)
		w.search = &again
	}
	if err := ctx.Err(); err != nil {
		c.countJoined(ctx, p, s.Key)
		return Outcome{Err: err}, true, nil
	}
	return Outcome{}, false, nil
}

// joinOrLead makes the caller a waiter of the execution for its key, and the leader of a
// new one if there is none that it may join. It returns nil if the caller has to look
// again: it has its answer, or Set is about to give one.
func (w *Waiter) joinOrLead(ctx context.Context) *Call {
	c, p, s := w.cache, w.policy, w.search
	sharedKey := ""
	if c.Shared != nil {
		s.Exec.Own(s.Key)
		sharedKey = c.SharedKey(s.Key, s.Exec)
	}
	sh := c.Shard(s.Key)
	sh.mu.Lock()
	call := sh.calls[s.Key]
	if call != nil && call.state == setting {
		over := call.whenOver()
		sh.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
		}
		return nil
	}
	defer sh.mu.Unlock()
	if s.read.overtakings != sh.overtakings {
		s.read.seen = nil // it may be from before an invalidation
	}
	switch {
	case call == nil || !call.state.executes() || call.overtaken() || call.overtakenElsewhere(s.read.seen), w.forced && call.state == lingering:
		if !w.forced {
			if _, v := s.find(c, p, clock.Now()); v.Answers() {
				return nil
			}
		}
		old := c.Held(s.Key)
		if !w.forced {
			old = c.replaced(p, s)
		}
		call = c.newCall(s.Key, sharedKey, c.firstState())
		call.forced = w.forced
		call.begin(ctx, p, old, s)
		w.leader = true
		return call
	case w.forced && !call.forced && c.Shared != nil:
		return nil // it may come back with what there was before
	}
	w.joins(call)
	return call
}

// wait waits for the execution, which a leader starts. It is not ok if that turns out to
// have nothing for this caller.
func (w *Waiter) wait(ctx context.Context, call *Call) (out Outcome, ok bool) {
	forget, err := nested.Await(w.around, &call.self)
	if err != nil {
		if w.leader {
			call.abandon()
		} else {
			call.leave(false)
		}
		return Outcome{Err: err}, true
	}
	if h := w.search.host; h != nil && w.leader {
		return w.carryOut(ctx, call, h, forget)
	}
	defer forget()
	if w.leader && w.begin(call) {
		return w.take(ctx, call)
	}
	switch w.watch(ctx, call) {
	case waitOver:
		return w.take(ctx, call)
	case waitTooSlow:
		call.leave(true)
		return w.cache.answerStale(ctx, w.policy, w.search.old), true
	}
	call.leave(false)
	w.count(ctx, call)
	return Outcome{Err: ctx.Err()}, true
}

// begin starts the execution that the caller leads, or runs it if the caller cannot leave.
// An argument that cannot be copied, and panics, holds nobody up.
func (w *Waiter) begin(call *Call) (over bool) {
	started := false
	defer func() {
		if !started {
			call.abandon()
		}
	}()
	w.search.Exec.Own(w.search.Key)
	started = true
	if w.cache.Inline && (w.search.old == nil || w.policy.SoftTimeout == 0) {
		call.prepare(w.search.Exec)
		call.execute()
		return true
	}
	call.start(w.search.Exec)
	return false
}

// The ways in which waiting ends.
const (
	waitOver    = iota
	waitTooSlow // SoftTimeout has passed
	waitLeft    // the caller's context is done
)

func (w *Waiter) watch(ctx context.Context, call *Call) int {
	var soft <-chan time.Time
	if w.search.old != nil && w.policy.SoftTimeout > 0 {
		timer := time.NewTimer(w.policy.SoftTimeout)
		defer timer.Stop()
		soft = timer.C
	}
	done := call.answers(w.late)
	if soft == nil && ctx.Done() == nil { // nothing else can end the wait
		<-done
		return waitOver
	}
	select {
	case <-done:
		return waitOver
	case <-soft:
		if w.usable(w.search.old) {
			return waitTooSlow
		}
	case <-ctx.Done():
		return waitLeft
	}
	select { // the window of the old result has ended meanwhile
	case <-done:
		return waitOver
	case <-ctx.Done():
		return waitLeft
	}
}

// usable reports whether the windows still allow an old result to be returned.
func (w *Waiter) usable(old *entry.Entry) bool {
	return old != nil && old.Window.Verdict(clock.Now(), &w.policy.Policy, entry.Draw) != fresh.Unusable
}

// take returns what the execution, which is done, has for the caller.
func (w *Waiter) take(ctx context.Context, call *Call) (out Outcome, ok bool) {
	if !w.leader && (call.failedForWantOfWaiters() || call.single || w.overtaken(call) || w.looksAgain(call)) {
		return Outcome{}, false
	}
	e := call.Result
	switch {
	case call.panicked != nil:
		w.count(ctx, call)
		e.Propagate(ctx) // fn may recover from it, and make its result of that
		return Outcome{Panicked: call.panicked}, true
	case !e.Kept() && w.usable(w.search.old):
		return w.cache.answerStale(ctx, w.policy, w.search.old), true
	}
	w.count(ctx, call)
	e.Propagate(ctx)
	return Outcome{Entry: e}, true
}

// overtaken reports whether the result may have been invalidated between the
// start of its execution and the moment the caller joined. Which tags a result
// has is known only when fn has returned; only the last invalidation of each is
// known, so one after the caller joined counts too.
func (w *Waiter) overtaken(call *Call) bool {
	return w.seq != call.born && w.cache.overtaken(call.born, call.Result.Tags())
}

// looksAgain reports whether the caller has to look for the result as one who comes now: it may
// have been invalidated elsewhere before the caller joined, or the store has to confirm it. What
// another process has made was compared when it was seen. An error is of no data.
func (w *Waiter) looksAgain(call *Call) bool {
	return call.run != nil && call.Result.Kept() && (w.late && !call.elsewhere || w.policy.Confirm && call.elsewhere)
}

// countJoined counts a call that has waited, but whose context ended first.
func (c *Cache) countJoined(ctx context.Context, p *entry.Config, key string) {
	c.Count.Joined.Add(1)
	p.Tell(ctx, entry.EventJoined, key)
}

func (w *Waiter) count(ctx context.Context, call *Call) {
	counter, kind := &w.cache.Count.Joined, entry.EventJoined
	switch elsewhere := call.madeElsewhere(); {
	case elsewhere && !call.run.Waited:
		counter, kind = &w.cache.Count.SharedHits, entry.EventSharedHit
	case w.leader && !elsewhere:
		counter, kind = &w.cache.Count.Misses, entry.EventMiss
	}
	counter.Add(1)
	w.policy.Tell(ctx, kind, call.key)
}

// begin makes an execution of a new call, or of a read that has found nothing, for a
// caller who leads it and waits for it. ctx lends its values. The caller holds the
// shard's mu, and sees to start or abandon.
func (c *Call) begin(ctx context.Context, p *entry.Config, old *entry.Entry, s *Search) {
	if c.work == nil {
		c.work = new(work)
	}
	c.Policy, c.old, c.host, c.born = p, old, s.host, sequence()
	c.begun, c.waiters = clock.Now(), 1
	c.ran = c.begun
	c.shard.executions++
	c.number = c.shard.executions
	c.scope.Values, c.scope.Execution, c.scope.Space = ctx, &c.self, c.cache.Space
	c.scope.Hint = nested.NewHint()
	if c.cache.Shared == nil {
		return
	}
	c.run = &lease.Run{
		Collection: c.cache.Shared.Collection, Key: c.sharedKey, Needs: p.Needs,
		Timeout: p.StoreTimeout, LoadTimeout: p.LoadTimeout, EpochLife: p.EpochLife(),
		Deadline: clock.After(c.begun, p.StoreTimeout) - int64(s.took), Outages: c.cache.Shared.Outages(c.sharedKey),
		Forced: c.forced, Seen: s.read.seen, Without: s.asked && s.read.seen == nil, Alone: s.read.why,
		Waits: c.waits, Accepts: c.accepts,
	}
	c.cache.executing.Store(c.sharedKey, c)
}

// firstState returns what an execution begins with.
func (c *Cache) firstState() State {
	if c.Shared == nil {
		return running
	}
	return acquiring
}

// abandon ends an execution that was begun and not started: its leader has left.
func (c *Call) abandon() {
	c.finish(&returned{abandoned: true})
}

// UnderWay counts the executions of the process that are not over: fn runs, or what it has
// returned is on its way to a store.
var UnderWay atomic.Int64

// start begins the goroutine of the execution. The leader does so, once, when it has
// noted that it waits, so that fn meets that note.
func (c *Call) start(exec Execution) {
	c.prepare(exec)
	go c.execute()
}

// prepare is what comes before execute.
func (c *Call) prepare(exec Execution) {
	c.exec = exec
	nested.Executing.Add(1)
	UnderWay.Add(1)
}

// execute is an execution. It obtains the result and finishes the call with it, however fn and the user's
// functions that judge its result end. What these run under is over when they have
// returned: finish must not need it.
func (c *Call) execute() {
	got := returned{err: ErrGoexit} // unless everything returns or something panics
	returns := false
	defer UnderWay.Add(-1)
	defer func() {
		if !returns { // Goexit
			c.ends(&got)
		}
	}()
	c.obtain(&got)
	returns = true
	c.ends(&got)
}

// ends ends the execution.
func (c *Call) ends(got *returned) {
	c.exec.Abstain() // unless it was run
	c.scope.Lift()
	nested.Executing.Add(-1)
	c.scope.End(context.Canceled)
	c.finish(got)
}

// obtain obtains the result, or the panic of what was to make it.
func (c *Call) obtain(got *returned) {
	defer func() {
		if v := recover(); v != nil {
			*got = panicked(v)
		}
	}()
	if c.run != nil {
		if c.run.Obtain(&c.scope); c.obtained != nil || c.scope.Err() != nil {
			*got = returned{elsewhere: c.obtained, err: c.scope.Err()}
			return
		}
	}
	c.runs()
	c.produce(&c.scope, got)
	c.cache.refuseToShare(c, got)
}

// waits notes that the execution waits for another process's.
func (c *Call) waits() {
	c.become(awaiting)
	c.exec.Abstain()
}

// accepts takes another process's result for that of the execution, if it is fresh, and
// another one than that is to replace.
func (c *Call) accepts(seen *fleet.Seen) bool {
	c.obtained = c.accept(seen)
	return c.obtained != nil
}

// accept returns the result that was seen if it is what the call would execute for: it is
// fresh, and another one than it is to replace.
func (c *Call) accept(seen *fleet.Seen) *entry.Entry {
	if c.old != nil && c.old.Stored() && c.old.Location().Token == seen.Record.Token {
		return nil
	}
	e := c.cache.Shared.Result(c.Policy, c.key, c.run.Key, seen, c.born)
	if e == nil || !c.host.serves(e) || clock.Now() >= e.Fresh || c.Policy.TooOld(&e.Window, clock.Now()) || c.Policy.MaxAge >= 0 && clock.Now() >= clock.After(e.Created, c.Policy.MaxAge) {
		return nil
	}
	return e
}

// runs notes that fn is run from here on. It sees to it that the execution ends at LoadTimeout,
// whether or not fn listens, until that is lifted.
func (c *Call) runs() {
	if c.cache.Inline { // it has just begun
		return
	}
	c.shard.mu.Lock()
	c.to(running)
	c.ran = clock.Now()
	c.shard.mu.Unlock()
	if c.run != nil {
		c.run.Begin(c.ran)
	}
	if d := c.Policy.LoadTimeout; d != 0 {
		c.scope.Limit(d, grace(d), c)
	}
}

// GiveUp ends the execution of a fn that has not returned though its context has ended.
func (c *Call) GiveUp() { c.finish(&returned{err: errGivenUp}) }

// grace is how long fn may take to come back once LoadTimeout has ended its
// context.
func grace(limit time.Duration) time.Duration { return min(limit/10, 100*time.Millisecond) }

// A returned is what fn came back with, and what the policy made of it.
type returned struct {
	value     any       // a *R; nil if there is none
	read      time.Time // when fn returned it; zero if fn did not return
	err       error
	panicked  *entry.PanicError
	keep      bool         // by CacheIf
	remember  bool         // by CacheErrors
	absent    bool         // fn left the key out
	single    bool         // the result can be used only once
	elsewhere *entry.Entry // another process's result, instead of all that
	abandoned bool         // nothing was begun
}

// panicked is what came of a panic with v.
func panicked(v any) returned {
	p, passedOn := v.(entry.BatchPanic)
	if !passedOn {
		p.PanicError = &entry.PanicError{Value: v, Stack: debug.Stack()}
	}
	return returned{err: p.PanicError, panicked: p.PanicError}
}

// produce runs fn, and asks the policy what becomes of the result.
func (c *Call) produce(ctx context.Context, into *returned) {
	value, err := c.exec.Run(ctx)
	got := returned{value: value, err: err, read: time.Now()}
	if err == entry.ErrAbsent {
		got.err, got.absent = nil, true
		*into = got
		return
	}
	if err == nil || ctx.Err() == nil { // otherwise the error says nothing of the argument
		if c.Policy.Asks || err != nil && c.Policy.ErrorTTL > 0 {
			leave, _ := (&nested.Callback{Of: &c.self}).Enter()
			defer leave()
		}
		got.keep = c.Policy.Keeps(value, err)
		got.remember = !got.keep && c.Policy.Remembers(err)
	}
	*into = got
}
