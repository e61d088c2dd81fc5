package engine

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
)

// A Lookup is a look at what the store holds under a key, shared by all callers who
// come while it is under way. It runs in the goroutine of the first.
type Lookup struct {
	key, sharedKey string
	born           uint64 // the sequence number before the store was asked
	Overtakings    uint64 // of the shard, before that
	retry          bool   // whoever waits looks again

	done chan struct{} // guarded by the shard's mu; closed when the fields below are set, nil if nobody waits
	Seen *fleet.Seen   // nil if the store is of no help
	Why  error         // then the reason
	Made *Entry        // the result that was seen, if it is of use
}

// LookUp looks what the store holds under key, within limit. A result that p may use
// is held in this process and returned. Otherwise l says what there is, for who
// executes fn.
func (c *Cache) LookUp(ctx context.Context, p *Config, key string, limit time.Duration, exec Execution) (*Entry, fresh.Verdict, *Lookup) {
	by := storeclient.DeadlineIn(limit)
	sharedKey := c.SharedKey(key, exec)
	for ; ctx.Err() == nil; limit = by.Remaining() {
		seq := Sequence.Load()
		l, first := c.BeginLookup(p, key, sharedKey, seq)
		if first {
			if !c.PerformBeside(ctx, p, limit, l) {
				break
			}
		} else if ended, again := l.await(ctx, limit); !ended {
			return nil, fresh.Unusable, &Lookup{Why: fleet.ErrUnseen}
		} else if again || l.Made != nil && seq != l.born && c.overtaken(l.born, l.Made.Tags) {
			continue
		}
		return l.Made, c.VerdictOf(p, l.Made), l
	}
	return nil, fresh.Unusable, &Lookup{}
}

// VerdictOf says what a call may do with a result from the store, or with none.
func (c *Cache) VerdictOf(p *Config, e *Entry) fresh.Verdict {
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

// BeginLookup returns the look-up for key that is under way, or else begins one.
// With a LocalTTL of zero a call wants one of its own, that nobody joins.
func (c *Cache) BeginLookup(p *Config, key, sharedKey string, seq uint64) (l *Lookup, first bool) {
	s := c.Shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l = s.lookups[key]
	if l != nil && p.LocalTTL != 0 {
		if l.done == nil {
			l.done = make(chan struct{})
		}
		return l, false
	}
	begun := &Lookup{key: key, sharedKey: sharedKey, born: seq, Overtakings: s.overtakings}
	if l == nil {
		s.note(begun)
	}
	return begun, true
}

// await waits for the end of l, but not longer than limit, if that is set. A caller that
// did not see the end goes on without the store.
func (l *Lookup) await(ctx context.Context, limit time.Duration) (ended, again bool) {
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

// PerformBeside is perform, which ctx does not end. It returns when that is done or,
// then reporting false, when ctx ends.
func (c *Cache) PerformBeside(ctx context.Context, p *Config, limit time.Duration, ls ...*Lookup) bool {
	if ctx.Done() == nil {
		c.perform(ctx, p, limit, ls...)
		return true
	}
	return storeclient.Outlive(ctx, func(ctx context.Context) { c.perform(ctx, p, limit, ls...) })
}

// perform looks for all who wait for ls, in one round trip and within limit, and holds
// what it finds.
func (c *Cache) perform(ctx context.Context, p *Config, limit time.Duration, ls ...*Lookup) {
	var keys []string
	var asked []*Lookup
	for _, l := range ls {
		if l.Why = fleet.ErrPending; !c.Shared.IsPending(l.sharedKey) {
			keys, asked = append(keys, l.sharedKey), append(asked, l)
		}
	}
	if len(keys) > 0 {
		if c.Tier.Load() != nil {
			c.Shared.Subscribe()
		}
		seen, err := c.Shared.See(ctx, p.needs, storeclient.DeadlineIn(limit), keys...)
		for i, l := range asked {
			l.Seen, l.Why = seen[i], err
		}
		c.Shared.failed(err)
	}
	for _, l := range ls {
		c.endLookup(p, l)
	}
}

// endLookup lets go who waits for l, and holds what it found unless the key was
// invalidated meanwhile.
func (c *Cache) endLookup(p *Config, l *Lookup) {
	s := c.Shard(l.key)
	defer s.end(l)
	if l.Seen != nil && l.Seen.Valid && l.Seen.Record.Kind == wire.KindResult {
		l.Made = c.Shared.result(p, l.key, l.sharedKey, l.Seen, l.born)
	}
	if l.Made == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resume(l.Made)
	if s.lookups[l.key] == l { // otherwise it is good for those who wait, and nobody else
		c.hold(l.Made)
	}
}

// askStore answers a call that found nothing usable in this process from the
// store, if that has a usable result. Otherwise it returns what it found.
//
// With old in hand the call does not wait longer than SoftTimeout.
func (c *Cache) askStore(ctx context.Context, p *Config, key string, before Known, exec Execution) (out Outcome, answered bool, found Known) {
	began, soft, old := clock.Now(), ctx, before.Old
	if old != nil && p.SoftTimeout > 0 {
		var cancel context.CancelFunc
		soft, cancel = context.WithTimeout(ctx, p.SoftTimeout)
		defer cancel()
	}
	e, v, l := c.LookUp(soft, p, key, p.Leaves(before.Took), exec)
	if e == nil && soft.Err() != nil && ctx.Err() == nil && old.Verdict(clock.Now(), &p.Policy, draw) != fresh.Unusable {
		c.RefreshInBackground(ctx, p, old, exec)
		return c.answerStale(ctx, p, old), true, found
	}
	found = Known{Asked: true, Seen: l.Seen, Why: l.Why, Overtakings: l.Overtakings, Took: before.Took + time.Duration(clock.Now()-began)}
	if v == fresh.Fallback {
		found.Old = e
	}
	c.AnswerShared(ctx, p, e, v)
	if v == fresh.Early || v == fresh.Revalidate {
		c.RefreshInBackground(ctx, p, e, exec)
	}
	return Outcome{Entry: e}, v.Answers(), found
}

// A Known is what a call knows when it comes to executing fn.
type Known struct {
	Old         *Entry        // a result to return if fn fails or takes too long; may be nil
	Waited      bool          // the call has waited for the store
	Asked       bool          // the store was asked for the key
	Seen        *fleet.Seen   // what it held then; nil if it was of no help
	Why         error         // then the reason
	Overtakings uint64        // of the shard, before the store was asked
	Took        time.Duration // how long the store has taken so far
}

// Leaves returns how long a call that has waited for the store for took may go on doing
// so; zero is no limit.
func (p *Config) Leaves(took time.Duration) time.Duration {
	if p.StoreTimeout == 0 {
		return 0
	}
	return max(p.StoreTimeout-took, time.Nanosecond)
}

// AnswerShared counts a call that is answered with e, from the store, if v says so.
func (c *Cache) AnswerShared(ctx context.Context, p *Config, e *Entry, v fresh.Verdict) {
	switch v {
	case fresh.Fresh, fresh.Early:
		c.Count.sharedHits.Add(1)
		p.Tell(ctx, eventSharedHit, e.Key)
		e.Propagate(ctx)
	case fresh.Revalidate, fresh.BackingOff:
		c.answerStale(ctx, p, e)
	}
}
