package memo_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A store that a fleet shares has its client from elsewhere; memstore serves
// tests.
func ExampleStore() {
	shared := memstore.New(nil)
	users := memo.New(loadUser, memo.Store(shared), memo.Prefix("shop"), memo.Name("users.byID"))

	key, err := users.Key(42)
	parts := strings.Split(key, ":") // prefix, name, version, epoch and argument
	fmt.Println(parts[0], parts[1], parts[4], err)
	// Output: shop users.byID 42 <nil>
}

// Handlers that are made again for each request memoize the same function under the
// same name, and say so.
func ExampleSharedName() {
	shared := memstore.New(nil)
	handler := func() func(context.Context, int) (User, error) {
		return memo.Wrap(loadUser, memo.Store(shared), memo.Name("users.byID"), memo.SharedName())
	}

	fmt.Println(handler()(context.Background(), 42))
	fmt.Println(handler()(context.Background(), 42))
	// Output:
	// loading user 42
	// {42 Ann} <nil>
	// {42 Ann} <nil>
}

// What is stored says how it was written, so a program can change its codec
// while others still have the old one.
func ExampleCodec() {
	shared := memstore.New(nil)
	users := memo.New(loadUser, memo.Store(shared), memo.Name("users.byID"), memo.Codec(codec.MsgPack))

	fmt.Println(users.Call(context.Background(), 42))
	// Output:
	// loading user 42
	// {42 Ann} <nil>
}

// Rights that were taken away must not linger in a process: calls ask the store
// each time.
func ExampleLocalTTL() {
	shared := memstore.New(nil)
	rights := memo.New(func(_ context.Context, user int) ([]string, error) {
		return []string{"read"}, nil
	}, memo.Store(shared), memo.Name("rights"), memo.LocalTTL(0))

	fmt.Println(rights.Call(context.Background(), 42))
	// Output: [read] <nil>
}

// What processes tell each other goes over Redis, NATS, or whatever carries messages: see
// redisstore.NewBus. This one stays in the process, as one of a test does.
func ExampleBus() {
	memcached := memstore.New(nil) // in a fleet
	price := memo.New(func(_ context.Context, sku string) (int, error) {
		return 100 * len(sku), nil
	}, memo.Name("price"), memo.Store(memcached), memo.Bus(new(inMemory)))

	fmt.Println(price.Call(context.Background(), "tea"))
	fmt.Println(price.Invalidate(context.Background(), "tea")) // other processes drop their copies now
	// Output:
	// 300 <nil>
	// <nil>
}

// inMemory is a bus of one process.
type inMemory struct {
	mu        sync.Mutex
	receivers []func([]byte)
}

func (b *inMemory) Publish(_ context.Context, message []byte) error {
	b.mu.Lock()
	receivers := b.receivers
	b.mu.Unlock()
	for _, receive := range receivers {
		receive(message)
	}
	return nil
}

func (b *inMemory) Subscribe(ctx context.Context, receive func([]byte)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receivers = append(b.receivers, func(message []byte) {
		if ctx.Err() == nil {
			receive(message)
		}
	})
	return ctx.Err()
}

func ExampleStoreTimeout() {
	var shared store.Store = memstore.New(nil) // one of Redis, in a fleet
	price := memo.Wrap(func(_ context.Context, sku string) (int, error) {
		return 100 * len(sku), nil
	}, memo.Name("price"), memo.Store(shared), memo.StoreTimeout(50*time.Millisecond))

	fmt.Println(price(context.Background(), "tea"))
	// Output: 300 <nil>
}
