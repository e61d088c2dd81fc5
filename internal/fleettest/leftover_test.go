package fleettest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// What memo leaves in Redis ends by itself, soon after the results: epochs of functions,
// groups and turns used to have no expiry, and those of tags one of thirty days. With -v
// the test tells how many bytes each takes; docs/design.md quotes it.
func TestEverythingInRedisEndsSoonAfterTheResults(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: testserver.RedisTCP(t).Addr})
	defer client.Close()
	const ttl = 2 * time.Second
	g := memo.NewGroup("shop", memo.Store(redisstore.New(client, nil)), memo.StoreTimeout(patience), memo.TTL(ttl), memo.NoLocal())
	byID := memo.New(func(ctx context.Context, id int) (string, error) {
		memo.AddTags(ctx, fmt.Sprint("user:", id))
		return "Ann", nil
	}, g, memo.Name("users.byID"))
	plain := memo.New(func(context.Context, int) (string, error) { return "Ann", nil },
		memo.Store(redisstore.New(client, nil)), memo.StoreTimeout(patience), memo.TTL(ttl), memo.NoLocal(), memo.Name("users.byID"), memo.Prefix("plain"))
	ctx := t.Context()
	for id := range 100 {
		byID.Call(ctx, id)
		plain.Call(ctx, id)
	}
	for _, err := range []error{
		byID.Invalidate(ctx, 1, 2, 3), byID.Set(ctx, 4, "Bob"), byID.Clear(ctx),
		g.InvalidateTags(ctx, "user:5", "nobody's"), g.Clear(ctx), plain.Clear(ctx),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	for id := range 100 {
		byID.Call(ctx, id)
		plain.Call(ctx, id)
	}
	bytes, count := map[string]int64{}, map[string]int64{}
	for keys := client.Scan(ctx, 0, "*", 1000).Iterator(); keys.Next(ctx); {
		key := keys.Val()
		left, err := client.PTTL(ctx, key).Result()
		if err != nil || left <= 0 && left != -2 || left > 3*ttl+2*time.Minute { // -2: it has gone meanwhile
			t.Errorf("%s: it ends in %v, %v", key, left, err)
		}
		kind := "a result"
		if _, rest, epoch := strings.Cut(key, ":"); epoch && strings.HasPrefix(rest, ":") {
			kind = strings.SplitN(rest, ":", 3)[1]
		} else if strings.HasPrefix(key, ":") && !strings.HasPrefix(key, "::") {
			kind = "a result with a tag"
		}
		n, _ := client.MemoryUsage(ctx, key).Result()
		bytes[kind] += n
		count[kind]++
	}
	for kind := range bytes {
		t.Logf("%s: %d bytes on average of %d", kind, bytes[kind]/count[kind], count[kind])
	}
}
