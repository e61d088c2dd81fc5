package engine

import (
	"strings"

	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/tags"
)

// A member is a function as its keyspace tells it what happens in the store.
type member struct{ *Cache }

// Changed implements fleet.MemberEvents.
func (m member) Changed(key string) {
	m.doubt(key)
	m.forget(key)
}

// Overtaken implements fleet.MemberEvents.
func (m member) Overtaken(by *fleet.Member, id, key string) {
	switch {
	case m.Shared.Member.Version.Shape != by.Version.Shape:
		m.Cleared()
	case m.Shared.Head == by.Head:
		m.overtake(id)
	default:
		m.overtakeShared(m.Shared.Head + strings.TrimPrefix(key, by.Head))
	}
}

// Cleared implements fleet.MemberEvents.
func (m member) Cleared() {
	tags.NextSequence(m.cleared.Store)
	m.Sweep()
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
