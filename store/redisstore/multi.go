package redisstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/refuse"
	"github.com/seed-0226adef/memo/store"
)

// atOnce is how many keys one command or one pipeline names. A server does nothing
// else while it works on a command, and a thousand keys take well under a
// millisecond.
const atOnce = 1000

// GetMulti implements [store.MultiGetter]. One server is sent MGETs, any others
// pipelines of GETs; a thousand keys make one round trip.
//
// A value that is no string (WRONGTYPE) is an error of a pipeline and absent for
// MGET.
func (s *Store) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	asked, refused := refuse.Keys(keys, checkKey) // asked is ours: the call may outlive the method
	ctx = s.direct(ctx)
	found, err := s.getApart(ctx, asked)
	if err == nil {
		err = refused
	}
	return found, err
}

// getApart reads from each server beside the others, so that one which does not
// answer in time, or takes its time to fail, costs its own values and not all of
// them.
func (s *Store) getApart(ctx context.Context, keys []string) (map[string][]byte, error) {
	groups := s.byServer(ctx, keys)
	parts, errs := make([]map[string][]byte, len(groups)), make([]error, len(groups))
	var wg sync.WaitGroup
	for i, group := range groups[1:] {
		wg.Go(func() { parts[i+1], errs[i+1] = s.getFrom(ctx, group) })
	}
	parts[0], errs[0] = s.getFrom(ctx, groups[0])
	wg.Wait()
	found, err := parts[0], errs[0]
	if found == nil {
		found = map[string][]byte{}
	}
	for i, part := range parts[1:] {
		maps.Copy(found, part)
		err = earliest(err, errs[i+1])
	}
	return found, err
}

func (s *Store) getFrom(ctx context.Context, keys []string) (map[string][]byte, error) {
	get := s.pipelineGet
	if s.oneNode {
		get = s.mget
	}
	return do(ctx, "get many", func() (map[string][]byte, error) {
		found := make(map[string][]byte, len(keys))
		var first error
		for some := range slices.Chunk(keys, atOnce) {
			if err := ctx.Err(); err != nil {
				return found, earliest(first, err)
			}
			first = earliest(first, get(ctx, some, found))
		}
		return found, first
	})
}

// byServer divides keys by the servers that have them, as far as that is known. It
// returns one group at least.
func (s *Store) byServer(ctx context.Context, keys []string) [][]string {
	var serverOf func(key string) (*redis.Client, error)
	switch c := s.given.(type) {
	case *redis.ClusterClient:
		serverOf = func(key string) (*redis.Client, error) { return c.MasterForKey(ctx, key) }
	case *redis.Ring:
		serverOf = c.GetShardClientForKey
	default:
		return [][]string{keys}
	}
	groups, err := do(ctx, "get many", func() ([][]string, error) {
		var groups [][]string
		of := map[*redis.Client]int{}
		for _, key := range keys {
			server, err := serverOf(key)
			if err != nil {
				return nil, err // which the look-up will meet, too
			}
			i, known := of[server]
			if !known {
				i = len(groups)
				of[server] = i
				groups = append(groups, nil)
			}
			groups[i] = append(groups[i], key)
		}
		return groups, nil
	})
	if err != nil || len(groups) == 0 {
		return [][]string{keys}
	}
	return groups
}

func (s *Store) mget(ctx context.Context, keys []string, found map[string][]byte) error {
	values, err := s.client(ctx).MGet(ctx, keys...).Result()
	for i, value := range values {
		if value, ok := value.(string); ok {
			found[keys[i]] = []byte(value)
		}
	}
	return err
}

func (s *Store) pipelineGet(ctx context.Context, keys []string, found map[string][]byte) error {
	pipe := s.client(ctx).Pipeline()
	cmds := make([]*redis.StringCmd, len(keys))
	for i, key := range keys {
		cmds[i] = pipe.Get(ctx, key)
	}
	_, _ = pipe.Exec(ctx) // the commands have the errors, and the values of servers that answered
	var first error
	for i, cmd := range cmds {
		switch value, err := cmd.Bytes(); {
		case err == nil:
			found[keys[i]] = value
		case !errors.Is(err, redis.Nil) && first == nil:
			first = err
		}
	}
	return first
}

// Delete implements [store.Store]. One server is sent DELs of a thousand keys, any
// others pipelines of DELs of one.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	if len(keys) > 1 && ctx.Done() != nil {
		keys = slices.Clone(keys)
	}
	del := s.pipelineDelete
	if s.oneNode {
		del = func(ctx context.Context, keys []string) error { return s.client(ctx).Del(ctx, keys...).Err() }
	}
	if len(keys) == 1 {
		key := keys[0]
		del = func(ctx context.Context, _ []string) error { return s.single(ctx).Del(ctx, key).Err() }
	}
	ctx = s.direct(ctx)
	return doErr(ctx, "delete", func() error {
		var first error // what can be deleted is, also when one server is down
		for some := range slices.Chunk(keys, atOnce) {
			if err := ctx.Err(); err != nil {
				return earliest(first, err)
			}
			first = earliest(first, del(ctx, some))
		}
		return first
	})
}

// earliest returns first unless that is nil.
func earliest(first, next error) error {
	if first != nil {
		return first
	}
	return next
}

func (s *Store) pipelineDelete(ctx context.Context, keys []string) error {
	pipe := s.client(ctx).Pipeline()
	for _, key := range keys {
		pipe.Del(ctx, key)
	}
	cmds, err := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if err == nil {
			err = cmd.Err()
		}
	}
	return err
}

var (
	_ store.MultiGetter = (*Store)(nil)
	_ store.Pinger      = (*Store)(nil)
	_ store.Notifier    = (*Store)(nil)
)
