package engine

import (
	"context"
	"sync"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/lease"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/tags"
)

// A State is what is under way for a key. A test reads the two tables below, compares the
// second one with the code, and goes along each of its rows.
//
//	state        what goes on
//	-----------  ------------------------------------------------------------------
//	reading      a caller looks what the store holds; others wait for what that finds
//	setting      Set tells the store; callers look again when it has
//	acquiring    the execution asks the fleet for the right to run fn
//	awaiting     another process has that right; its result is waited for
//	running      fn runs
//	publishing   fn is back; the result goes to the store and into this process
//	lingering    the same, but it has taken so long that the waiters have their result
//	answered     over: the store had a result, or another process made one
//	published    over: the result is where it belongs
//	failed       over: there is no result
//
//	from         to           when
//	-----------  -----------  ----------------------------------------------------
//	reading      acquiring    there is nothing that the reader may use, and it leads
//	reading      answered     the store has a result
//	reading      failed       it has none, and the reader does not lead
//	setting      answered     the store was told
//	acquiring    awaiting     another process executes
//	acquiring    running      the fleet has given the right, or its store is of no help
//	acquiring    answered     another process has made the result meanwhile
//	acquiring    failed       the last waiter has left, or the leader has given up
//	awaiting     running      the other process came to nothing
//	awaiting     answered     its result has appeared
//	awaiting     failed       the last waiter has left
//	running      publishing   fn has returned, panicked, or outlasted LoadTimeout
//	publishing   lingering    the waiters have waited for the store as long as they may
//	publishing   published    the store has taken the result or refused it, or there is none
//	lingering    published    as above
//
// Without a store an execution begins in running. A caller who joined an execution when
// that had gone on for longer than an epoch is trusted waits until it is over, and looks
// again then, unless it was answered or failed: another process may have invalidated the result
// before the caller came. Two things are orthogonal to the state:
// whether the call is current, and who waits; see Call.
type State uint8

const (
	reading State = iota + 1
	setting
	acquiring
	awaiting
	running
	publishing
	lingering
	answered
	published
	failed
)

var stateNames = [...]string{
	reading: "reading", setting: "setting", acquiring: "acquiring", awaiting: "awaiting", running: "running", publishing: "publishing",
	lingering: "lingering", answered: "answered", published: "published", failed: "failed",
}

func (s State) String() string { return stateNames[s] }

// transitions are the rows of the second table.
var transitions = [...][]State{
	reading:    {acquiring, answered, failed},
	setting:    {answered},
	acquiring:  {awaiting, running, answered, failed},
	awaiting:   {running, answered, failed},
	running:    {publishing},
	publishing: {lingering, published},
	lingering:  {published},
	failed:     nil,
}

// executes reports whether the call is an execution of fn that is not over, or the wait
// for another process's.
func (s State) executes() bool { return s >= acquiring && s <= lingering }

// A Call is what is under way for one key in this process. At most one call of a key is
// current: others join that one instead of beginning their own.
//
// An execution has a goroutine of its own, so that everyone may leave alone; nobody can
// leave golang.org/x/sync/singleflight, which is why it is not underneath. A read of the
// store runs in the goroutine of the first caller.
type Call struct {
	self      nested.Execution // what it is to the executions that wait for it
	cache     *Cache
	key       string
	sharedKey string // "" without a store
	shard     *shard

	// Guarded by shard.mu.
	state   State
	current bool  // it may be joined, and what it brings may be held: it is in the shard's map, or beside the call there. An invalidation, or a newer call, takes that away, for good
	beside  *Call // a read of the store for those who may use what this call is going to replace; nil if none is under way
	waiters int   // callers that wait for the execution
	wanted  bool  // the execution goes on without waiters
	left    bool  // the last waiter has left, and the execution is cancelled

	born uint64 // the sequence number before the store was read or, of an execution, before fn began

	read  looked        // of a read; guarded by shard.mu until over is closed
	over  chan struct{} // closed when reading, setting or publishing is over; nil unless anybody waits for that. Guarded by shard.mu
	*work               // of an execution; nil of anything else
}

// A work is what a call has that is an execution. It is set when that is begun.
type work struct {
	exec   Execution // set by the leader
	host   *host     // the leader, if it carries the execution out itself; otherwise nil
	Policy *entry.Config
	scope  nested.Scope // what the execution runs under. No publication sees that it ends
	old    *entry.Entry // what the result is to replace, if there is something
	forced bool         // by Refresh: fn is run whatever the store holds
	begun  int64        // when the execution was begun
	number uint64       // which one of the shard's it is
	ran    int64        // when fn was started; begun until then
	run    *lease.Run   // the fleet's part; nil without a store

	obtained *entry.Entry // another process's result, that the fleet has come to

	released bool          // guarded by shard.mu
	ended    bool          // guarded by shard.mu; the fields below are set, and never change again
	done     chan struct{} // closed then; nil until somebody waits for it. Guarded by shard.mu

	Result    *entry.Entry // whatever came back, kept or not; its value is nil where there is none. Nil if there was no execution after all
	elsewhere bool         // Result was made by another process
	single    bool         // Result can be used only once: it is the leader's
	panicked  *entry.PanicError
}

// looked is what a read of the store has found.
type looked struct {
	overtakings uint64       // of the shard, before the store was asked
	seen        *fleet.Seen  // nil if the store is of no help
	why         error        // then the reason
	made        *entry.Entry // the result that was seen, if it is of use
	again       bool         // it was Set's to change: callers look again
}

// shard is what is under way for a part of a function's keys.
type shard struct {
	mu          sync.Mutex
	calls       map[string]*Call // guarded by mu; the current ones
	failing     entry.Failing    // guarded by mu
	overtakings uint64           // guarded by mu; how often something was set or invalidated
	executions  uint64           // guarded by mu; how many have begun
	_           [24]byte         // a cache line each
}

// newCall makes a call the current one of its key, in place of the one that is, if any.
// The caller holds the mu of the key's shard.
func (c *Cache) newCall(key, sharedKey string, state State) *Call {
	s := c.Shard(key)
	s.detach(key)
	var call *Call
	if state.executes() { // one piece of memory
		whole := new(struct {
			call Call
			work work
		})
		call, whole.call.work = &whole.call, &whole.work
	} else {
		call = new(Call)
	}
	call.cache, call.key, call.sharedKey, call.shard, call.state, call.current = c, key, sharedKey, s, state, true
	if s.calls == nil {
		s.calls = map[string]*Call{}
	}
	s.calls[key] = call
	return call
}

// to makes next the state, if that may follow, and reports whether it does. The caller
// holds shard.mu.
func (c *Call) to(next State) bool {
	for _, s := range transitions[c.state] {
		if s == next {
			c.state = next
			return true
		}
	}
	return false
}

// become is to for who does not hold shard.mu.
func (c *Call) become(next State) bool {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	return c.to(next)
}

// whenOver returns what is closed when the read, Set, or the publication is over. The caller
// holds shard.mu.
func (c *Call) whenOver() <-chan struct{} {
	if c.over == nil {
		c.over = make(chan struct{})
	}
	return c.over
}

// whenDone returns what is closed when there is a result for those who wait. The caller holds
// shard.mu.
func (c *Call) whenDone() <-chan struct{} {
	if c.done == nil {
		if c.done = make(chan struct{}); c.ended {
			close(c.done)
		}
	}
	return c.done
}

// end says that there is a result for those who wait.
func (c *Call) end() {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if c.ended = true; c.done != nil {
		close(c.done)
	}
}

// endOver lets those go who wait for a read, Set, or a publication. The caller holds
// shard.mu.
func (c *Call) endOver() {
	if c.over != nil {
		close(c.over)
		c.over = nil
	}
}

// retire takes a call that is over out of the map. The caller holds shard.mu.
func (c *Call) retire() {
	switch current := c.shard.calls[c.key]; {
	case current == c:
		c.shard.detach(c.key)
	case current != nil && current.beside == c:
		c.current, current.beside = false, nil
	}
}

// detach makes the calls for key, if there are any, not current any more: nobody joins
// them, and what they bring is held nowhere. The caller holds mu.
func (s *shard) detach(key string) {
	call := s.calls[key]
	if call == nil {
		return
	}
	delete(s.calls, key)
	call.current = false
	if call.beside != nil {
		call.beside.current, call.beside = false, nil
	}
}

// overtake is detach where what the store held until now does not count any more. The
// caller holds mu.
func (s *shard) overtake(key string) {
	s.overtakings++
	s.detach(key)
}

// overtaken reports whether the call's result has been invalidated already.
func (c *Call) overtaken() bool { return c.cache.overtaken(c.born, c.tags()) }

// tags returns the tags that the result is known to have so far.
func (c *Call) tags() []tags.Tag {
	if c.work == nil {
		return nil
	}
	return c.Policy.AllTags(c.scope.Space, c.scope.Tags())
}

// mayBeJoined reports whether a caller under p, who searches by s, may wait for the
// execution at once. One that may have been overtaken in another process
// it asks the store about first, and so it does where the store may have what serves it
// meanwhile. The caller holds shard.mu.
func (c *Call) mayBeJoined(p *entry.Config, s *Search) bool {
	return c.state.executes() && !c.overtaken() && (c.run == nil || !c.run.Doubtful(c.begun)) && (s.old != nil || !c.replaces(p, s))
}

// replaces reports whether the execution is to replace what the store may have and a
// caller under p, who searches by s, may use.
func (c *Call) replaces(p *entry.Config, s *Search) bool {
	if c.run == nil || c.run.Without {
		return false
	}
	return c.forced || c.old != nil && c.old.Stored() && s.host.serves(c.old) && c.old.Verdict(clock.Now(), &p.Policy, entry.Draw) != fresh.Unusable
}

// overtakenElsewhere reports whether the execution has to be taken for overtaken in
// another process, also by what the store was seen to hold.
func (c *Call) overtakenElsewhere(seen *fleet.Seen) bool {
	return c.run != nil && (c.run.OvertakenAlone() || c.run.Contradicted(seen))
}

// leave makes a waiter not wait any longer. When the last one leaves, the
// execution is cancelled, unless one of them, by goOn, wanted its result kept.
//
// A cancelled execution stays current, so that callers who come while fn is on
// its way out wait for it instead of running a second one beside it.
func (c *Call) leave(goOn bool) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	c.waiters--
	c.wanted = c.wanted || goOn && !c.left
	if c.waiters == 0 && !c.wanted && c.state.executes() && c.state != lingering {
		c.left = true
		c.scope.End(context.Canceled)
	}
}

// failedForWantOfWaiters reports whether the call, which is done, came to nothing because
// nobody waited. A caller that joined it too late starts over.
func (c *Call) failedForWantOfWaiters() bool {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	return c.Result == nil || c.left && (c.panicked != nil || c.Result.Err() != nil)
}

// answers returns what is closed when there is a result for those who wait or, for a late
// waiter, when its publication is over.
func (c *Call) answers(late bool) <-chan struct{} {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if !late || !c.state.executes() {
		return c.whenDone()
	}
	return c.whenOver()
}

// outlast waits until the call is over, or as good as that, without being one of those it
// goes on for.
func (c *Call) outlast(ctx context.Context, around *nested.Frame) error {
	forget, err := nested.Await(around, &c.self)
	if err != nil {
		return err
	}
	defer forget()
	select {
	case <-c.answers(false):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// doubt has those ask the store who want to join the execution for a shared key.
func (c *Cache) doubt(sharedKey string) {
	if call, ok := c.executing.Load(sharedKey); ok {
		call.(*Call).run.Doubted.Store(true)
	}
}
