package engine

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
	"github.com/seed-0226adef/memo/internal/tier"
)

var (
	ErrRecursive = errors.New("memo: fn waits for its own result")
	ErrGoexit    = errors.New("memo: fn called runtime.Goexit")
	ErrNoReturn  = errors.New("memo: fn panicked or called runtime.Goexit")
	errGivenUp   = fmt.Errorf("memo: fn did not return within its LoadTimeout: %w", context.DeadlineExceeded)
)

// A PanicError is a panic of fn, or of a function that judges its result, as an error.
// It is memo.panicError.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("memo: fn panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A BatchPanic is a panic of fn on its way to one of those who wait for it.
type BatchPanic struct{ *PanicError }

// Within returns a context that ends after limit, which zero does not set.
func Within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// An Execution is fn with one argument.
type Execution interface {
	// Own gives the execution a copy of its argument, whose canonical form is key. It
	// is called in the caller's goroutine before the execution is started, and does
	// something once.
	Own(key string)
	// Run runs fn and returns its result as a *R.
	Run(context.Context) (any, error)
	// Abstain says that this call will not run fn now, so that a batch need not wait
	// for its key.
	Abstain()
	// Counted reports whether run counts as an execution by itself.
	Counted() bool
	// AppendArgs appends the last part of the shared key of the argument, whose
	// canonical form is key.
	AppendArgs(b []byte, key string) []byte
}

// A Flight is one execution of fn and those who wait for it. The execution has a
// goroutine of its own, so that everyone may leave alone; nobody can leave
// golang.org/x/sync/singleflight, which is why it is not underneath.
//
// A flight is in its shard's map from its start until its result is published,
// unless something overtakes it first. Being taken out of the map early is what
// detaches it: nobody can join it any more, and its result is kept nowhere.
type Flight struct {
	key    string
	Policy *Config
	shard  *shard
	frame  Frame
	born   uint64 // the sequence number noted before fn began
	Began  int64  // when fn was started; launched until then
	old    *Entry // what the result is to replace, if there is something
	exec   Execution
	cancel context.CancelFunc // of what exec runs under, whose root is frame. No publication sees that context
	ending atomic.Bool        // set by whoever ends the flight
	ran    bool               // fn was run, and is to be counted; set by fly before it is

	forced   bool       // by Refresh: fn is run whatever the store holds
	launched int64      // when the flight was made
	run      *fleet.Run // the fleet's part; nil without a store

	// Guarded by shard.mu.
	waiters  int
	wanted   bool // goes on without waiters
	canceled bool // everyone has left
	detached bool
	ended    bool

	done chan struct{} // closed when the fields below are set; they never change again

	Result    *Entry // whatever came back, kept or not; its value is nil where there is none
	elsewhere bool   // result was executed by another process
	single    bool   // result can be used only once: it is the leader's
	panicked  *PanicError
}

// shard are the executions under way for a part of a function's keys.
type shard struct {
	mu          sync.Mutex
	of          map[string]*Flight // guarded by mu
	lookups     map[string]*Lookup // guarded by mu; looks at the shared store, and Sets, that are under way
	failing     map[string]*Entry  // guarded by mu; stored results whose refresh has failed
	overtakings uint64             // guarded by mu; how often something was set or invalidated
	cloning     atomic.Int64       // how many copies of results are being made that are noted
	_           [16]byte           // a cache line each
}

// maxFailing bounds how many failures are remembered in a shard. Beyond that all
// are forgotten.
const maxFailing = 1 << 10

// fails notes that an attempt to refresh e has failed, also for other copies of e.
// The caller holds mu.
func (s *shard) fails(e *Entry, t int64) {
	e.refreshFailed(t)
	if !e.stored() {
		return
	}
	if s.failing == nil || len(s.failing) >= maxFailing {
		s.failing = map[string]*Entry{}
	}
	s.failing[e.Key] = e
}

// resume tells e, a copy of a stored result, of earlier attempts to refresh it. The
// caller holds mu.
func (s *shard) resume(e *Entry) {
	if old := s.failing[e.Key]; old != nil && old.share.Token == e.share.Token {
		e.failures.Store(old.failures.Load())
		e.retryAt.Store(old.retryAt.Load())
	} else {
		delete(s.failing, e.Key)
	}
}

// note makes l what is known of the key, until end. The caller holds mu.
func (s *shard) note(l *Lookup) {
	if s.lookups == nil {
		s.lookups = map[string]*Lookup{}
	}
	s.lookups[l.key] = l
}

// end lets those go who wait for l, which nobody joins from now on.
func (s *shard) end(l *Lookup) {
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
func (c *Cache) doubt(sharedKey string) {
	if f, ok := c.Shared.flying.Load(sharedKey); ok {
		f.(*Flight).run.Doubted.Store(true)
	}
}

// overtake is detach where what the store held until now does not count any more.
func (s *shard) overtake(key string) {
	s.overtakings++
	s.detach(key)
}

// detach detaches the flight and the look-up for key, if there are any. The caller
// holds mu.
func (s *shard) detach(key string) {
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
func (f *Flight) leave(goOn bool) {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	f.waiters--
	f.wanted = f.wanted || goOn && !f.canceled
	if f.waiters == 0 && !f.wanted && !f.ended {
		f.canceled = true
		f.cancel()
	}
}

// failedForWantOfWaiters reports whether the flight, which has ended, failed for want of
// waiters. A caller that joined it too late starts over.
func (f *Flight) failedForWantOfWaiters() bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return f.canceled && (f.panicked != nil || f.Result.Err != nil)
}

// tags returns the tags that the flight's result is known to have so far.
func (f *Flight) tags() []scopedTag {
	return f.Policy.allTags(f.frame.Space, f.frame.tagsSoFar())
}

// newFlight makes a flight for key, detaching the one under way, if any. ctx lends
// its values. The caller holds the shard's mu, and sees to start, with the context
// that newFlight returns.
func (c *Cache) newFlight(ctx context.Context, p *Config, key string, old *Entry, exec Execution) (*Flight, context.Context) {
	s, sharedKey := c.Shard(key), c.SharedKey(key, exec)
	s.detach(key)
	f := &Flight{
		key: key, Policy: p, shard: s, old: old, exec: exec,
		born: Sequence.Load(), launched: clock.Now(), done: make(chan struct{}),
	}
	f.Began = f.launched
	f.frame.Values, f.frame.Flight, f.frame.Space = ctx, f, c.Space
	f.frame.Hint.Fresh = clock.Forever
	if s.of == nil {
		s.of = make(map[string]*Flight)
	}
	s.of[key] = f

	if c.Shared == nil {
		ctx, f.cancel = Within(&f.frame, p.LoadTimeout) // fn runs at once
		return f, ctx
	}
	f.run = &fleet.Run{
		Collection: c.Shared.Collection, Key: sharedKey, Needs: p.needs,
		Timeout: p.StoreTimeout, LoadTimeout: p.LoadTimeout, EpochLife: p.epochLife(),
		Deadline: clock.After(f.launched, p.StoreTimeout), Outages: c.Shared.Outages.Load(),
		Waits: exec.Abstain,
	}
	ctx, f.cancel = context.WithCancel(&f.frame)
	c.Shared.flying.Store(sharedKey, f)
	return f, ctx
}

// SharedKey returns the key in the store of the argument that exec is for, or ""
// without a store. It may call a method of the argument, which may panic, so it
// comes before anything that others could wait for.
func (c *Cache) SharedKey(key string, exec Execution) string {
	if c.Shared == nil {
		return ""
	}
	return SharedKey(c.Shared.Head, key, exec)
}

// start begins the execution of a flight. The leader does so, once, when it has
// noted that it waits for the flight, so that fn meets that note.
func (c *Cache) start(ctx context.Context, f *Flight) {
	Executing.Add(1)
	go c.run(ctx, f)
}

// grace is how long fn may take to come back once LoadTimeout has ended its
// context.
func grace(limit time.Duration) time.Duration { return min(limit/10, 100*time.Millisecond) }

// A returned is what fn came back with, and what the policy made of it.
type returned struct {
	value     any       // a *R; nil if there is none
	read      time.Time // when fn returned it; zero if fn did not return
	err       error
	panicked  *PanicError
	keep      bool   // by CacheIf
	remember  bool   // by CacheErrors
	absent    bool   // fn left the key out
	single    bool   // the result can be used only once
	elsewhere *Entry // another process's result, instead of all that
}

// run ends the flight with another process's result or with that of fn, however fn
// and the user's functions that judge its result end. ctx is what they run under, and
// is over when they have returned: end must not need it.
func (c *Cache) run(ctx context.Context, f *Flight) {
	l := returned{err: ErrGoexit} // unless everything returns or something panics
	stop := func() {}
	defer func() {
		f.exec.Abstain() // unless it was run
		if v := recover(); v != nil {
			p, passedOn := v.(BatchPanic)
			if !passedOn {
				p.PanicError = &PanicError{Value: v, Stack: debug.Stack()}
			}
			l = returned{err: p.PanicError, panicked: p.PanicError}
		}
		stop()
		Executing.Add(-1)
		f.cancel()
		c.end(f, l)
	}()
	if f.run != nil {
		if e := c.Shared.obtain(ctx, f); e != nil || ctx.Err() != nil {
			l = returned{elsewhere: e, err: ctx.Err()}
			return
		}
	}
	f.ran, f.Began = !f.exec.Counted(), clock.Now()
	if f.run != nil {
		f.run.Begin(f.Began)
	}
	ctx, stop = c.limit(ctx, f)
	l = f.execute(ctx)
	c.refuseToShare(f, &l)
}

// limit returns the context that fn is to run under, and sees to it that the
// flight ends at LoadTimeout, whether or not fn listens, until stop is called.
func (c *Cache) limit(under context.Context, f *Flight) (ctx context.Context, stop func()) {
	d := f.Policy.LoadTimeout
	if d == 0 {
		return under, func() {}
	}
	timer := time.AfterFunc(time.Duration(clock.After(int64(d), grace(d))), func() { c.end(f, returned{err: errGivenUp}) })
	if c.Shared == nil { // launch has set the limit
		return under, func() { timer.Stop() }
	}
	ctx, cancel := context.WithTimeout(under, d)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

// execute runs fn and asks the policy what becomes of the result.
func (f *Flight) execute(ctx context.Context) returned {
	value, err := f.exec.Run(ctx)
	l := returned{value: value, err: err, read: time.Now()}
	if err == ErrAbsent {
		l.err, l.absent = nil, true
		return l
	}
	if err == nil || ctx.Err() == nil { // otherwise the error says nothing of the argument
		if f.Policy.Asks || err != nil && f.Policy.ErrorTTL > 0 {
			leave, _ := (&callbackRun{flight: f}).enter()
			defer leave()
		}
		l.keep = f.Policy.Keeps(value, err)
		l.remember = !l.keep && f.Policy.remembers(err)
	}
	return l
}

// end ends f: it publishes what came back, and lets the waiters go. Only the
// first call does anything; a second one is that of a fn which came back after
// it was given up.
func (c *Cache) end(f *Flight, l returned) {
	if !f.ending.CompareAndSwap(false, true) {
		return
	}
	if c.Shared != nil {
		defer c.Shared.flying.CompareAndDelete(f.run.Key, f)
	}
	e := l.elsewhere
	if e == nil {
		e = c.entryFor(f, l)
		if c.Shared != nil {
			ctx, stop := c.publishing(f, e, l)
			defer c.Shared.publish(ctx, f, e, l)() // when the waiters have gone
			stop()
		}
	}
	failed := l.err != nil && !l.keep
	f.shard.mu.Lock()
	if !f.detached {
		delete(f.shard.of, f.key)
		switch {
		case e.Kept:
			if f.overtakenElsewhere(nil) || !c.hold(e) {
				c.drop(f.key) // it is older than what is not to be held
			}
		case !f.oldServes(e.Created):
			c.hold(e)
		}
	}
	if failed && f.old != nil && !f.canceled {
		f.shard.fails(f.old, e.Created)
	}
	unattended := f.waiters == 0 && f.wanted
	f.shard.mu.Unlock()
	c.release(f, e, l)
	if unattended && failed {
		defer c.Survive(f.Policy)
		c.reportBackground(f.Policy, l)
	}
}

// release lets the waiters go, with e. Only the first call does anything.
func (c *Cache) release(f *Flight, e *Entry, l returned) {
	f.shard.mu.Lock()
	first := !f.ended
	if first {
		f.ended, f.Result, f.panicked, f.elsewhere, f.single = true, e, l.panicked, l.elsewhere != nil, l.single
	}
	f.shard.mu.Unlock()
	if !first {
		return
	}
	defer close(f.done)
	defer c.Survive(f.Policy)
	if f.ran {
		c.CountExecution(&f.frame, f.Policy, f.key, time.Duration(e.Cost), l.err)
	}
}

// Survive, deferred, keeps a panic of an observer or a logger from ending the
// process: nobody who could recover it stands above an execution.
func (c *Cache) Survive(p *Config) {
	if v := recover(); v != nil {
		p.Log().Error("memo: an observer or logger panicked", "func", c.Label, "panic", v, "stack", string(debug.Stack()))
	}
}

// entryFor makes an entry of what fn came back with just now. Its window is empty
// if it is not to be held.
func (c *Cache) entryFor(f *Flight, l returned) *Entry {
	p, h, read := f.Policy, f.frame.Seal(), l.read
	if len(h.added.list) > 0 {
		c.needsGroup(p)
	}
	if read.IsZero() {
		read = time.Now()
	}
	var life fresh.Lifetime
	switch {
	case h.NoStore:
	case l.absent:
		life = fresh.Lifetime{TTL: p.MissingTTL, Inherit: p.lifetime(h).Inherit}
		l.err = ErrAbsent
	case l.keep:
		life = p.lifetime(h)
	case l.remember:
		life = fresh.Lifetime{TTL: p.ErrorTTL, Inherit: clock.Forever}
	}
	if h.epochs.unverifiable {
		life = fresh.Lifetime{}
	}
	return &Entry{
		Item: tier.Item{Key: f.key}, Value: l.value, Err: l.err, Kept: l.keep || l.absent || l.err == nil,
		Window: life.Window(clock.At(read), clock.At(read)-f.Began, draw()),
		Read:   read, born: f.born, Tags: p.allTags(f.frame.Space, h.tags.list),
		trusted: h.epochs.trusted(), Dependencies: slices.Clip(h.epochs.dependencies),
		incomplete: h.epochs.incomplete(), awaited: h.epochs.awaited, unverifiable: h.epochs.unverifiable,
	}
}

// remembers reports whether err is one of those that CacheErrors is for.
func (p *Config) remembers(err error) bool {
	return err != nil && p.ErrorTTL > 0 && p.ErrorMatch(err)
}

// oldServes reports whether the result that the execution was to replace can
// still be returned in place of an error.
func (f *Flight) oldServes(t int64) bool {
	return f.old != nil && f.old.Err == nil && t < f.old.End
}

func (c *Cache) CountExecution(ctx context.Context, p *Config, key string, took time.Duration, err error) {
	c.Count.executions.Add(1)
	c.Count.executionTime.Add(int64(took))
	if err != nil {
		c.Count.failures.Add(1)
	}
	if p.Observe != nil {
		p.Observe(ctx, eventExecution, key, took, err)
	}
}

// reportBackground logs a failure that no caller sees.
func (c *Cache) reportBackground(p *Config, l returned) {
	if l.panicked != nil {
		p.Log().Error("memo: background refresh panicked", "func", c.Label, "panic", l.panicked.Value, "stack", string(l.panicked.Stack))
		return
	}
	p.Log().Warn("memo: background refresh failed", "func", c.Label, "error", l.err)
}
