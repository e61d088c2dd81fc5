package redisstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/redisstore"
)

func ExampleNew() {
	client := redis.NewClient(&redis.Options{
		Addr:        "localhost:6379",
		ReadTimeout: 500 * time.Millisecond, // what a call that is left alone holds a connection for
	})
	defer client.Close() // the store does not
	s := redisstore.New(client, nil)

	ctx := context.Background()
	token := store.NewToken()
	if err := s.Set(ctx, "users:42", append(token[:], "Ada"...), time.Minute); err != nil {
		fmt.Println(err)
		return
	}
	value, err := s.Get(ctx, "users:42")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", value[store.TokenSize:])
}

func ExampleNew_cluster() {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"redis-1:6379", "redis-2:6379"}})
	defer client.Close()
	s := redisstore.New(client, nil)
	fmt.Println(s.Ping(context.Background())) // asks every master
}

func ExampleNew_sentinel() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:    "mymaster",
		SentinelAddrs: []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"},
	})
	defer client.Close()
	s := redisstore.New(client, nil)
	fmt.Println(s.Ping(context.Background()))
}

// Concurrent calls share round trips.
func ExampleOptions() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	defer client.Close()
	pipeline, err := client.AutoPipeline()
	if err != nil {
		fmt.Println(err)
		return
	}
	s := redisstore.New(client, &redisstore.Options{AutoPipeline: pipeline})
	fmt.Println(s.Ping(context.Background()))
}

// Results are in memcached, which cannot tell of changes. The functions of all processes get
// both: memo.Store(results), memo.Bus(bus).
func ExampleNewBus() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	defer client.Close() // the bus does not
	bus := redisstore.NewBus(client, &redisstore.BusOptions{Channel: "shop"})

	fmt.Println(bus.Publish(context.Background(), []byte("a message")))
}
