package memcachestore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-0226adef/memo/internal/refuse"
	"github.com/seed-0226adef/memo/store"
)

// atOnce is how many keys one request names. memcached looks for the end of the line
// from its beginning each time that more of it arrives: 10,000 keys of 250 bytes
// took it a quarter of a second, 100,000 more than five.
const atOnce = 1000

// GetMulti implements [store.MultiGetter]. The servers are asked at the same time,
// for a thousand keys at once.
//
// When ctx ends before the last server has answered or failed, the map is empty.
func (s *Store) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	// For one key that it refuses the client would refuse all. asked is ours, since
	// the call may outlive the method.
	asked, refused := refuse.Keys(keys, checkKey)
	found, err := do(ctx, "get many", func() (map[string][]byte, error) {
		found := make(map[string][]byte, len(asked))
		var first error
		for some := range slices.Chunk(asked, atOnce) {
			if err := ctx.Err(); err != nil {
				return found, err
			}
			if err := s.getMulti(ctx, some, found); err != nil && first == nil {
				first = err
			}
		}
		return found, first
	})
	if found == nil {
		found = map[string][]byte{}
	}
	refused.Add("", err)
	return found, refused.Err()
}

// getMulti adds the values under keys to found. It may change keys.
func (s *Store) getMulti(ctx context.Context, keys []string, found map[string][]byte) error {
	return s.again(ctx, func() error {
		items, err := s.client.GetMulti(keys)
		for _, key := range keys {
			if item := items[key]; item != nil {
				found[key] = item.Value
			}
		}
		if lost(err) { // the others have answered: only what is missing is asked for again
			keys = slices.DeleteFunc(keys, func(key string) bool { return found[key] != nil })
		}
		return err
	})
}

// Delete implements [store.Store]. It deletes as many keys at a time as the client
// keeps connections (MaxIdleConns, 2 unless configured), at most 16, each in a
// round trip of its own.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	if ctx.Done() != nil {
		keys = slices.Clone(keys) // the call may outlive the method
	}
	return doErr(ctx, "delete", func() error {
		if len(keys) == 1 {
			return s.delete(ctx, keys[0])
		}
		return s.deleteAll(ctx, keys)
	})
}

// deleteAll deletes what can be deleted, also when one server is down, and returns
// their errors.
func (s *Store) deleteAll(ctx context.Context, keys []string) error {
	var (
		next atomic.Int64
		mu   sync.Mutex // guards errs
		errs store.KeyErrors
		wg   sync.WaitGroup
	)
	for range min(len(keys), s.idle()) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(keys) {
					return
				}
				err := ctx.Err()
				if err == nil {
					err = s.delete(ctx, keys[i])
				}
				if meaningOf("delete", err) != nil {
					err = failed(ctx, "delete", err)
				}
				mu.Lock()
				errs.Add(keys[i], err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errs.Err()
}

func (s *Store) delete(ctx context.Context, key string) error {
	err := s.again(ctx, func() error { return s.client.Delete(key) })
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil
	}
	return err
}
