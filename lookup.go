package memo

import "context"

// A lookup is a look at what the store holds under a key, shared by all callers who
// come while it is under way. It runs in the goroutine of the first.
type lookup struct {
	key, sharedKey string
	born           uint64 // the sequence number before the store was asked

	done chan struct{} // closed when the fields below are set
	seen *sighting     // nil if the store is of no help
	made *entry        // the result that was seen, if it is of use
	left bool          // the first caller has left, and with that the look ended
}

// lookUp looks what the store holds under key. A result that p may use is held in
// this process and returned. Otherwise seen is what there is, for who executes
// fn, or nil where the store is of no help.
func (c *core) lookUp(ctx context.Context, p *policy, key string, exec execution) (e *entry, v verdict, seen *sighting) {
	for ctx.Err() == nil {
		seq := sequence.Load()
		l, first := c.beginLookup(key, seq)
		if first {
			l.sharedKey = c.shared.head + exec.args(key)
			c.perform(ctx, p, l)
		} else if !l.await(ctx) || l.made != nil && seq != l.born && c.overtaken(l.born, l.made.tags) {
			continue
		}
		return l.made, c.judgeMade(p, l.made), l.seen
	}
	return nil, unusable, nil
}

// judgeMade says what a call may do with a result from the store, or with none.
func (c *core) judgeMade(p *policy, e *entry) verdict {
	if e == nil {
		return unusable
	}
	t := now()
	v := e.judge(t, p, draw)
	if v == fallback && e.backsOff(t) {
		v = held
	}
	return v
}

// beginLookup returns the look-up for key that is under way, or else begins one.
func (c *core) beginLookup(key string, seq uint64) (l *lookup, first bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lookups[key]; l != nil {
		return l, false
	}
	if s.lookups == nil {
		s.lookups = map[string]*lookup{}
	}
	l = &lookup{key: key, born: seq, done: make(chan struct{})}
	s.lookups[key] = l
	return l, true
}

// await reports whether l has ended with something that others can use.
func (l *lookup) await(ctx context.Context) bool {
	select {
	case <-l.done:
		return !l.left
	case <-ctx.Done():
		return false
	}
}

// perform looks for all who wait for ls, in one round trip, and holds what it
// finds.
func (c *core) perform(ctx context.Context, p *policy, ls ...*lookup) {
	var keys []string
	var asked []*lookup
	for _, l := range ls {
		if !c.shared.disbelieves(l.sharedKey) {
			keys, asked = append(keys, l.sharedKey), append(asked, l)
		}
	}
	if len(keys) > 0 {
		seen, err := c.shared.see(ctx, p, keys...)
		for i, l := range asked {
			l.seen, l.left = seen[i], err != nil && ctx.Err() != nil
		}
		if err != nil && ctx.Err() == nil {
			c.shared.failed(err)
		}
	}
	for _, l := range ls {
		c.endLookup(p, l)
	}
}

// endLookup lets go who waits for l, and holds what it found unless the key was
// invalidated meanwhile.
func (c *core) endLookup(p *policy, l *lookup) {
	defer close(l.done)
	if l.seen != nil && l.seen.valid && l.seen.stored.kind == kindResult {
		l.made = c.shared.result(p, l.key, l.sharedKey, l.seen, l.born)
	}
	s := c.shard(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lookups[l.key] != l {
		return // good for those who wait, and nobody else
	}
	delete(s.lookups, l.key)
	if l.made != nil {
		l.made.resume(c.held(l.key))
		c.hold(l.made)
	}
}

// askStore answers a call that found nothing usable in this process from the
// store, if that has a usable result. Otherwise it returns what it found.
func (c *core) askStore(ctx context.Context, p *policy, key string, exec execution) (out outcome, answered bool, found lookedUp) {
	e, v, seen := c.lookUp(ctx, p, key, exec)
	found = lookedUp{asked: true, seen: seen}
	if v == fallback {
		found.old = e
	}
	c.answerShared(ctx, p, e, v)
	if v == early || v == revalidate {
		c.refreshInBackground(ctx, p, e, exec)
	}
	return outcome{entry: e}, v.answers(), found
}

// A lookedUp is what a call knows when it comes to executing fn.
type lookedUp struct {
	old   *entry    // a result to fall back on, if there is one
	asked bool      // the store was asked
	seen  *sighting // and held this; nil if it was of no help
}

// answerShared counts a call that is answered with e, from the store, if v says so.
func (c *core) answerShared(ctx context.Context, p *policy, e *entry, v verdict) {
	switch v {
	case fresh, early:
		c.count.sharedHits.Add(1)
		p.observe(ctx, c, EventSharedHit, e.key)
		e.bequeath(ctx)
	case revalidate, held:
		c.answerStale(ctx, p, e)
	}
}
