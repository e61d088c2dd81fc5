package memstore

import (
	"context"
	"slices"
	"strings"

	"github.com/seed-0226adef/memo/store"
)

// A subscription is one call of Notify. Its address is its identity.
type subscription struct {
	prefix string
	sink   store.Sink
}

// Prompt implements an interface of package memo's own: each change is reported once,
// before the method that made it has returned.
func (s *Store) Prompt() store.Store { return s }

// Notify implements [store.Notifier]. It calls sink.Up(true) before it returns.
//
// A change is reported by the goroutine that makes it, before its method
// returns: when Set or Delete is done, every sink knows. Only keys under
// prefix are named. Expiry and eviction are not reported. Up(false) and Suspect
// are never called, since a store in memory loses no connection.
func (s *Store) Notify(ctx context.Context, prefix string, sink store.Sink) (stop func(), err error) {
	if err := checkContext(ctx); err != nil {
		return nil, err
	}
	sub := &subscription{prefix, sink}
	s.mu.Lock()
	s.subs = append(s.subs, sub)
	s.mu.Unlock()
	sink.Up(true)

	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subs = slices.DeleteFunc(slices.Clone(s.subs), func(other *subscription) bool { return other == sub })
	}, nil
}

// report tells subs that keys have changed. It is called without the lock, with
// the subs that there were under it, so that a slow sink holds up only the
// writer that calls it.
func report(subs []*subscription, keys ...string) {
	for _, sub := range subs {
		var under []string
		for _, key := range keys {
			if strings.HasPrefix(key, sub.prefix) {
				under = append(under, key)
			}
		}
		if len(under) > 0 {
			sub.sink.Changed(under)
		}
	}
}
