package redisstore_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
)

// A pool of go-redis that could not dial tries once a second whether it can
// again, and notices within that second that it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func options(r *testserver.RedisServer) *redis.Options {
	return &redis.Options{Network: r.Network, Addr: r.Addr}
}

func client(t *testing.T, r *testserver.RedisServer) *redis.Client {
	t.Helper()
	return clientOf(t, options(r))
}

func clientOf(t *testing.T, o *redis.Options) *redis.Client {
	t.Helper()
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

func autoPipeline(t *testing.T, c redis.UniversalClient) *redis.AutoPipeliner {
	t.Helper()
	ap, err := c.AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	return ap // closed with c
}

func asyncAutoPipeline(t *testing.T, c redis.UniversalClient) *redis.AutoPipeliner {
	t.Helper()
	ap, err := c.AsyncAutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	return ap
}

func ring(t *testing.T) *redis.Ring {
	t.Helper()
	c := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{
		"one": testserver.RedisTCP(t).Addr,
		"two": testserver.RedisTCP(t).Addr,
	}})
	t.Cleanup(func() { c.Close() })
	return c
}

func cluster(t *testing.T, nodes []*testserver.RedisServer) *redis.ClusterClient {
	t.Helper()
	o := &redis.ClusterOptions{DialerRetries: 1, MaxRetryBackoff: -1, MinRetryBackoff: -1}
	for _, node := range nodes {
		o.Addrs = append(o.Addrs, node.Addr)
	}
	c := redis.NewClusterClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

func failover(t *testing.T, s *testserver.RedisSentinel) *redis.Client {
	t.Helper()
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: s.MasterName, SentinelAddrs: s.Addrs()})
	t.Cleanup(func() { c.Close() })
	return c
}

// each starts nothing beforehand: one starts a server for each store.
func each(one newStore) func(*testing.T) newStore {
	return func(*testing.T) newStore { return one }
}

// emptied makes the stores of one take turns with servers.
func emptied(servers []*testserver.RedisServer, one newStore) newStore {
	turn := make(chan struct{}, 1)
	return func(t *testing.T) store.Store {
		turn <- struct{}{}
		t.Cleanup(func() { <-turn })
		for _, server := range servers {
			if _, err := server.Do("FLUSHALL"); err != nil {
				t.Fatal(err)
			}
		}
		return one(t)
	}
}

// await waits until done, which a machine under load takes long for.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("still not: %s", what)
		}
	}
}
