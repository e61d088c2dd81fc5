package memo

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
)

// A lookup is a look at what the store holds under a key, shared by all callers who
// come while it is under way. It runs in the goroutine of the first.
type lookup struct {
	key, sharedKey string
	born           uint64 // the sequence number before the store was asked
	overtakings    uint64 // of the shard, before that
	retry          bool   // whoever waits looks again

	done chan struct{} // guarded by the shard's mu; closed when the fields below are set, nil if nobody waits
	seen *sighting     // nil if the store is of no help
	why  error         // then the reason
	made *entry        // the result that was seen, if it is of use
}

// lookUp looks what the store holds under key, within limit. A result that p may use
// is held in this process and returned. Otherwise l says what there is, for who
// executes fn.
func (c *core) lookUp(ctx context.Context, p *config, key string, limit time.Duration, exec execution) (*entry, fresh.Verdict, *lookup) {
	by := storeclient.DeadlineIn(limit)
	sharedKey := c.sharedKey(key, exec)
	for ; ctx.Err() == nil; limit = by.Remaining() {
		seq := sequence.Load()
		l, first := c.beginLookup(p, key, sharedKey, seq)
		if first {
			if !c.performBeside(ctx, p, limit, l) {
				break
			}
		} else if ended, again := l.await(ctx, limit); !ended {
			return nil, fresh.Unusable, &lookup{why: errUnseen}
		} else if again || l.made != nil && seq != l.born && c.overtaken(l.born, l.made.tags) {
			continue
		}
		return l.made, c.judgeMade(p, l.made), l
	}
	return nil, fresh.Unusable, &lookup{}
}

// judgeMade says what a call may do with a result from the store, or with none.
func (c *core) judgeMade(p *config, e *entry) fresh.Verdict {
	if e == nil {
		return fresh.Unusable
	}
	t := clock.Now()
	v := e.Verdict(t, &p.Policy, draw)
	if v == fresh.Fallback && e.backsOff(t) {
		v = fresh.BackingOff
	}
	return v
}

// beginLookup returns the look-up for key that is under way, or else begins one.
// With a LocalTTL of zero a call wants one of its own, that nobody joins.
func (c *core) beginLookup(p *config, key, sharedKey string, seq uint64) (l *lookup, first bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l = s.lookups[key]
	if l != nil && p.localTTL != 0 {
		if l.done == nil {
			l.done = make(chan struct{})
		}
		return l, false
	}
	begun := &lookup{key: key, sharedKey: sharedKey, born: seq, overtakings: s.overtakings}
	if l == nil {
		s.note(begun)
	}
	return begun, true
}

// await waits for the end of l, but not longer than limit, if that is set. Whoever
// did not see the end goes on without the store.
func (l *lookup) await(ctx context.Context, limit time.Duration) (ended, again bool) {
	var late <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-l.done:
		return true, l.retry
	case <-ctx.Done():
		return true, true
	case <-late:
		return false, false
	}
}

// performBeside is perform, which ctx does not end. It returns when that is done or,
// then reporting false, when ctx ends.
func (c *core) performBeside(ctx context.Context, p *config, limit time.Duration, ls ...*lookup) bool {
	if ctx.Done() == nil {
		c.perform(ctx, p, limit, ls...)
		return true
	}
	return storeclient.Outlive(ctx, func(ctx context.Context) { c.perform(ctx, p, limit, ls...) })
}

// perform looks for all who wait for ls, in one round trip and within limit, and holds
// what it finds.
func (c *core) perform(ctx context.Context, p *config, limit time.Duration, ls ...*lookup) {
	var keys []string
	var asked []*lookup
	for _, l := range ls {
		if l.why = fleet.ErrPending; !c.shared.IsPending(l.sharedKey) {
			keys, asked = append(keys, l.sharedKey), append(asked, l)
		}
	}
	if len(keys) > 0 {
		if c.tier.Load() != nil {
			c.shared.Subscribe()
		}
		seen, err := c.shared.see(ctx, p, storeclient.DeadlineIn(limit), keys...)
		for i, l := range asked {
			l.seen, l.why = seen[i], err
		}
		c.shared.failed(err)
	}
	for _, l := range ls {
		c.endLookup(p, l)
	}
}

// endLookup lets go who waits for l, and holds what it found unless the key was
// invalidated meanwhile.
func (c *core) endLookup(p *config, l *lookup) {
	s := c.shard(l.key)
	defer s.end(l)
	if l.seen != nil && l.seen.valid && l.seen.stored.Kind == wire.KindResult {
		l.made = c.shared.result(p, l.key, l.sharedKey, l.seen, l.born)
	}
	if l.made == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resume(l.made)
	if s.lookups[l.key] == l { // otherwise it is good for those who wait, and nobody else
		c.hold(l.made)
	}
}

// askStore answers a call that found nothing usable in this process from the
// store, if that has a usable result. Otherwise it returns what it found.
//
// With old in hand the call does not wait longer than SoftTimeout.
func (c *core) askStore(ctx context.Context, p *config, key string, before lookedUp, exec execution) (out outcome, answered bool, found lookedUp) {
	began, soft, old := clock.Now(), ctx, before.old
	if old != nil && p.softTimeout > 0 {
		var cancel context.CancelFunc
		soft, cancel = context.WithTimeout(ctx, p.softTimeout)
		defer cancel()
	}
	e, v, l := c.lookUp(soft, p, key, p.leaves(before.took), exec)
	if e == nil && soft.Err() != nil && ctx.Err() == nil && old.Verdict(clock.Now(), &p.Policy, draw) != fresh.Unusable {
		c.refreshInBackground(ctx, p, old, exec)
		return c.answerStale(ctx, p, old), true, found
	}
	found = lookedUp{asked: true, seen: l.seen, why: l.why, overtakings: l.overtakings, took: before.took + time.Duration(clock.Now()-began)}
	if v == fresh.Fallback {
		found.old = e
	}
	c.answerShared(ctx, p, e, v)
	if v == fresh.Early || v == fresh.Revalidate {
		c.refreshInBackground(ctx, p, e, exec)
	}
	return outcome{entry: e}, v.Answers(), found
}

// A lookedUp is what a call knows when it comes to executing fn.
type lookedUp struct {
	old         *entry        // a result to return if fn fails or takes too long; may be nil
	waited      bool          // the call has waited for the store
	asked       bool          // the store was asked for the key
	seen        *sighting     // what it held then; nil if it was of no help
	why         error         // then the reason
	overtakings uint64        // of the shard, before the store was asked
	took        time.Duration // how long the store has taken so far
}

// leaves returns how long a call that has waited for the store for took may go on doing
// so; zero is no limit.
func (p *config) leaves(took time.Duration) time.Duration {
	if p.storeTimeout == 0 {
		return 0
	}
	return max(p.storeTimeout-took, time.Nanosecond)
}

// answerShared counts a call that is answered with e, from the store, if v says so.
func (c *core) answerShared(ctx context.Context, p *config, e *entry, v fresh.Verdict) {
	switch v {
	case fresh.Fresh, fresh.Early:
		c.count.sharedHits.Add(1)
		p.tell(ctx, eventSharedHit, e.key)
		e.bequeath(ctx)
	case fresh.Revalidate, fresh.BackingOff:
		c.answerStale(ctx, p, e)
	}
}
