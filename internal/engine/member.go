package engine

import (
	"strings"

	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/tags"
)

// Changed implements memberEvents.
func (s *shared) Changed(key string) {
	s.core.doubt(key)
	s.core.forget(key)
}

// Overtaken implements memberEvents.
func (s *shared) Overtaken(by *fleet.Member, id, key string) {
	switch {
	case s.Member.Version.Shape != by.Version.Shape:
		s.Cleared()
	case s.Head == by.Head:
		s.core.overtake(id)
	default:
		s.core.overtakeShared(s.Head + strings.TrimPrefix(key, by.Head))
	}
}

// Cleared implements memberEvents.
func (s *shared) Cleared() {
	tags.NextSequence(s.core.cleared.Store)
	s.core.Sweep()
}

// overtakeShared is overtake for the result that is in the store under sharedKey.
func (c *Cache) overtakeShared(sharedKey string) {
	keys := map[string]bool{}
	if t := c.Tier.Load(); t != nil {
		if e := t.CopyOf(sharedKey); e != nil {
			keys[e.Key] = true
		}
	}
	for i := range c.shards {
		c.shards[i].underWay(sharedKey, keys)
	}
	for key := range keys {
		c.overtake(key)
	}
}

// underWay adds the keys of the calls for sharedKey to keys. A caller that has
// looked and not yet begun to execute looks again.
func (s *shard) underWay(sharedKey string, keys map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overtakings++
	for key, call := range s.calls {
		if call.sharedKey == sharedKey {
			keys[key] = true
		}
	}
}
