package memonats_test

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/seed-0226adef/memo"
	memonats "github.com/seed-0226adef/memo/contrib/nats"
	"github.com/seed-0226adef/memo/store/memstore"
)

// The store is one that a fleet shares and that cannot notify, such as memcached.
func Example() {
	conn, err := nats.Connect("nats://localhost:4222", nats.MaxReconnects(-1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	shared := memstore.New(nil)
	price := memo.New(func(_ context.Context, sku string) (int, error) { return 100 * len(sku), nil },
		memo.Name("price"), memo.Store(shared), memo.Bus(memonats.NewBus(conn, nil)))

	fmt.Println(price.Call(context.Background(), "tea"))
}
