package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed-0226adef/memo"
)

func ExampleNewGroup() {
	shop := memo.NewGroup("shop", memo.TTL(time.Hour))

	products := memo.New(func(_ context.Context, id int) (string, error) { return "lamp", nil }, shop)
	prices := memo.New(func(_ context.Context, id int) (int, error) { return 799, nil }, shop, memo.TTL(time.Minute))

	ctx := context.Background()
	products.Call(ctx, 1)
	prices.Call(ctx, 1)
	product, _ := products.Peek(ctx, 1)
	price, _ := prices.Peek(ctx, 1)
	fmt.Println(product.FreshUntil.Sub(product.Created)) // the group's
	fmt.Println(price.FreshUntil.Sub(price.Created))     // its own
	// Output:
	// 1h0m0s
	// 1m0s
}

func ExampleGroup_InvalidateTags() {
	shop := memo.NewGroup("shop")
	product := memo.New(func(ctx context.Context, id int) (string, error) {
		memo.AddTags(ctx, fmt.Sprint("product:", id))
		return "lamp", nil
	}, shop)
	page := memo.New(func(ctx context.Context, id int) (string, error) {
		name, err := product.Call(ctx, id)
		return "<h1>" + name + "</h1>", err // has the tags of what it was made from
	}, shop)

	ctx := context.Background()
	fmt.Println(page.Call(ctx, 7))
	fmt.Println(shop.InvalidateTags(ctx, "product:7"))

	_, err := page.Peek(ctx, 7)
	fmt.Println(errors.Is(err, memo.ErrMiss))
	// Output:
	// <h1>lamp</h1> <nil>
	// <nil>
	// true
}

func ExampleGroup_ExpireTags() {
	shop := memo.NewGroup("shop", memo.StaleIfError(time.Hour))
	works := true
	product := memo.New(func(ctx context.Context, id int) (string, error) {
		if !works {
			return "", errors.New("the database is down")
		}
		memo.AddTags(ctx, fmt.Sprint("product:", id))
		return "lamp", nil
	}, shop)

	ctx := context.Background()
	product.Call(ctx, 7)
	works = false
	fmt.Println(shop.ExpireTags(ctx, "product:7"))
	fmt.Println(product.Call(ctx, 7)) // fn is run, and fails
	// Output:
	// <nil>
	// lamp <nil>
}

func ExampleGroup_Expire() {
	shop := memo.NewGroup("shop", memo.StaleWhileRevalidate(time.Minute))
	product := memo.New(func(ctx context.Context, id int) (string, error) { return "lamp", nil }, shop)

	ctx := context.Background()
	product.Call(ctx, 7)
	fmt.Println(shop.Expire(ctx))
	e, _ := product.Peek(ctx, 7)
	fmt.Println(e.Value, e.Stale)
	// Output:
	// <nil>
	// lamp true
}

// A change in the database concerns whatever was made from it, in whatever group.
func ExampleInvalidateTags() {
	product := func(ctx context.Context, id int) (string, error) {
		memo.AddTags(ctx, fmt.Sprint("product:", id))
		return "lamp", nil
	}
	page := memo.New(product, memo.NewGroup("pages"))
	feed := memo.New(product, memo.NewGroup("feeds"))

	ctx := context.Background()
	page.Call(ctx, 7)
	feed.Call(ctx, 7)
	if err := memo.InvalidateTags(ctx, "product:7"); err != nil {
		log.Println(err) // a store was not reached yet
	}

	_, noPage := page.Peek(ctx, 7)
	_, noFeed := feed.Peek(ctx, 7)
	fmt.Println(noPage)
	fmt.Println(noFeed)
	// Output:
	// memo: no usable result is held
	// memo: no usable result is held
}

func ExampleGroup_Clear() {
	tenant := memo.NewGroup("tenant acme")
	users := memo.New(loadUser, tenant)
	teams := memo.New(func(_ context.Context, id int) (string, error) { return "sales", nil }, tenant)

	ctx := context.Background()
	users.Set(ctx, 42, User{42, "Ann"})
	teams.Set(ctx, 7, "sales")
	fmt.Println(tenant.Clear(ctx))

	_, noUser := users.Peek(ctx, 42)
	_, noTeam := teams.Peek(ctx, 7)
	fmt.Println(noUser)
	fmt.Println(noTeam)
	// Output:
	// <nil>
	// memo: no usable result is held
	// memo: no usable result is held
}

func ExampleGroup_Stats() {
	tenant := memo.NewGroup("tenant acme")
	users := memo.New(loadUser, tenant)
	teams := memo.New(func(_ context.Context, id int) (string, error) { return "sales", nil }, tenant)

	ctx := context.Background()
	users.Call(ctx, 42)
	teams.Call(ctx, 7)
	teams.Call(ctx, 7)
	s := tenant.Stats()
	fmt.Println("hits:", s.Hits, "misses:", s.Misses)
	// Output:
	// loading user 42
	// hits: 1 misses: 2
}

// Tags that every result of a function has.
func ExampleTags() {
	shop := memo.NewGroup("shop")
	prices := memo.New(func(_ context.Context, id int) (int, error) {
		fmt.Println("calculating", id)
		return 799, nil
	}, shop, memo.Tags("prices"))

	ctx := context.Background()
	prices.Call(ctx, 1)
	fmt.Println(shop.InvalidateTags(ctx, "prices")) // the VAT has changed
	prices.Call(ctx, 1)
	// Output:
	// calculating 1
	// <nil>
	// calculating 1
}

// Tags that are known when the result is.
func ExampleAddTags() {
	shop := memo.NewGroup("shop")
	product := memo.New(func(ctx context.Context, id int) (string, error) {
		memo.AddTags(ctx, "brand:acme", fmt.Sprint("product:", id))
		return "lamp", nil
	}, shop)

	ctx := context.Background()
	product.Call(ctx, 7)
	held, err := product.Peek(ctx, 7)
	fmt.Println(held.Tags, err)
	// Output: [brand:acme product:7] <nil>
}

// A list of links need not be made again when a linked page changes.
func ExampleDetached() {
	site := memo.NewGroup("site")
	page := memo.New(func(ctx context.Context, path string) (string, error) {
		memo.AddTags(ctx, "page:"+path)
		return "About us", nil
	}, site)
	menu := memo.New(func(ctx context.Context, lang string) (string, error) {
		return page.Call(memo.Detached(ctx), "/about")
	}, site)

	ctx := context.Background()
	menu.Call(ctx, "en")
	held, err := menu.Peek(ctx, "en")
	fmt.Println(held.Value, held.Tags, err)
	// Output: About us [] <nil>
}

func ExampleDrain() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// server.Shutdown(ctx)
	if err := memo.Drain(ctx); err != nil {
		fmt.Println(err) // what is left
	}
}
