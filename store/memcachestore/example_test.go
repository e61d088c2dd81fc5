package memcachestore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memcachestore"
)

func ExampleNew() {
	client := memcache.New("localhost:11211")
	client.Timeout = 100 * time.Millisecond // what a server that hangs may cost
	client.MaxIdleConns = 16                // about as many as there are calls at a time
	defer client.Close()                    // the store does not
	s := memcachestore.New(client, nil)

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

// With several servers, what could be read is there to use beside the error.
func ExampleNew_servers() {
	client := memcache.New("cache-1:11211", "cache-2:11211", "cache-3:11211")
	defer client.Close()
	s := memcachestore.New(client, nil)

	found, err := store.GetMulti(context.Background(), s, []string{"users:1", "users:2", "users:3"})
	if err != nil {
		fmt.Println(err)
	}
	for key, value := range found {
		fmt.Printf("%s %s\n", key, value[store.TokenSize:])
	}
}

// The servers were started with -I 8m.
func ExampleOptions() {
	client := memcache.New("localhost:11211")
	defer client.Close()
	s := memcachestore.New(client, &memcachestore.Options{MaxValue: 8<<20 - memcachestore.ItemOverhead})

	err := s.Set(context.Background(), "k", make([]byte, 8<<20), 0)
	fmt.Println(err)
	fmt.Println(errors.Is(err, store.ErrRefused))
	// Output:
	// memo: store: refused: the value is 8388608 bytes, and the server takes 8388096 (memcachestore.Options.MaxValue)
	// true
}
