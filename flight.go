package memo

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
)

var (
	errRecursive = errors.New("memo: fn waits for its own result")
	errGoexit    = errors.New("memo: fn called runtime.Goexit")
	errNoReturn  = errors.New("memo: fn panicked or called runtime.Goexit")
	errGivenUp   = fmt.Errorf("memo: fn did not return within its LoadTimeout: %w", context.DeadlineExceeded)
)

// A panicError is a panic of fn, or of a function that judges its result, as an error.
// It is memo.panicError.
type panicError struct {
	Value any
	Stack []byte
}

func (e *panicError) Error() string {
	return fmt.Sprintf("memo: fn panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns Value if it is an error.
func (e *panicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// An execution is fn with one argument.
type execution interface {
	// own gives the execution a copy of its argument, whose canonical form is key. It
	// is called in the caller's goroutine before the execution is started, and does
	// something once.
	own(key string)
	// run runs fn and returns its result as a *R.
	run(context.Context) (any, error)
	// abstain says that this call will not run fn now, so that a batch need not wait
	// for its key.
	abstain()
	// counted reports whether run counts as an execution by itself.
	counted() bool
	// appendArgs appends the last part of the shared key of the argument, whose
	// canonical form is key.
	appendArgs(b []byte, key string) []byte
}

// A flight is one execution of fn and those who wait for it. The execution has a
// goroutine of its own, so that everyone may leave alone; nobody can leave
// golang.org/x/sync/singleflight, which is why it is not underneath.
//
// A flight is in its shard's map from its start until its result is published,
// unless something overtakes it first. Being taken out of the map early is what
// detaches it: nobody can join it any more, and its result is kept nowhere.
type flight struct {
	key    string
	policy *config
	shard  *flights
	frame  frame
	born   uint64 // the sequence number noted before fn began
	began  int64  // when fn was started; launched until then
	old    *entry // what the result is to replace, if there is something
	exec   execution
	cancel context.CancelFunc // of what exec runs under, whose root is frame. No publication sees that context
	landed atomic.Bool        // set by whoever ends the flight
	ran    bool               // fn was run, and is to be counted; set by fly before it is

	// With a shared store. Those from deadline on are set before fn begins: by the
	// flight's goroutine alone, once that runs.
	sharedKey string
	forced    bool                   // by Refresh: fn is run whatever the store holds
	noStore   bool                   // the caller's look-up failed, so go without the store
	seen      *sighting              // what the caller found in the store
	launched  int64                  // when the flight was made
	doubted   atomic.Bool            // a change of its key was reported, if only its own
	lone      atomic.Bool            // fn runs without a ticket: a change that was reported is another's
	ticket    atomic.Pointer[ticket] // what makes this the fleet's execution; nil for one on its own
	deadline  int64                  // until when it may wait for the store before fn begins
	left      time.Duration          // how long its waiters may wait for the store when fn is back
	outages   uint32                 // of the store until then
	alone     error                  // why fn runs without a ticket, if its result should be stored all the same
	epochs    map[string]fleet.Epoch // in force before fn began
	waited    bool                   // for another process
	refused   bool                   // the store refuses the key, and its result stays in this process

	// Guarded by shard.mu.
	waiters  int
	sticky   bool // goes on without waiters
	canceled bool // everyone has left
	detached bool
	ended    bool

	done chan struct{} // closed when the fields below are set; they never change again

	result   *entry // whatever came back, kept or not; its value is nil where there is none
	foreign  bool   // result was executed by another process
	once     bool   // result can be used only once: it is the leader's
	panicked *panicError
}

// flights are the executions under way for a part of a function's keys.
type flights struct {
	mu          sync.Mutex
	of          map[string]*flight // guarded by mu
	lookups     map[string]*lookup // guarded by mu; looks at the shared store, and Sets, that are under way
	failing     map[string]*entry  // guarded by mu; stored results whose refresh has failed
	overtakings uint64             // guarded by mu; how often something was set or invalidated
	cloning     atomic.Int64       // how many copies of results are being made that are noted
	_           [16]byte           // a cache line each
}

// maxFailing bounds how many failures are remembered in a shard. Beyond that all
// are forgotten.
const maxFailing = 1 << 10

// fails notes that an attempt to refresh e has failed, also for other copies of e.
// The caller holds mu.
func (s *flights) fails(e *entry, t int64) {
	e.refreshFailed(t)
	if !e.stored() {
		return
	}
	if s.failing == nil || len(s.failing) >= maxFailing {
		s.failing = map[string]*entry{}
	}
	s.failing[e.key] = e
}

// resume tells e, a copy of a stored result, of earlier attempts to refresh it. The
// caller holds mu.
func (s *flights) resume(e *entry) {
	if old := s.failing[e.key]; old != nil && old.share.token == e.share.token {
		e.failures.Store(old.failures.Load())
		e.retryAt.Store(old.retryAt.Load())
	} else {
		delete(s.failing, e.key)
	}
}

// note makes l what is known of the key, until end. The caller holds mu.
func (s *flights) note(l *lookup) {
	if s.lookups == nil {
		s.lookups = map[string]*lookup{}
	}
	s.lookups[l.key] = l
}

// end lets those go who wait for l, which nobody joins from now on.
func (s *flights) end(l *lookup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lookups[l.key] == l {
		delete(s.lookups, l.key)
	}
	if l.done != nil {
		close(l.done)
	}
}

// doubt has those ask the store who want to join the flight for a shared key.
func (c *core) doubt(sharedKey string) {
	if f, ok := c.shared.flying.Load(sharedKey); ok {
		f.(*flight).doubted.Store(true)
	}
}

// overtake is detach where what the store held until now does not count any more.
func (s *flights) overtake(key string) {
	s.overtakings++
	s.detach(key)
}

// detach detaches the flight and the look-up for key, if there are any. The caller
// holds mu.
func (s *flights) detach(key string) {
	delete(s.lookups, key)
	if f := s.of[key]; f != nil {
		f.detached = true
		delete(s.of, key)
	}
}

// leave makes a waiter not wait any longer. When the last one leaves, the
// execution is cancelled, unless one of them, by goOn, wanted its result kept.
//
// A cancelled flight stays in the map, so that callers who come while fn is on
// its way out wait for it instead of running a second one beside it.
func (f *flight) leave(goOn bool) {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	f.waiters--
	f.sticky = f.sticky || goOn && !f.canceled
	if f.waiters == 0 && !f.sticky && !f.ended {
		f.canceled = true
		f.cancel()
	}
}

// useless reports whether the flight, which has ended, failed for want of
// waiters. Whoever joined it too late starts over.
func (f *flight) useless() bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return f.canceled && (f.panicked != nil || f.result.err != nil)
}

// tags returns the tags that the flight's result is known to have so far.
func (f *flight) tags() []scopedTag {
	return f.policy.allTags(f.frame.space, f.frame.tagsSoFar())
}

// launch makes a flight for key, detaching the one under way, if any. ctx lends
// its values. The caller holds the shard's mu, and sees to takeOff, with the context
// that launch returns.
func (c *core) launch(ctx context.Context, p *config, key string, old *entry, exec execution) (*flight, context.Context) {
	s, sharedKey := c.shard(key), c.sharedKey(key, exec)
	s.detach(key)
	f := &flight{
		key: key, sharedKey: sharedKey, policy: p, shard: s, old: old, exec: exec,
		born: sequence.Load(), launched: clock.Now(), done: make(chan struct{}),
	}
	f.began, f.deadline = f.launched, clock.After(f.launched, p.storeTimeout)
	f.frame.values, f.frame.flight, f.frame.space = ctx, f, c.space
	f.frame.hint.fresh = clock.Forever
	if s.of == nil {
		s.of = make(map[string]*flight)
	}
	s.of[key] = f

	if c.shared == nil {
		ctx, f.cancel = within(&f.frame, p.loadTimeout) // fn runs at once
		return f, ctx
	}
	f.outages = c.shared.Outages.Load()
	ctx, f.cancel = context.WithCancel(&f.frame)
	c.shared.flying.Store(sharedKey, f)
	return f, ctx
}

// sharedKey returns the key in the store of the argument that exec is for, or ""
// without a store. It may call a method of the argument, which may panic, so it
// comes before anything that others could wait for.
func (c *core) sharedKey(key string, exec execution) string {
	if c.shared == nil {
		return ""
	}
	return sharedKey(c.shared.Head, key, exec)
}

// takeOff starts the execution of a flight. The leader does so, once, when it has
// noted that it waits for the flight, so that fn meets that note.
func (c *core) takeOff(ctx context.Context, f *flight) {
	executing.Add(1)
	go c.fly(ctx, f)
}

// grace is how long fn may take to come back once LoadTimeout has ended its
// context.
func grace(limit time.Duration) time.Duration { return min(limit/10, 100*time.Millisecond) }

// A landing is what fn came back with.
type landing struct {
	value    any       // a *R; nil if there is none
	read     time.Time // when fn returned it; zero if fn did not return
	err      error
	panicked *panicError
	keep     bool   // by CacheIf
	remember bool   // by CacheErrors
	absent   bool   // fn left the key out
	once     bool   // the result can be used only once
	foreign  *entry // another process's result, instead of all that
}

// fly ends the flight with another process's result or with that of fn, however fn
// and the user's functions that judge its result end. ctx is what they run under, and
// is over when they have returned: end must not need it.
func (c *core) fly(ctx context.Context, f *flight) {
	l := landing{err: errGoexit} // unless everything returns or something panics
	stop := func() {}
	defer func() {
		f.exec.abstain() // unless it was run
		if v := recover(); v != nil {
			p, passedOn := v.(batchPanic)
			if !passedOn {
				p.panicError = &panicError{Value: v, Stack: debug.Stack()}
			}
			l = landing{err: p.panicError, panicked: p.panicError}
		}
		stop()
		executing.Add(-1)
		f.cancel()
		c.end(f, l)
	}()
	if c.shared != nil && !f.noStore {
		f.alone = nil
		if e := c.shared.obtain(ctx, f); e != nil || ctx.Err() != nil {
			l = landing{foreign: e, err: ctx.Err()}
			return
		}
	}
	if c.shared != nil && f.ticket.Load() == nil {
		f.doubted.Store(false) // what was reported until now came before fn begins
		f.lone.Store(true)
	}
	f.ran, f.began = !f.exec.counted(), clock.Now()
	f.left = f.storeDeadline().Remaining()
	ctx, stop = c.limit(ctx, f)
	l = f.judge(ctx)
	c.keepApart(f, &l)
}

// limit returns the context that fn is to run under, and sees to it that the
// flight ends at LoadTimeout, whether or not fn listens, until stop is called.
func (c *core) limit(under context.Context, f *flight) (ctx context.Context, stop func()) {
	d := f.policy.loadTimeout
	if d == 0 {
		return under, func() {}
	}
	timer := time.AfterFunc(time.Duration(clock.After(int64(d), grace(d))), func() { c.end(f, landing{err: errGivenUp}) })
	if c.shared == nil { // launch has set the limit
		return under, func() { timer.Stop() }
	}
	ctx, cancel := context.WithTimeout(under, d)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

// judge runs fn and asks the policy what becomes of the result.
func (f *flight) judge(ctx context.Context) landing {
	value, err := f.exec.run(ctx)
	l := landing{value: value, err: err, read: time.Now()}
	if err == errAbsent {
		l.err, l.absent = nil, true
		return l
	}
	if err == nil || ctx.Err() == nil { // otherwise the error says nothing of the argument
		if f.policy.asks || err != nil && f.policy.errorTTL > 0 {
			leave, _ := (&callbackRun{flight: f}).enter()
			defer leave()
		}
		l.keep = f.policy.keeps(value, err)
		l.remember = !l.keep && f.policy.remembers(err)
	}
	return l
}

// end ends f: it publishes what came back, and lets the waiters go. Only the
// first call does anything; a second one is that of a fn which came back after
// it was given up.
func (c *core) end(f *flight, l landing) {
	if !f.landed.CompareAndSwap(false, true) {
		return
	}
	if c.shared != nil {
		defer c.shared.flying.CompareAndDelete(f.sharedKey, f)
	}
	e := l.foreign
	if e == nil {
		e = c.entryFor(f, l)
		if c.shared != nil {
			ctx, stop := c.publishing(f, e, l)
			defer c.shared.publish(ctx, f, e, l)() // when the waiters have gone
			stop()
		}
	}
	failed := l.err != nil && !l.keep
	f.shard.mu.Lock()
	if !f.detached {
		delete(f.shard.of, f.key)
		switch {
		case e.kept:
			if f.overtakenAlone() || !c.hold(e) {
				c.drop(f.key) // it is older than what is not to be held
			}
		case !f.oldServes(e.Created):
			c.hold(e)
		}
	}
	if failed && f.old != nil && !f.canceled {
		f.shard.fails(f.old, e.Created)
	}
	unattended := f.waiters == 0 && f.sticky
	f.shard.mu.Unlock()
	c.letGo(f, e, l)
	if unattended && failed {
		defer c.survive(f.policy)
		c.reportBackground(f.policy, l)
	}
}

// letGo lets the waiters go, with e. Only the first call does anything.
func (c *core) letGo(f *flight, e *entry, l landing) {
	f.shard.mu.Lock()
	first := !f.ended
	if first {
		f.ended, f.result, f.panicked, f.foreign, f.once = true, e, l.panicked, l.foreign != nil, l.once
	}
	f.shard.mu.Unlock()
	if !first {
		return
	}
	defer close(f.done)
	defer c.survive(f.policy)
	if f.ran {
		c.countExecution(&f.frame, f.policy, f.key, time.Duration(e.Cost), l.err)
	}
}

// survive, deferred, keeps a panic of an observer or a logger from ending the
// process: nobody who could recover it stands above an execution.
func (c *core) survive(p *config) {
	if v := recover(); v != nil {
		p.log().Error("memo: an observer or logger panicked", "func", c.label, "panic", v, "stack", string(debug.Stack()))
	}
}

// entryFor makes an entry of what fn came back with just now. Its window is empty
// if it is not to be held.
func (c *core) entryFor(f *flight, l landing) *entry {
	p, h, read := f.policy, f.frame.seal(), l.read
	if len(h.added.list) > 0 {
		c.needsGroup(p)
	}
	if read.IsZero() {
		read = time.Now()
	}
	var life fresh.Lifetime
	switch {
	case h.noStore:
	case l.absent:
		life = fresh.Lifetime{TTL: p.missingTTL, Inherit: p.lifetime(h).Inherit}
		l.err = errAbsent
	case l.keep:
		life = p.lifetime(h)
	case l.remember:
		life = fresh.Lifetime{TTL: p.errorTTL, Inherit: clock.Forever}
	}
	if h.epochs.torn {
		life = fresh.Lifetime{}
	}
	return &entry{
		key: f.key, value: l.value, err: l.err, kept: l.keep || l.absent || l.err == nil,
		Window: life.Window(clock.At(read), clock.At(read)-f.began, draw()),
		read:   read, born: f.born, tags: p.allTags(f.frame.space, h.tags.list),
		trusted: h.epochs.trusted(), fences: slices.Clip(h.epochs.fences),
		loose: h.epochs.incomplete(), settling: h.epochs.settling, torn: h.epochs.torn,
	}
}

// remembers reports whether err is one of those that CacheErrors is for.
func (p *config) remembers(err error) bool {
	return err != nil && p.errorTTL > 0 && p.errorMatch(err)
}

// oldServes reports whether the result that the execution was to replace can
// still be returned in place of an error.
func (f *flight) oldServes(t int64) bool {
	return f.old != nil && f.old.err == nil && t < f.old.End
}

func (c *core) countExecution(ctx context.Context, p *config, key string, took time.Duration, err error) {
	c.count.executions.Add(1)
	c.count.executionTime.Add(int64(took))
	if err != nil {
		c.count.failures.Add(1)
	}
	if p.observe != nil {
		p.observe(ctx, eventExecution, key, took, err)
	}
}

// reportBackground logs a failure that no caller sees.
func (c *core) reportBackground(p *config, l landing) {
	if l.panicked != nil {
		p.log().Error("memo: background refresh panicked", "func", c.label, "panic", l.panicked.Value, "stack", string(l.panicked.Stack))
		return
	}
	p.log().Warn("memo: background refresh failed", "func", c.label, "error", l.err)
}
