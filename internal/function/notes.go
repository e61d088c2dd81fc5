package function

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/shared"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/store"
)

// Notes is a place in a function's shared store for one value of a package's own, which
// is changed by Add and Swap only; what has no token is deleted. It keeps the value for
// NotesLife from the last change. Operations take no longer than the function's
// StoreTimeout.
type Notes struct {
	keyspace *fleet.Keyspace
	key      string
	limit    time.Duration
}

// NotesLife is how long a store keeps Notes that are not changed.
const NotesLife = 30 * 24 * time.Hour

// Get returns the value; nil if there is none.
func (n *Notes) Get(ctx context.Context) ([]byte, error) {
	values, err := n.keyspace.Get(ctx, storeclient.DeadlineIn(n.limit), []string{n.key})
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

func (n *Notes) Add(ctx context.Context, value []byte) error {
	return n.keyspace.Do(ctx, n.key, n.limit, func(ctx context.Context) error {
		return n.keyspace.Store.Add(ctx, n.key, value, NotesLife)
	})
}

func (n *Notes) Swap(ctx context.Context, old store.Token, value []byte) error {
	return n.keyspace.Do(ctx, n.key, n.limit, func(ctx context.Context) error {
		return n.keyspace.Store.Swap(ctx, n.key, old, value, NotesLife)
	})
}

func (n *Notes) Delete(ctx context.Context) error {
	return n.keyspace.Client.Delete(ctx, n.limit, n.key)
}

// Notes returns the place for what a package keeps beside the function's results; nil
// without a store.
func (s *Settings) Notes() *Notes {
	if s.Store == nil {
		return nil
	}
	k := shared.KeyspaceOf(s.Store, s.Prefix, s.Bus)
	return &Notes{keyspace: k, key: k.EpochKey("notes", s.Name, ""), limit: s.StoreTimeout}
}
