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
// A value that is no string (WRONGTYPE) is refused in a pipeline and absent for
// MGET. A key that the user may not read is refused.
func (s *Store) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	asked, refused := refuse.Keys(keys, checkKey) // asked is ours: the call may outlive the method
	ctx = s.direct(ctx)
	found, err := s.getApart(ctx, asked)
	refused.Add("", err)
	return found, refused.Err()
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
	found, all := map[string][]byte{}, store.KeyErrors{}
	if parts[0] != nil {
		found = parts[0]
	}
	for i, part := range parts {
		maps.Copy(found, part)
		all.Add("", errs[i])
	}
	return found, all.Err()
}

func (s *Store) getFrom(ctx context.Context, keys []string) (map[string][]byte, error) {
	get := s.pipelineGet
	if s.oneNode {
		get = s.mget
	}
	return do(ctx, "get many", func() (map[string][]byte, error) {
		found := make(map[string][]byte, len(keys))
		var all store.KeyErrors
		for some := range slices.Chunk(keys, atOnce) {
			if err := ctx.Err(); err != nil {
				all.Fail(err)
				break
			}
			all.Add("", get(ctx, some, found))
		}
		return found, all.Err()
	})
}

// byServer divides keys by the servers that have them, as far as that is known. It
// returns one group at least.
func (s *Store) byServer(ctx context.Context, keys []string) [][]string {
	if !s.sharded() {
		return [][]string{keys}
	}
	groups, err := do(ctx, "get many", func() ([][]string, error) {
		var groups [][]string
		of := map[*redis.Client]int{}
		for _, key := range keys {
			server, err := s.serverOf(ctx, key)
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
	if errors.Is(judged("get many", err), store.ErrRefused) { // for one key that the user may not read, all are
		return s.pipelineGet(ctx, keys, found)
	}
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
	var all store.KeyErrors
	for i, cmd := range cmds {
		switch value, err := cmd.Bytes(); {
		case err == nil:
			found[keys[i]] = value
		case !errors.Is(err, redis.Nil):
			all.Add(keys[i], judged("get many", err))
		}
	}
	return all.Err()
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
		del = s.delTogether
	}
	if len(keys) == 1 {
		key := keys[0]
		del = func(ctx context.Context, _ []string) error { return s.single(ctx).Del(ctx, key).Err() }
	}
	ctx = s.direct(ctx)
	return doErr(ctx, "delete", func() error {
		var all store.KeyErrors // what can be deleted is, also when one server is down
		for some := range slices.Chunk(keys, atOnce) {
			if err := ctx.Err(); err != nil {
				all.Fail(err)
				break
			}
			if err := judged("delete", del(ctx, some)); len(keys) == 1 {
				return err
			} else {
				all.Add("", err)
			}
		}
		return all.Err()
	})
}

// delTogether deletes keys with one command or, if the user may not delete one of them
// and therefore none, with one for each.
func (s *Store) delTogether(ctx context.Context, keys []string) error {
	err := s.client(ctx).Del(ctx, keys...).Err()
	if errors.Is(judged("delete", err), store.ErrRefused) {
		return s.pipelineDelete(ctx, keys)
	}
	return err
}

func (s *Store) pipelineDelete(ctx context.Context, keys []string) error {
	pipe := s.client(ctx).Pipeline()
	for _, key := range keys {
		pipe.Del(ctx, key)
	}
	cmds, err := pipe.Exec(ctx)
	if len(cmds) != len(keys) {
		return err
	}
	var all store.KeyErrors
	for i, cmd := range cmds {
		all.Add(keys[i], judged("delete", cmd.Err()))
	}
	return all.Err()
}

var (
	_ store.MultiGetter = (*Store)(nil)
	_ store.Pinger      = (*Store)(nil)
	_ store.Notifier    = (*Store)(nil)
)
