package fleettest

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memcachestore"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// clusters start three servers, and return a store on them and what kills one by its address.
var clusters = map[string]func(t *testing.T) (s store.Store, kill func(addr string)){
	"memcached": func(t *testing.T) (store.Store, func(string)) {
		servers, addrs := map[string]*testserver.MemcachedServer{}, []string{}
		for range 3 {
			m := testserver.MemcachedTCP(t)
			servers[m.Addr], addrs = m, append(addrs, m.Addr)
		}
		return memcachestore.New(memcache.New(addrs...), nil), func(addr string) { servers[addr].Kill() }
	},
	"redis cluster": func(t *testing.T) (store.Store, func(string)) {
		servers, addrs := map[string]*testserver.RedisServer{}, []string{}
		for _, r := range testserver.RedisCluster(t) {
			r.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
			servers[r.Addr], addrs = r, append(addrs, r.Addr)
		}
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
		t.Cleanup(func() { client.Close() })
		return redisstore.New(client, nil), func(addr string) { servers[addr].Kill() }
	},
	"redis ring": func(t *testing.T) (store.Store, func(string)) {
		servers, addrs := map[string]*testserver.RedisServer{}, map[string]string{}
		for i := range 3 {
			r := testserver.RedisTCP(t)
			servers[r.Addr], addrs[fmt.Sprint("shard", i)] = r, r.Addr
		}
		client := redis.NewRing(&redis.RingOptions{Addrs: addrs, HeartbeatFrequency: time.Hour})
		t.Cleanup(func() { client.Close() })
		return redisstore.New(client, nil), func(addr string) { servers[addr].Kill() }
	},
}

// Of three servers one is down: what is on the others was not found any more.
func TestAServerThatIsDownCostsItsOwnKeysOnly(t *testing.T) {
	for kind, start := range clusters {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, kill := start(t)
			executed := map[int]int{}
			f := memo.New(func(_ context.Context, n int) (int, error) {
				executed[n]++
				return n, nil
			}, memo.Store(s), memo.Prefix("shards"), memo.Name("rows"), memo.NoLocal(), memo.StoreTimeout(patience))
			const rows = 300
			call := func(n int) {
				t.Helper()
				if got, err := f.Call(t.Context(), n); got != n || err != nil {
					t.Fatalf("Call(%d) = %v, %v", n, got, err)
				}
			}
			for n := range rows {
				call(n)
			}
			// Which server is the function's own is known from the key of its epoch.
			own, victim := store.Shard(s, "shards::clear:rows:"), ""
			for i := 0; victim == "" || victim == own; i++ {
				victim = store.Shard(s, fmt.Sprint("any", i))
			}
			if _, _, err := net.SplitHostPort(own); err != nil {
				t.Fatalf("Shard = %q, want an address", own)
			}
			kill(victim)
			for n := range rows {
				call(n)
			}
			again := 0
			for n := range rows {
				again += executed[n] - 1
			}
			if again == 0 || again > rows*2/3 {
				t.Errorf("%d of %d calls were executed again, want those of one server of three", again, rows)
			}
		})
	}
}
