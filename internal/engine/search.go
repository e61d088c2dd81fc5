package engine

import (
	"context"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/lease"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
)

// A Search is one caller's search for a result under a key that it may use: in this
// process, and then in the store. It is how Call, Peek, Refresh and a Batch look; those of
// a batch go to the store together. One goroutine uses it.
type Search struct {
	Key     string
	Exec    Execution
	Entry   *entry.Entry  // what was found; nil if nothing was
	Verdict fresh.Verdict // what the caller may do with it

	old    *entry.Entry  // a result to return if fn fails or takes too long; may be nil
	host   *host         // of a caller of Begin, which carries its execution out; otherwise nil
	waited bool          // the caller has waited for something
	took   time.Duration // how long it has waited for the store
	asked  bool          // the store was asked
	since  int64         // when the caller began to ask

	sharedKey string // what it asks for
	alone     [1]*Search
	read      looked          // what it held then
	reading   *Call           // what asks it for this search
	reader    bool            // which is this caller's to perform
	over      <-chan struct{} // otherwise, closed when that is over
	leads     bool            // if nothing is found, the caller leads
	peeks     bool            // the caller waits for no execution

	led  *Call // then: the execution that it leads; guarded by the mu of the key's shard, as is
	gone bool  // the caller does not wait for the read any more
}

// Begin makes s a search that has found e in this process, if that is not nil, and returns
// it. A search is most often a part of its Execution, which saves memory of its own.
func (s *Search) Begin(key string, exec Execution, e *entry.Entry, v fresh.Verdict) *Search {
	*s = Search{Key: key, Exec: exec}
	s.found(e, v)
	return s
}

// only returns the search as all there are, in memory of its own.
func (s *Search) only() []*Search {
	s.alone[0] = s
	return s.alone[:]
}

// found notes what was found, and what the caller may do with it.
func (s *Search) found(e *entry.Entry, v fresh.Verdict) {
	s.Entry, s.Verdict = e, v
	if v == fresh.Fallback {
		s.old = e
	}
}

// again makes the search one that knows nothing but what may stand in for a failure.
func (s *Search) again() {
	*s = s.anew(s.old)
}

// anew returns a search for the same that knows nothing but what may stand in for a failure.
func (s *Search) anew(old *entry.Entry) Search {
	return Search{Key: s.Key, Exec: s.Exec, host: s.host, old: old, waited: true}
}

// Find returns the result held under key, if any, and what a call under p may do
// with it at t.
func (c *Cache) Find(p *entry.Config, key string, t int64) (*entry.Entry, fresh.Verdict) {
	local := c.Tier.Load()
	if local == nil {
		return nil, fresh.Unusable
	}
	e := local.Get(key)
	if e == nil {
		return nil, fresh.Unusable
	}
	seq := sequence()
	if valid := e.ValidAt.Load(); valid != seq {
		if c.invalidated(valid, e.Tags()) {
			local.Remove(e)
			return nil, fresh.Unusable
		}
		if expired, ok := c.Space.Expired(valid, e.Tags()); ok && expired < e.Fresh {
			e = c.expire(e, expired)
		}
	}
	e, v := c.trust(p, e, t)
	if v != fresh.Fresh {
		return e, v
	}
	e.ValidAt.Store(seq)
	return e, p.Verdict(e, t)
}

// trust returns fresh.Fresh if e may be used at t without asking a store, and lets hits
// do so for as long as that holds. Where an epoch has ended e's freshness, it returns what is
// held instead.
func (c *Cache) trust(p *entry.Config, e *entry.Entry, t int64) (*entry.Entry, fresh.Verdict) {
	if e.Rest().Alone() {
		return e, fresh.Fresh
	}
	until, sure, expired := e.Bound(p, t)
	switch {
	case t >= until:
		e.SetUntil(fresh.Cold)
		return e, fresh.Unusable
	case !sure:
		e.SetUntil(fresh.Cold)
		return e, fresh.Unverified
	case expired < e.Fresh:
		e = c.expire(e, expired)
	}
	if !e.Rest().Exact && p.LocalTTL == c.Base.LocalTTL {
		e.SetUntil(min(e.CoarseUntil(c.Base.Beta), until-int64(clock.Slack)))
	}
	return e, fresh.Fresh
}

// Look finds what is held under key and tells what the call may do with it. If
// it may return it, the call is counted as answered. key need not outlive the
// call.
func (c *Cache) Look(ctx context.Context, p *entry.Config, key string) (*entry.Entry, fresh.Verdict) {
	e, v := c.Find(p, key, clock.Precise())
	c.answer(ctx, p, key, e, v, entry.EventHit)
	return e, v
}

// answer counts a call that is answered with e, if v says so: as a hit of that kind, or
// one of an old result.
func (c *Cache) answer(ctx context.Context, p *entry.Config, key string, e *entry.Entry, v fresh.Verdict, kind entry.EventKind) {
	switch v {
	case fresh.Fresh, fresh.Early:
		if kind == entry.EventHit {
			c.Count.Hits.Inc()
		} else {
			c.Count.SharedHits.Add(1)
		}
		p.Tell(ctx, kind, key)
		e.Propagate(ctx)
	case fresh.Revalidate, fresh.BackingOff:
		c.answerStale(ctx, p, e)
	}
}

// answerStale counts a call as answered with an old result.
func (c *Cache) answerStale(ctx context.Context, p *entry.Config, old *entry.Entry) Outcome {
	c.Count.StaleHits.Add(1)
	p.Tell(ctx, entry.EventStaleHit, old.Key)
	old.Propagate(ctx)
	return Outcome{Entry: old}
}

// LookHere looks in this process, where the store confirms what needs that, and counts the
// caller as answered where it is.
func (c *Cache) LookHere(ctx context.Context, p *entry.Config, searches ...*Search) {
	for _, s := range searches {
		s.found(c.Find(p, s.Key, clock.Precise()))
	}
	c.Verify(ctx, p, searches...)
	for _, s := range searches {
		c.answer(ctx, p, s.Key, s.Entry, s.Verdict, entry.EventHit)
	}
}

// LookThere looks in the store, and counts the caller as answered where it is; see Read.
func (c *Cache) LookThere(ctx context.Context, p *entry.Config, searches ...*Search) {
	if !c.Read(ctx, p, searches...) {
		return
	}
	for _, s := range searches {
		c.answer(ctx, p, s.Key, s.Entry, s.Verdict, entry.EventSharedHit)
	}
}

// Verify asks for the epochs, in one round trip to each store, that those results depend
// on that were found and not verified, and finds them again. They stay unverified only if
// ctx ends meanwhile.
func (c *Cache) Verify(ctx context.Context, p *entry.Config, searches ...*Search) {
	var dependencies []fleet.Dependency
	for _, s := range searches {
		if s.Verdict == fresh.Unverified {
			dependencies = append(dependencies, s.Entry.Rest().Dependencies...)
		}
	}
	if len(dependencies) == 0 {
		return
	}
	began := clock.Now()
	ended := storeclient.Outlive(p.Lend(ctx), func(ctx context.Context) { p.AskEpochs(ctx, dependencies) })
	t := clock.Now()
	for _, s := range searches {
		if !ended {
			s.waited = s.waited || s.Verdict == fresh.Unverified
			continue
		}
		s.took += time.Duration(t - began)
		if s.Verdict != fresh.Unverified {
			continue
		}
		if s.found(s.find(c, p, t)); s.Verdict == fresh.Unverified {
			s.found(nil, fresh.Unusable)
		}
	}
}

// Read looks in the store, in one round trip, for what nobody looks for already, and waits
// for those who look for the rest; keys whose execution is under way are left to Load.
// It is false if ctx ends before.
//
// What is found there is held in this process.
func (c *Cache) Read(ctx context.Context, p *entry.Config, searches ...*Search) (ended bool) {
	if len(searches) == 0 {
		return true
	}
	began, limit := clock.Now(), p.Leaves(searches[0].took)
	by := storeclient.DeadlineIn(limit)
	for _, s := range searches { // all of them first: a Keyer that panics leaves no read behind
		s.sharedKey, s.since = c.SharedKey(s.Key, s.Exec), began
	}
	others := false
	for _, s := range searches {
		s.reader = c.beginRead(p, s, s.sharedKey)
		others = others || !s.reader
	}
	mine := searches
	if others {
		mine = slices.DeleteFunc(slices.Clone(searches), func(s *Search) bool { return !s.reader })
	}
	if len(mine) > 0 && !c.perform(ctx, p, by, mine) {
		return false
	}
	for _, s := range searches {
		if s.reading == nil {
			continue
		}
		if !s.reader {
			s.await(ctx, by)
		}
		c.learn(p, s)
	}
	took := time.Duration(clock.Now() - began)
	for _, s := range searches {
		s.took += took
	}
	return true
}

// beginRead finds the read for s that is under way, or else begins one, which is the
// caller's to perform. With a LocalTTL of zero a caller wants a read of its own, that
// nobody joins.
func (c *Cache) beginRead(p *entry.Config, s *Search, sharedKey string) (mine bool) {
	sh := c.Shard(s.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	call := sh.calls[s.Key]
	if call != nil && !s.peeks && call.mayBeJoined(p, s) {
		return false
	}
	if call != nil && call.state.executes() && call.overtaken() {
		sh.detach(s.Key)
		call = nil
	}
	executes := call
	if call != nil && call.state.executes() {
		call = call.beside
	} else {
		executes = nil
	}
	switch {
	case call != nil && p.LocalTTL != 0 && !p.Confirm:
		s.reading, s.over = call, call.whenOver()
		return false
	case call != nil, executes != nil:
		s.reading = &Call{cache: c, key: s.Key, sharedKey: sharedKey, shard: sh, state: reading}
		if call == nil {
			executes.beside, s.reading.current = s.reading, true
		}
	default:
		s.reading = c.newCall(s.Key, sharedKey, reading)
	}
	s.reading.born, s.reading.read.overtakings = sequence(), sh.overtakings
	return true
}

// await waits for the read that the search has joined, but not beyond the deadline. A
// caller that has not seen its end goes on without the store.
func (s *Search) await(ctx context.Context, by storeclient.Deadline) {
	var late <-chan time.Time
	if limit := by.Remaining(); limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-s.over:
	case <-ctx.Done():
		s.reading = nil
	case <-late:
		s.reading, s.asked, s.read = nil, true, looked{why: lease.ErrUnseen}
	}
}

// learn has the search know what the read that it has waited for has found, unless it
// has to look again.
func (c *Cache) learn(p *entry.Config, s *Search) {
	call := s.reading
	if call == nil {
		return
	}
	s.reading = nil
	made := call.read.made
	if call.read.again || made != nil && c.overtaken(made.ValidAt.Load(), made.Tags()) {
		return
	}
	s.asked, s.read = true, call.read
	s.found(made, s.verdict(p, made))
}

// verdict says what the caller may do now with what the store holds. e may be nil.
func (s *Search) verdict(p *entry.Config, e *entry.Entry) fresh.Verdict {
	if !s.host.serves(e) {
		return fresh.Unusable
	}
	return p.Verdict(e, clock.Now())
}

// perform reads for all of searches. It returns when that is done or, then reporting
// false, when ctx ends; the read goes on for those who have joined it.
func (c *Cache) perform(ctx context.Context, p *entry.Config, by storeclient.Deadline, searches []*Search) bool {
	values := ctx
	if storeclient.Outlive(ctx, func(ctx context.Context) { c.readAll(ctx, values, p, by, searches) }) {
		return true
	}
	for _, s := range searches {
		c.abandonRead(s)
	}
	return false
}

// abandonRead sees to it that the caller does not come to lead, having left.
func (c *Cache) abandonRead(s *Search) {
	sh := c.Shard(s.Key)
	sh.mu.Lock()
	led := s.led
	s.gone, s.led = true, nil
	sh.mu.Unlock()
	if led != nil {
		led.abandon()
	}
}

// readAll reads in one round trip. values is the context of the caller, for executions
// that it leads.
func (c *Cache) readAll(ctx, values context.Context, p *entry.Config, by storeclient.Deadline, searches []*Search) {
	keys := make([]string, 0, len(searches))
	for _, s := range searches {
		if !c.Shared.IsPending(s.sharedKey) {
			keys = append(keys, s.sharedKey)
		} else {
			s.reading.read.why = fleet.ErrPending
		}
	}
	if len(keys) > 0 {
		if c.Tier.Load() != nil {
			c.Shared.Subscribe()
		}
		since := uint64(0)
		if p.Confirm {
			since = c.Shared.NextOrder()
		}
		seen, err := c.Shared.See(ctx, p.Needs, by, since, keys...)
		for _, s := range searches {
			if read := &s.reading.read; read.why == nil {
				read.seen, read.why, seen = seen[0], err, seen[1:]
			}
		}
		c.Shared.Failed(err)
	}
	for _, s := range searches {
		c.endRead(values, p, s)
	}
}

// endRead lets those go who wait for the read, and holds what it has found unless the key
// was invalidated meanwhile. If that does not serve the caller, it leads from here on.
func (c *Cache) endRead(values context.Context, p *entry.Config, s *Search) {
	call := s.reading
	if seen := call.read.seen; seen != nil && seen.Valid && seen.Record.Kind == wire.KindResult {
		call.read.made = c.Shared.Result(p, call.key, call.sharedKey, seen, call.born)
	}
	made := call.read.made
	sh := call.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if made != nil {
		if sh.failing.Resume(made); call.current { // otherwise it is good for those who wait, and nobody else
			c.hold(made)
		}
	}
	switch v := s.verdict(p, made); {
	case s.leads && !s.gone && !v.Answers() && sh.calls[call.key] == call:
		known := *s
		known.asked, known.read = true, call.read
		known.took += time.Duration(clock.Now() - s.since)
		known.found(made, v)
		call.to(acquiring)
		call.begin(values, p, c.replaced(p, &known), &known)
		s.led = call
	default:
		if made != nil {
			call.to(answered)
		} else {
			call.to(failed)
		}
		call.retire()
	}
	call.endOver()
}

// replaced returns the result that an execution would replace which the search has come
// to, or nil.
func (c *Cache) replaced(p *entry.Config, s *Search) *entry.Entry {
	if s.old != nil && s.old.Stored() {
		return s.old
	}
	e := c.Held(s.Key)
	if e == nil {
		return nil
	}
	t := clock.Now()
	e, v := c.trust(p, e, t)
	switch v {
	case fresh.Unusable:
		return nil
	case fresh.Unverified: // if the store still has it, there is nothing to replace
		if e.Stored() && t < e.Fresh {
			return nil
		}
	}
	return e
}

// Peek returns what a caller may use without executing, be it old, and what it may do with
// that. It counts nothing.
func (c *Cache) Peek(ctx context.Context, p *entry.Config, s *Search) (*entry.Entry, fresh.Verdict) {
	s.peeks = true
	c.Verify(ctx, p, s)
	for s.Verdict == fresh.Unusable && c.Shared != nil && !s.asked && ctx.Err() == nil {
		if !c.Read(p.Lend(ctx), p, s.only()...) {
			return nil, fresh.Unusable
		}
	}
	return s.Entry, s.Verdict
}
