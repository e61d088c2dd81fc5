package engine

import (
	"context"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/storeclient"
)

// Expire ends the freshness of what is held under keys. An execution that is under way began
// before, and is overtaken as by an invalidation. The store comes first; see Invalidate.
func (c *Cache) Expire(ctx context.Context, p *entry.Config, keys, sharedKeys []string) error {
	var err error
	if c.Shared != nil {
		err = c.Shared.Expire(ctx, storeclient.DeadlineIn(p.StoreTimeout), p.Stale(), sharedKeys)
	}
	for i, key := range keys {
		c.expireKey(p, key)
		if c.Shared != nil {
			c.Shared.Overtake(c.Shared.Member, key, sharedKeys[i])
		}
		c.Base.Tell(ctx, entry.EventExpiry, key)
	}
	return c.NotReached("Expire", err)
}

// expireKey does so for one key, in this process.
func (c *Cache) expireKey(p *entry.Config, key string) {
	s := c.Shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overtake(key)
	if e := c.Held(key); e != nil {
		t := clock.Now()
		if e = e.Expired(t); e.End <= t || max(p.Stale(), c.Base.Stale()) == 0 || !c.hold(e) {
			c.drop(key)
		}
	}
}

// expire returns a copy of e, which has expired then, and holds that instead.
func (c *Cache) expire(e *entry.Entry, t int64) *entry.Entry {
	x := e.Expired(t)
	s := c.Shard(e.Key)
	if !s.mu.TryLock() { // it is expired at the next look, then
		return x
	}
	defer s.mu.Unlock()
	if c.Held(e.Key) == e {
		c.hold(x)
	}
	return x
}
