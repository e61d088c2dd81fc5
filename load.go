package memo

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
)

// An outcome is what a call comes back with: an entry, or the reason why there
// is none.
type outcome struct {
	entry    *entry
	err      error
	panicked *panicError
}

// look finds what is held under key and tells what the call may do with it. If
// it may return it, the call is counted as answered. key need not outlive the
// call.
func (c *core) look(ctx context.Context, p *config, key string) (e *entry, v fresh.Verdict, spent time.Duration) {
	e, v, spent = c.search(ctx, p, key)
	c.answerHere(ctx, p, key, e, v)
	return e, v, spent
}

// answerHere counts a call that is answered with e, from this process, if v says so.
func (c *core) answerHere(ctx context.Context, p *config, key string, e *entry, v fresh.Verdict) {
	switch v {
	case fresh.Fresh, fresh.Early:
		c.count.hits.inc()
		p.tell(ctx, eventHit, key)
		e.bequeath(ctx)
	case fresh.Revalidate, fresh.BackingOff:
		c.answerStale(ctx, p, e)
	}
}

// answerStale counts a call as answered with an old result.
func (c *core) answerStale(ctx context.Context, p *config, old *entry) outcome {
	c.count.staleHits.Add(1)
	p.tell(ctx, eventStaleHit, old.key)
	old.bequeath(ctx)
	return outcome{entry: old}
}

// load answers a call that found nothing usable in this process: with what the
// store has, or by executing fn, or by waiting for the execution that is under
// way. before is what the call has found out so far.
func (c *core) load(ctx context.Context, p *config, key string, before lookedUp, exec execution) outcome {
	for waited := before.waited; ; waited = true {
		if err := ctx.Err(); err != nil {
			if waited {
				c.countJoined(ctx, p, key)
			}
			return outcome{err: err}
		}
		b := boarding{core: c, policy: p, around: frameOf(ctx), before: before, seq: sequence.Load()}
		f := b.join(key)
		if f == nil && c.shared != nil && !before.asked {
			out, answered, found := c.askStore(ctx, p, key, before, exec)
			if answered {
				return out
			}
			if err := ctx.Err(); err != nil {
				c.countJoined(ctx, p, key)
				return outcome{err: err}
			}
			if found.old == nil {
				found.old = before.old
			}
			before = found
		}
		if f == nil {
			b.before = before
			f = b.board(ctx, key, b.replaced(key), exec, func() bool {
				_, v := c.find(p, key, clock.Now())
				return v.Answers()
			})
		}
		if !b.leader {
			exec.abstain()
		}
		if f == nil { // an answer was stored since the call looked
			if e, v, _ := c.look(ctx, p, key); v.Answers() {
				return outcome{entry: e}
			}
		} else if out, ok := b.wait(ctx, f); ok {
			return out
		}
		before = lookedUp{old: before.old}
	}
}

// replaced returns the result that an execution for key would replace, or nil.
func (b *boarding) replaced(key string) *entry {
	if b.before.old != nil && b.before.old.stored() {
		return b.before.old
	}
	e, t := b.core.held(key), clock.Now()
	if e == nil {
		return nil
	}
	switch b.core.trust(b.policy, e, t) {
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
func (b *boarding) join(key string) *flight {
	s := b.core.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.of[key]
	if f == nil || b.core.overtaken(f.born, f.tags()) || f.doubtful() || b.before.old == nil && f.refreshes(b.policy) {
		return nil
	}
	f.waiters++
	return f
}

// doubtful reports whether another process may have overtaken f: it has gone on for
// a while, or a change of its key was reported.
func (f *flight) doubtful() bool {
	return f.overtakenAlone() || f.ticket.Load() != nil && (f.doubted.Load() || clock.Now() > clock.After(f.launched, fleet.EpochTrust))
}

// refreshes reports whether f is to replace what the store may have and a call under p
// may use.
func (f *flight) refreshes(p *config) bool {
	if f.sharedKey == "" || f.noStore {
		return false
	}
	return f.forced || f.old != nil && f.old.stored() && f.old.Verdict(clock.Now(), &p.Policy, draw) != fresh.Unusable
}

// overtakenAlone reports whether f, which has no ticket to tell by, has to be taken for
// overtaken in another process: a change of its key was reported.
func (f *flight) overtakenAlone() bool { return f.lone.Load() && f.doubted.Load() }

// contradicted reports whether what the store was seen to hold says that f has been
// overtaken in another process.
func (f *flight) contradicted(seen *sighting) bool {
	t := f.ticket.Load()
	if t == nil || seen == nil || seen.order < t.since {
		return false
	}
	st := seen.stored
	lease := t.lease()
	return st == nil || !seen.valid || st.Token != lease.token && st.Token != lease.target
}

// refresh executes fn for key now. An execution that is under way began too
// early to count, and is waited for first: there is one at a time.
func (c *core) refresh(ctx context.Context, p *config, key string, exec execution) outcome {
	around, s := frameOf(ctx), c.shard(key)
	wait := true
	for {
		s.mu.Lock()
		earlier := s.of[key]
		s.mu.Unlock()
		if earlier != nil && (wait || !earlier.forced) {
			if err := earlier.outlast(ctx, around); err != nil {
				return outcome{err: err}
			}
		}
		wait = false
		if err := ctx.Err(); err != nil {
			return outcome{err: err}
		}
		b := boarding{core: c, policy: p, around: around, seq: sequence.Load(), forced: true}
		f := b.board(ctx, key, c.held(key), exec, func() bool { return false })
		if f == nil {
			continue
		}
		if out, ok := b.wait(ctx, f); ok {
			return out
		}
	}
}

// outlast waits for the end of f without being one of those it goes on for.
func (f *flight) outlast(ctx context.Context, around *frame) error {
	forget, err := await(around, f)
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

// A boarding is one call's wait for a flight.
type boarding struct {
	core   *core
	policy *config
	around *frame   // of the execution that the call is made by, or nil
	leader bool     // the call started the flight
	seq    uint64   // the sequence number before the call joined
	forced bool     // fn is to be run whatever the store has
	before lookedUp // what the call knew

	running context.Context // of the leader: what the execution runs under
}

// board makes the call a waiter of the flight for key, and the leader of a new one
// if there is none that it may join, with what that replaces. If there is
// none and answered, asked when no result can be published meanwhile, finds that
// the call has its answer, board returns nil.
func (b *boarding) board(ctx context.Context, key string, replaces *entry, exec execution, answered func() bool) *flight {
	c := b.core
	exec.own(key)
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f, noStore := s.of[key], b.before.asked && b.before.seen == nil
	if b.before.overtakings != s.overtakings {
		b.before.seen = nil // it may be from before an invalidation
	}
	if f == nil || c.overtaken(f.born, f.tags()) || f.overtakenAlone() || f.contradicted(b.before.seen) {
		if answered() {
			return nil
		}
		f, b.running = c.launch(ctx, b.policy, key, replaces, exec)
		b.leader = true
		f.forced, f.seen, f.noStore, f.alone = b.forced, b.before.seen, noStore, b.before.why
		f.deadline -= int64(b.before.took)
	} else if b.forced && !f.forced && c.shared != nil {
		return nil // it may come back with what there was before
	}
	f.waiters++
	return f
}

// wait waits for f, of which the call is a waiter. It is not ok if f turns out to
// have nothing for this call, which then starts over.
func (b *boarding) wait(ctx context.Context, f *flight) (out outcome, ok bool) {
	forget, err := await(b.around, f)
	if err != nil {
		f.leave(false)
		return outcome{err: err}, true
	}
	defer forget()
	if b.leader {
		b.core.takeOff(b.running, f)
	}
	switch b.watch(ctx, f) {
	case waitLanded:
		return b.arrive(ctx, f)
	case waitTooSlow:
		f.leave(true)
		return b.core.answerStale(ctx, b.policy, b.before.old), true
	}
	f.leave(false)
	b.count(ctx, f)
	return outcome{err: ctx.Err()}, true
}

// The ways in which waiting ends.
const (
	waitLanded  = iota
	waitTooSlow // SoftTimeout has passed
	waitHungUp  // the caller's context is done
)

func (b *boarding) watch(ctx context.Context, f *flight) int {
	var soft <-chan time.Time
	if b.before.old != nil && b.policy.softTimeout > 0 {
		timer := time.NewTimer(b.policy.softTimeout)
		defer timer.Stop()
		soft = timer.C
	}
	select {
	case <-f.done:
		return waitLanded
	case <-soft:
		if b.usable() {
			return waitTooSlow
		}
	case <-ctx.Done():
		return waitHungUp
	}
	select { // the window of the old result has ended meanwhile
	case <-f.done:
		return waitLanded
	case <-ctx.Done():
		return waitHungUp
	}
}

// usable reports whether the windows still allow the old result to be returned.
func (b *boarding) usable() bool {
	return b.before.old.Verdict(clock.Now(), &b.policy.Policy, draw) != fresh.Unusable
}

// arrive returns what f, which has landed, has for the call.
func (b *boarding) arrive(ctx context.Context, f *flight) (out outcome, ok bool) {
	if !b.leader && (f.useless() || f.once || b.overtaken(f)) {
		return outcome{}, false
	}
	e := f.result
	switch {
	case f.panicked != nil:
		b.count(ctx, f)
		e.bequeath(ctx) // fn may recover from it, and make its result of that
		return outcome{panicked: f.panicked}, true
	case !e.kept && b.before.old != nil && b.usable():
		return b.core.answerStale(ctx, b.policy, b.before.old), true
	}
	b.count(ctx, f)
	e.bequeath(ctx)
	return outcome{entry: e}, true
}

// overtaken reports whether f's result may have been invalidated between the
// start of its execution and the moment the call joined. Which tags a result
// has is known only when fn has returned; only the last invalidation of each is
// known, so one after the call joined counts too.
func (b *boarding) overtaken(f *flight) bool {
	return b.seq != f.born && b.core.overtaken(f.born, f.result.tags)
}

// isForeign reports whether f has landed with another process's result.
func (f *flight) isForeign() bool {
	select {
	case <-f.done:
		return f.foreign
	default:
		return false
	}
}

// countJoined counts a call that has waited, but whose context ended first.
func (c *core) countJoined(ctx context.Context, p *config, key string) {
	c.count.joined.Add(1)
	p.tell(ctx, eventJoined, key)
}

func (b *boarding) count(ctx context.Context, f *flight) {
	counter, kind := &b.core.count.joined, eventJoined
	switch {
	case f.isForeign() && !f.waited:
		counter, kind = &b.core.count.sharedHits, eventSharedHit
	case b.leader && !f.isForeign():
		counter, kind = &b.core.count.misses, eventMiss
	}
	counter.Add(1)
	b.policy.tell(ctx, kind, f.key)
}

// refreshInBackground starts an execution that is to replace e, unless one is
// under way. Nobody waits for it.
func (c *core) refreshInBackground(ctx context.Context, p *config, e *entry, exec execution) (started bool) {
	if c.executing(e.key) {
		return false
	}
	exec.own(e.key)
	s := c.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.isExecuting(s, e.key) {
		return false
	}
	if h := c.held(e.key); h != e && (h != nil || !e.stored()) || e.backsOff(clock.Now()) {
		return false // replaced, gone, or backing off by now
	}
	f, running := c.launch(ctx, p, e.key, e, exec)
	f.sticky = true
	c.takeOff(running, f)
	return true
}

// executing reports whether an execution for key is under way.
func (c *core) executing(key string) bool {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.isExecuting(s, key)
}

// isExecuting is executing for who holds the mu of the key's shard.
func (c *core) isExecuting(s *flights, key string) bool {
	f := s.of[key]
	return f != nil && !c.overtaken(f.born, f.tags())
}
