package engine

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
)

// An Outcome is what a call comes back with: an entry, or the reason why there
// is none.
type Outcome struct {
	Entry    *Entry
	Err      error
	Panicked *PanicError
}

// Look finds what is held under key and tells what the call may do with it. If
// it may return it, the call is counted as answered. key need not outlive the
// call.
func (c *Cache) Look(ctx context.Context, p *Config, key string) (e *Entry, v fresh.Verdict, spent time.Duration) {
	e, v, spent = c.Search(ctx, p, key)
	c.AnswerHere(ctx, p, key, e, v)
	return e, v, spent
}

// AnswerHere counts a call that is answered with e, from this process, if v says so.
func (c *Cache) AnswerHere(ctx context.Context, p *Config, key string, e *Entry, v fresh.Verdict) {
	switch v {
	case fresh.Fresh, fresh.Early:
		c.Count.hits.inc()
		p.Tell(ctx, eventHit, key)
		e.Propagate(ctx)
	case fresh.Revalidate, fresh.BackingOff:
		c.answerStale(ctx, p, e)
	}
}

// answerStale counts a call as answered with an old result.
func (c *Cache) answerStale(ctx context.Context, p *Config, old *Entry) Outcome {
	c.Count.staleHits.Add(1)
	p.Tell(ctx, eventStaleHit, old.Key)
	old.Propagate(ctx)
	return Outcome{Entry: old}
}

// Load answers a call that found nothing usable in this process: with what the
// store has, or by executing fn, or by waiting for the execution that is under
// way. before is what the call has found out so far.
func (c *Cache) Load(ctx context.Context, p *Config, key string, before Known, exec Execution) Outcome {
	for waited := before.Waited; ; waited = true {
		if err := ctx.Err(); err != nil {
			if waited {
				c.countJoined(ctx, p, key)
			}
			return Outcome{Err: err}
		}
		b := Waiter{Core: c, Policy: p, around: FrameOf(ctx), Known: before, Seq: Sequence.Load()}
		f := b.join(key)
		if f == nil && c.Shared != nil && !before.Asked {
			out, answered, found := c.askStore(ctx, p, key, before, exec)
			if answered {
				return out
			}
			if err := ctx.Err(); err != nil {
				c.countJoined(ctx, p, key)
				return Outcome{Err: err}
			}
			if found.Old == nil {
				found.Old = before.Old
			}
			before = found
		}
		if f == nil {
			b.Known = before
			f = b.JoinOrLead(ctx, key, b.replaced(key), exec, func() bool {
				_, v := c.Find(p, key, clock.Now())
				return v.Answers()
			})
		}
		if !b.leader {
			exec.Abstain()
		}
		if f == nil { // an answer was stored since the call looked
			if e, v, _ := c.Look(ctx, p, key); v.Answers() {
				return Outcome{Entry: e}
			}
		} else if out, ok := b.Wait(ctx, f); ok {
			return out
		}
		before = Known{Old: before.Old}
	}
}

// replaced returns the result that an execution for key would replace, or nil.
func (b *Waiter) replaced(key string) *Entry {
	if b.Known.Old != nil && b.Known.Old.stored() {
		return b.Known.Old
	}
	e, t := b.Core.Held(key), clock.Now()
	if e == nil {
		return nil
	}
	switch b.Core.trust(b.Policy, e, t) {
	case fresh.Unusable:
		return nil
	case fresh.Unverified: // if the store still has it, there is nothing to replace
		if e.stored() && t < e.Fresh {
			return nil
		}
	}
	return e
}

// join makes the call a waiter of the flight for key, if there is one that it may
// join. About one that may have been overtaken in another process the store is
// asked first, and where it may have what serves the call meanwhile.
func (b *Waiter) join(key string) *Flight {
	s := b.Core.Shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.of[key]
	if f == nil || b.Core.overtaken(f.born, f.tags()) || f.doubtful() || b.Known.Old == nil && f.refreshes(b.Policy) {
		return nil
	}
	f.waiters++
	return f
}

// doubtful reports whether another process may have overtaken f.
func (f *Flight) doubtful() bool { return f.run != nil && f.run.Doubtful(f.launched) }

// refreshes reports whether f is to replace what the store may have and a call under p
// may use.
func (f *Flight) refreshes(p *Config) bool {
	if f.run == nil || f.run.Without {
		return false
	}
	return f.forced || f.old != nil && f.old.stored() && f.old.Verdict(clock.Now(), &p.Policy, draw) != fresh.Unusable
}

// overtakenElsewhere reports whether f has to be taken for overtaken in another process,
// also by what the store was seen to hold.
func (f *Flight) overtakenElsewhere(seen *fleet.Seen) bool {
	return f.run != nil && (f.run.OvertakenAlone() || f.run.Contradicted(seen))
}

// Refresh executes fn for key now. An execution that is under way began too
// early to count, and is waited for first: there is one at a time.
func (c *Cache) Refresh(ctx context.Context, p *Config, key string, exec Execution) Outcome {
	around, s := FrameOf(ctx), c.Shard(key)
	wait := true
	for {
		s.mu.Lock()
		earlier := s.of[key]
		s.mu.Unlock()
		if earlier != nil && (wait || !earlier.forced) {
			if err := earlier.outlast(ctx, around); err != nil {
				return Outcome{Err: err}
			}
		}
		wait = false
		if err := ctx.Err(); err != nil {
			return Outcome{Err: err}
		}
		b := Waiter{Core: c, Policy: p, around: around, Seq: Sequence.Load(), Forced: true}
		f := b.JoinOrLead(ctx, key, c.Held(key), exec, func() bool { return false })
		if f == nil {
			continue
		}
		if out, ok := b.Wait(ctx, f); ok {
			return out
		}
	}
}

// outlast waits for the end of f without being one of those it goes on for.
func (f *Flight) outlast(ctx context.Context, around *Frame) error {
	forget, err := Await(around, f)
	if err != nil {
		return err
	}
	defer forget()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A Waiter is one call's wait for a flight.
type Waiter struct {
	Core   *Cache
	Policy *Config
	around *Frame // of the execution that the call is made by, or nil
	leader bool   // the call started the flight
	Seq    uint64 // the sequence number before the call joined
	Forced bool   // fn is to be run whatever the store has
	Known  Known  // what the call knew

	running context.Context // of the leader: what the execution runs under
}

// JoinOrLead makes the call a waiter of the flight for key, and the leader of a new one
// if there is none that it may join, with what that replaces. If there is
// none and answered, asked when no result can be published meanwhile, finds that
// the call has its answer, JoinOrLead returns nil.
func (b *Waiter) JoinOrLead(ctx context.Context, key string, replaces *Entry, exec Execution, answered func() bool) *Flight {
	c := b.Core
	exec.Own(key)
	s := c.Shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f, noStore := s.of[key], b.Known.Asked && b.Known.Seen == nil
	if b.Known.Overtakings != s.overtakings {
		b.Known.Seen = nil // it may be from before an invalidation
	}
	if f == nil || c.overtaken(f.born, f.tags()) || f.overtakenElsewhere(b.Known.Seen) {
		if answered() {
			return nil
		}
		f, b.running = c.newFlight(ctx, b.Policy, key, replaces, exec)
		b.leader = true
		if f.forced = b.Forced; f.run != nil {
			f.run.Forced, f.run.Seen, f.run.Without, f.run.Alone = b.Forced, b.Known.Seen, noStore, b.Known.Why
			f.run.Deadline -= int64(b.Known.Took)
		}
	} else if b.Forced && !f.forced && c.Shared != nil {
		return nil // it may come back with what there was before
	}
	f.waiters++
	return f
}

// Wait waits for f, of which the call is a waiter. It is not ok if f turns out to
// have nothing for this call, which then starts over.
func (b *Waiter) Wait(ctx context.Context, f *Flight) (out Outcome, ok bool) {
	forget, err := Await(b.around, f)
	if err != nil {
		f.leave(false)
		return Outcome{Err: err}, true
	}
	defer forget()
	if b.leader {
		b.Core.start(b.running, f)
	}
	switch b.watch(ctx, f) {
	case waitOver:
		return b.take(ctx, f)
	case waitTooSlow:
		f.leave(true)
		return b.Core.answerStale(ctx, b.Policy, b.Known.Old), true
	}
	f.leave(false)
	b.count(ctx, f)
	return Outcome{Err: ctx.Err()}, true
}

// The ways in which waiting ends.
const (
	waitOver    = iota
	waitTooSlow // SoftTimeout has passed
	waitLeft    // the caller's context is done
)

func (b *Waiter) watch(ctx context.Context, f *Flight) int {
	var soft <-chan time.Time
	if b.Known.Old != nil && b.Policy.SoftTimeout > 0 {
		timer := time.NewTimer(b.Policy.SoftTimeout)
		defer timer.Stop()
		soft = timer.C
	}
	select {
	case <-f.done:
		return waitOver
	case <-soft:
		if b.usable() {
			return waitTooSlow
		}
	case <-ctx.Done():
		return waitLeft
	}
	select { // the window of the old result has ended meanwhile
	case <-f.done:
		return waitOver
	case <-ctx.Done():
		return waitLeft
	}
}

// usable reports whether the windows still allow the old result to be returned.
func (b *Waiter) usable() bool {
	return b.Known.Old.Verdict(clock.Now(), &b.Policy.Policy, draw) != fresh.Unusable
}

// take returns what f, which has ended, has for the call.
func (b *Waiter) take(ctx context.Context, f *Flight) (out Outcome, ok bool) {
	if !b.leader && (f.failedForWantOfWaiters() || f.single || b.overtaken(f)) {
		return Outcome{}, false
	}
	e := f.Result
	switch {
	case f.panicked != nil:
		b.count(ctx, f)
		e.Propagate(ctx) // fn may recover from it, and make its result of that
		return Outcome{Panicked: f.panicked}, true
	case !e.Kept && b.Known.Old != nil && b.usable():
		return b.Core.answerStale(ctx, b.Policy, b.Known.Old), true
	}
	b.count(ctx, f)
	e.Propagate(ctx)
	return Outcome{Entry: e}, true
}

// overtaken reports whether f's result may have been invalidated between the
// start of its execution and the moment the call joined. Which tags a result
// has is known only when fn has returned; only the last invalidation of each is
// known, so one after the call joined counts too.
func (b *Waiter) overtaken(f *Flight) bool {
	return b.Seq != f.born && b.Core.overtaken(f.born, f.Result.Tags)
}

// madeElsewhere reports whether f has ended with another process's result.
func (f *Flight) madeElsewhere() bool {
	select {
	case <-f.done:
		return f.elsewhere
	default:
		return false
	}
}

// countJoined counts a call that has waited, but whose context ended first.
func (c *Cache) countJoined(ctx context.Context, p *Config, key string) {
	c.Count.joined.Add(1)
	p.Tell(ctx, eventJoined, key)
}

func (b *Waiter) count(ctx context.Context, f *Flight) {
	counter, kind := &b.Core.Count.joined, eventJoined
	switch {
	case f.madeElsewhere() && !f.run.Waited:
		counter, kind = &b.Core.Count.sharedHits, eventSharedHit
	case b.leader && !f.madeElsewhere():
		counter, kind = &b.Core.Count.misses, eventMiss
	}
	counter.Add(1)
	b.Policy.Tell(ctx, kind, f.key)
}

// RefreshInBackground starts an execution that is to replace e, unless one is
// under way. Nobody waits for it.
func (c *Cache) RefreshInBackground(ctx context.Context, p *Config, e *Entry, exec Execution) (started bool) {
	if c.executing(e.Key) {
		return false
	}
	exec.Own(e.Key)
	s := c.Shard(e.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.isExecuting(s, e.Key) {
		return false
	}
	if h := c.Held(e.Key); h != e && (h != nil || !e.stored()) || e.backsOff(clock.Now()) {
		return false // replaced, gone, or backing off by now
	}
	f, running := c.newFlight(ctx, p, e.Key, e, exec)
	f.wanted = true
	c.start(running, f)
	return true
}

// executing reports whether an execution for key is under way.
func (c *Cache) executing(key string) bool {
	s := c.Shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.isExecuting(s, key)
}

// isExecuting is executing for who holds the mu of the key's shard.
func (c *Cache) isExecuting(s *shard, key string) bool {
	f := s.of[key]
	return f != nil && !c.overtaken(f.born, f.tags())
}
