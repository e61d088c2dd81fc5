package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	rediscache "github.com/go-redis/cache/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/memstore"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// A profile is a result of the kind that a fleet shares: some 300 bytes of JSON.
type profile struct {
	ID    int64
	Name  string
	Email string
	Roles []string
	About string
}

func profileOf(k string) profile {
	n := answer(k)
	return profile{
		ID: n, Name: fmt.Sprintf("User %d", n), Email: fmt.Sprintf("user%d@example.com", n),
		Roles: []string{"reader", "writer", "admin"}, About: strings.Repeat("lorem ipsum ", 12),
	}
}

// A sharedPeer reads results from one Redis, each time anew. open returns the
// look-up of a key.
type sharedPeer struct {
	name string
	open func(tb testing.TB, addr string, keys []string) func(ctx context.Context, key string) (profile, error)
}

// sharedPeers all read JSON, from the same server over TCP. None of them keeps a
// copy in the process: what is measured is the way to the server and back.
var sharedPeers = []sharedPeer{
	{"memo", memoShared},
	{"go-redis", goRedisShared},
	{"go-redis-autopipeline", autoPipelineShared},
	{"rueidis", rueidisShared},
	{"go-redis-cache", redisCacheShared},
}

// BenchmarkSharedHit measures a call whose result is in Redis and not in the
// process, from 1, 16 and 128 goroutines.
func BenchmarkSharedHit(b *testing.B) {
	addr := testserver.RedisTCP(b).Addr
	keys := keysOf[string](heldKeys)
	for _, goroutines := range []int{1, 16, 128} {
		for _, p := range shuffled(sharedPeers) {
			b.Run(fmt.Sprintf("%dgoroutines/peer=%s", goroutines, p.name), func(b *testing.B) {
				look := p.open(b, addr, keys)
				b.ReportAllocs()
				b.ResetTimer()
				readAll(goroutines, b.N, keys, look)
			})
		}
	}
}

// readAll makes n calls for keys drawn at random.
func readAll(goroutines, n int, keys []string, look func(context.Context, string) (profile, error)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			ctx := context.Background()
			for next.Add(1) <= int64(n) {
				k := keys[rand.IntN(len(keys))]
				if p := must(look(ctx, k)); p.ID != answer(k) {
					panic(errMissed)
				}
			}
		})
	}
	wg.Wait()
}

// TestSharedHitsReturnTheAnswer checks that the peers do what is measured.
func TestSharedHitsReturnTheAnswer(t *testing.T) {
	addr := testserver.RedisTCP(t).Addr
	keys := keysOf[string](heldKeys)
	for _, p := range sharedPeers {
		t.Run(p.name, func(t *testing.T) { readAll(8, 1_000, keys, p.open(t, addr, keys)) })
	}
}

// BenchmarkOutage measures a call that finds nothing while the store of its function
// is out of order, beside the same function without a store.
func BenchmarkOutage(b *testing.B) {
	ctx := context.Background()
	lost := faultstore.New(memstore.New(nil), faultstore.Fail(errors.New("the store is lost"))).Bare()
	peers := []loader{
		{"memo", func(_ testing.TB, fn function) function {
			f := memo.New(fn, memo.Name("outage"), memo.SharedName(), memo.Store(lost), memo.Logger(slog.New(slog.DiscardHandler)))
			for i := range 16 { // more failures than open the breaker
				must(f.Call(ctx, fmt.Sprint(-i)))
			}
			return f.Call
		}},
		{"memo-no-store", func(_ testing.TB, fn function) function { return memo.Wrap(fn) }},
	}
	for _, p := range shuffled(peers) {
		b.Run("serial/peer="+p.name, func(b *testing.B) {
			keys := distinctKeys(b.N)
			look := calls(p.open(b, func(_ context.Context, k string) (int64, error) { return answer(k), nil }), keys)
			sweep(b, 1, b.N, look)
		})
	}
}

func goRedis(tb testing.TB, addr string) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: addr})
	tb.Cleanup(func() { client.Close() })
	return client
}

// encodedProfile is what the peers read that decode for themselves.
func encodedProfile(k string) []byte { return must(json.Marshal(profileOf(k))) }

func memoShared(tb testing.TB, addr string, keys []string) func(context.Context, string) (profile, error) {
	read := func(_ context.Context, k string) (profile, error) { return profileOf(k), nil }
	f := memo.New(read, memo.Name("profile"), memo.NoLocal(), memo.TTL(ttl), memo.Store(redisstore.New(goRedis(tb, addr), nil)))
	for _, k := range keys {
		must(f.Call(context.Background(), k))
	}
	filled := f.Stats().Executions
	tb.Cleanup(func() {
		if f.Stats().Executions != filled {
			panic(errMissed)
		}
	})
	return f.Call
}

func goRedisShared(tb testing.TB, addr string, keys []string) func(context.Context, string) (profile, error) {
	client := goRedis(tb, addr)
	for _, k := range keys {
		must(client.Set(context.Background(), k, encodedProfile(k), ttl).Result())
	}
	return func(ctx context.Context, k string) (p profile, err error) {
		b, err := client.Get(ctx, k).Bytes()
		if err != nil {
			return p, err
		}
		return p, json.Unmarshal(b, &p)
	}
}

func autoPipelineShared(tb testing.TB, addr string, keys []string) func(context.Context, string) (profile, error) {
	goRedisShared(tb, addr, keys)
	pipeline := must(goRedis(tb, addr).AutoPipeline())
	tb.Cleanup(func() { pipeline.Close() })
	return func(ctx context.Context, k string) (p profile, err error) {
		b, err := pipeline.Get(ctx, k).Bytes()
		if err != nil {
			return p, err
		}
		return p, json.Unmarshal(b, &p)
	}
}

func rueidisShared(tb testing.TB, addr string, keys []string) func(context.Context, string) (profile, error) {
	goRedisShared(tb, addr, keys)
	client := must(rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true}))
	tb.Cleanup(client.Close)
	return func(ctx context.Context, k string) (p profile, err error) {
		b, err := client.Do(ctx, client.B().Get().Key(k).Build()).AsBytes()
		if err != nil {
			return p, err
		}
		return p, json.Unmarshal(b, &p)
	}
}

func redisCacheShared(tb testing.TB, addr string, keys []string) func(context.Context, string) (profile, error) {
	cache := rediscache.New(&rediscache.Options{Redis: goRedis(tb, addr), Marshal: json.Marshal, Unmarshal: json.Unmarshal})
	for _, k := range keys {
		if err := cache.Set(&rediscache.Item{Key: "cache:" + k, Value: profileOf(k), TTL: ttl}); err != nil {
			panic(err)
		}
	}
	return func(ctx context.Context, k string) (p profile, err error) {
		return p, cache.Get(ctx, "cache:"+k, &p)
	}
}
