package fleettest

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/dynamostore"
	"github.com/seed-0226adef/memo/store/memcachestore"
	"github.com/seed-0226adef/memo/store/memstore"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// In a testing/synctest bubble the notification loop of a Redis store waited for the
// server, which the bubble does not count as waiting: its time stood still, and it never
// ended.
func TestFunctionWithAStoreWorksInABubble(t *testing.T) {
	for kind, open := range map[string]func(t *testing.T) store.Store{
		"memory": func(*testing.T) store.Store { return memstore.New(nil) },
		"redis": func(t *testing.T) store.Store {
			client := redis.NewClient(&redis.Options{Addr: testserver.RedisTCP(t).Addr})
			t.Cleanup(func() { client.Close() })
			return redisstore.New(client, nil)
		},
		"memcached": func(t *testing.T) store.Store {
			client := memcache.New(testserver.MemcachedTCP(t).Addr)
			t.Cleanup(func() { client.Close() })
			return memcachestore.New(client, nil)
		},
		"dynamodb": func(t *testing.T) store.Store {
			endpoint := servers["dynamodb"](t)
			return dynamostore.New(dynamoClient(endpoint, &http.Transport{DisableKeepAlives: true}), table, nil)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			s, runs := open(t), 0
			f := memo.New(func(ctx context.Context, n int) (int, error) {
				memo.AddTags(ctx, "t")
				runs++
				time.Sleep(time.Minute / 4)
				return runs, nil
			}, memo.NewGroup("g", memo.Store(s)), memo.Name("f"), memo.TTL(time.Minute))
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for round := range 2 { // a function that is used in several bubbles
					runs = 0
					synctest.Test(t, func(t *testing.T) {
						f.Clear(t.Context())
						for _, want := range []int{1, 1, 2} {
							if got, err := f.Call(t.Context(), 1); got != want || err != nil {
								t.Errorf("bubble %d, %v: got %d, %v, want %d", round, time.Now(), got, err, want)
							}
							time.Sleep(40 * time.Second)
						}
					})
				}
			}()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("the bubble hangs")
			}
			if got := f.Stats().StoreErrors; got > 0 {
				t.Errorf("%d store errors", got)
			}
		})
	}
}
