package redisstore_test

import (
	"testing"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/redisstore"
	"github.com/seed-0226adef/memo/store/storetest"
)

type newStore = func(t *testing.T) store.Store

// Every way to connect that New takes. Servers on one machine start in no time,
// so each case has its own; a cluster and sentinels do not, and are emptied.
var ways = map[string]func(t *testing.T) newStore{
	"unix": each(func(t *testing.T) store.Store { return redisstore.New(client(t, testserver.Redis(t)), nil) }),
	"tcp":  each(func(t *testing.T) store.Store { return redisstore.New(client(t, testserver.RedisTCP(t)), nil) }),
	"ring": each(func(t *testing.T) store.Store { return redisstore.New(ring(t), nil) }),
	"autopipeline": each(func(t *testing.T) store.Store {
		c := client(t, testserver.Redis(t))
		return redisstore.New(c, &redisstore.Options{AutoPipeline: autoPipeline(t, c)})
	}),
	"async autopipeline as the client": each(func(t *testing.T) store.Store {
		return redisstore.New(asyncAutoPipeline(t, client(t, testserver.Redis(t))), nil)
	}),
	"cluster": func(t *testing.T) newStore {
		nodes := testserver.RedisCluster(t)
		return emptied(nodes, func(t *testing.T) store.Store { return redisstore.New(cluster(t, nodes), nil) })
	},
	"autopipeline of a cluster": func(t *testing.T) newStore {
		nodes := testserver.RedisCluster(t)
		return emptied(nodes, func(t *testing.T) store.Store {
			c := cluster(t, nodes)
			return redisstore.New(c, &redisstore.Options{AutoPipeline: autoPipeline(t, c)})
		})
	},
	"sentinel": func(t *testing.T) newStore {
		s := testserver.NewRedisSentinel(t)
		return emptied([]*testserver.RedisServer{s.Master}, func(t *testing.T) store.Store { return redisstore.New(failover(t, s), nil) })
	},
}

// Values of MaxValue, half a gigabyte, are more than a test should send.
func TestStoreKeepsTheContract(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, way(t), storetest.TTLGranularity(redisstore.TTLGranularity), storetest.ForeignValue(putList))
		})
	}
}

// putList makes a list of key.
func putList(t testing.TB, s store.Store, key string) {
	t.Helper()
	if err := redisstore.Given(s.(*redisstore.Store)).RPush(t.Context(), key, "of another type").Err(); err != nil {
		t.Fatal(err)
	}
}
