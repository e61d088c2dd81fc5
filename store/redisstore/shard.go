package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/store"
)

// Shard implements [store.Sharder]: in a cluster it is the address of the master that has
// key, in a ring that of its shard. It is empty for other clients, and as long as the client
// has not asked the cluster who has what.
func (s *Store) Shard(key string) string {
	if !s.sharded() || !s.routed.Load() || key == "" { // which the client sends anywhere
		return ""
	}
	server, err := s.serverOf(context.Background(), key)
	if err != nil {
		return ""
	}
	return server.Options().Addr
}

// sharded reports whether keys are spread over servers that fail by themselves.
func (s *Store) sharded() bool {
	switch s.given.(type) {
	case *redis.ClusterClient, *redis.Ring:
		return true
	}
	return false
}

// serverOf returns the client of the server that has key, where the store is sharded. In a
// cluster it asks the servers, if no command has done so.
func (s *Store) serverOf(ctx context.Context, key string) (server *redis.Client, err error) {
	switch c := s.given.(type) {
	case *redis.ClusterClient:
		server, err = c.MasterForKey(ctx, key)
	case *redis.Ring:
		server, err = c.GetShardClientForKey(key)
	}
	if err == nil && !s.routed.Load() {
		s.routed.Store(true)
	}
	return server, err
}

var _ store.Sharder = (*Store)(nil)
