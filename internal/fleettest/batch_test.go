package fleettest

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memcachestore"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// untuned are stores over clients as their packages make them, each another process's
// on one server.
var untuned = map[string]func(*testing.T) (newStore func() store.Store){
	"redis": func(t *testing.T) func() store.Store {
		addr := testserver.RedisTCP(t).Addr
		return func() store.Store {
			client := redis.NewClient(&redis.Options{Addr: addr})
			t.Cleanup(func() { client.Close() })
			return stoppedWith(t, redisstore.New(client, nil))
		}
	},
	"memcached": func(t *testing.T) func() store.Store {
		addr := testserver.MemcachedTCP(t).Addr
		return func() store.Store {
			client := memcache.New(addr)
			t.Cleanup(func() { client.Close() })
			return memcachestore.New(client, nil)
		}
	},
}

// The leases and results of a big batch were written all at once. They waited for
// connections of the client, timed out, and opened the breaker of a store in order: the
// next process executed most of it again.
//
// It does not run in parallel with the others, which take a machine's time.
func TestBigBatchIsStoredAsAWhole(t *testing.T) {
	const size = 2000
	for kind, start := range untuned {
		t.Run(kind, func(t *testing.T) {
			newStore, j := start(t), newJournal()
			var executed atomic.Int64
			fn := func(_ context.Context, keys []int) (map[int]string, error) {
				executed.Add(int64(len(keys)))
				all := map[int]string{}
				for _, key := range keys {
					all[key] = fmt.Sprint("value ", key)
				}
				return all, nil
			}
			keys := make([]int, size)
			for i := range keys {
				keys[i] = i
			}
			process := func() *memo.Batch[int, string] {
				return memo.NewBatch(fn, memo.Store(newStore()), memo.Name("big"), memo.StoreTimeout(budget), memo.Logger(slog.New(j)))
			}
			first, second := process(), process()
			for _, b := range []*memo.Batch[int, string]{first, second} {
				got, err := b.Call(t.Context(), keys)
				if len(got) != size || got[size-1] != fmt.Sprint("value ", size-1) || err != nil {
					t.Errorf("got %d results, %v", len(got), err)
				}
				if s := b.Stats(); s.StoreErrors > 0 {
					t.Errorf("%d store errors of a store in order", s.StoreErrors)
				}
			}
			if got := executed.Load(); got != size {
				t.Errorf("%d keys were executed in two processes, want each of %d once", got, size)
			}
			if got := j.String(); got != "" {
				t.Errorf("logged:\n%s", got)
			}
		})
	}
}
