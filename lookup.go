package memo

import "context"

// A lookup is a look at what the store holds under a key, shared by all callers who
// come while it is under way. It runs in the goroutine of the first.
type lookup struct {
	born uint64        // the sequence number before the store was asked
	done chan struct{} // closed when the fields below are set
	seen *sighting     // nil if the store is of no help
	made *entry        // the result that was seen, if it is of use
	left bool          // the first caller has left, and with that the look ended
}

// lookUp looks what the store holds under key. A result that p may use is held in
// this process and returned. Otherwise seen is what there is, for who executes
// fn, or nil where the store is of no help.
func (c *core) lookUp(ctx context.Context, p *policy, key string, exec execution) (e *entry, v verdict, seen *sighting) {
	s := c.shard(key)
	for ctx.Err() == nil {
		seq := sequence.Load()
		s.mu.Lock()
		l := s.lookups[key]
		first := l == nil
		if first {
			l = &lookup{born: seq, done: make(chan struct{})}
			if s.lookups == nil {
				s.lookups = map[string]*lookup{}
			}
			s.lookups[key] = l
		}
		s.mu.Unlock()
		if first {
			c.perform(ctx, p, s, l, key, exec)
		} else if !l.await(ctx) || l.made != nil && seq != l.born && c.overtaken(l.born, l.made.tags) {
			continue
		}
		if l.made == nil {
			return nil, unusable, l.seen
		}
		v := l.made.judge(now(), p, draw)
		if v == fallback && l.made.backsOff(now()) {
			v = held
		}
		return l.made, v, l.seen
	}
	return nil, unusable, nil
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

// perform looks for all who wait for l, and holds what it finds unless the key was
// invalidated meanwhile.
func (c *core) perform(ctx context.Context, p *policy, s *flights, l *lookup, key string, exec execution) {
	defer close(l.done)
	sharedKey := c.shared.head + exec.args(key)
	if !c.shared.disbelieves(sharedKey) {
		var err error
		if l.seen, err = c.shared.see(ctx, p, sharedKey); err != nil {
			if l.seen, l.left = nil, ctx.Err() != nil; !l.left {
				c.shared.failed(err)
			}
		}
	}
	if l.seen != nil && l.seen.valid && l.seen.stored.kind == kindResult {
		l.made = c.shared.result(p, key, sharedKey, l.seen, l.born)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lookups[key] != l { // invalidated: good for those who wait, and nobody else
		return
	}
	delete(s.lookups, key)
	if l.made != nil {
		c.hold(l.made)
	}
}

// askStore answers a call that found nothing usable in this process from the
// store, if that has a usable result. Otherwise old is one to fall back on, and
// seen what there is.
func (c *core) askStore(ctx context.Context, p *policy, key string, exec execution) (out outcome, answered bool, old *entry, seen *sighting) {
	e, v, seen := c.lookUp(ctx, p, key, exec)
	switch v {
	case fresh, early:
		c.count.sharedHits.Add(1)
		p.observe(ctx, c, EventSharedHit, key)
		e.bequeath(ctx)
	case revalidate, held:
		c.answerStale(ctx, p, e)
	case fallback:
		return outcome{}, false, e, seen
	default:
		return outcome{}, false, nil, seen
	}
	if v == early || v == revalidate {
		c.refreshInBackground(ctx, p, e, exec)
	}
	return outcome{entry: e}, true, nil, seen
}
