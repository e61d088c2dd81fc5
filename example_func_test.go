package memo_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0226adef/memo"
)

// Call has the type of the function itself, and can be handed on in its place.
func ExampleFunc_Call() {
	greet := func(load func(context.Context, int) (User, error)) {
		u, err := load(context.Background(), 42)
		fmt.Println("Hello,", u.Name, err)
	}

	users := memo.New(loadUser)
	greet(users.Call)
	greet(users.Call)
	// Output:
	// loading user 42
	// Hello, Ann <nil>
	// Hello, Ann <nil>
}

// The cache is the same, the policy another one for these calls.
func ExampleFunc_With() {
	users := memo.New(loadUser, memo.TTL(time.Hour))
	strict := users.With(memo.TTL(0)) // accepts nothing that was loaded before

	ctx := context.Background()
	users.Call(ctx, 42)
	users.Call(ctx, 42)
	strict.Call(ctx, 42)
	// Output:
	// loading user 42
	// loading user 42
}

func ExampleFunc_Peek() {
	users := memo.New(loadUser)
	ctx := context.Background()

	_, err := users.Peek(ctx, 42)
	fmt.Println(errors.Is(err, memo.ErrMiss))

	users.Call(ctx, 42)
	held, err := users.Peek(ctx, 42)
	fmt.Println(held.Value.Name, err)
	// Output:
	// true
	// loading user 42
	// Ann <nil>
}

// Whoever writes the user knows the new one already.
func ExampleFunc_Set() {
	users := memo.New(loadUser)
	ctx := context.Background()

	if err := users.Set(ctx, 42, User{42, "Anna"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(users.Call(ctx, 42))
	// Output: {42 Anna} <nil>
}

func ExampleFunc_Refresh() {
	version := 0
	config := memo.New(func(context.Context, string) (int, error) {
		version++
		return version, nil
	}, memo.TTL(memo.Forever))

	ctx := context.Background()
	fmt.Println(config.Call(ctx, "app"))
	fmt.Println(config.Refresh(ctx, "app")) // on SIGHUP, say
	fmt.Println(config.Call(ctx, "app"))
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 2 <nil>
}

func ExampleFunc_Invalidate() {
	users := memo.New(loadUser)
	ctx := context.Background()
	users.Call(ctx, 42)

	// After "UPDATE users ... WHERE id IN (42, 43)":
	if err := users.Invalidate(ctx, 42, 43); err != nil {
		fmt.Println(err)
	}
	users.Call(ctx, 42)
	// Output:
	// loading user 42
	// loading user 42
}

// A price list that has changed is better shown a moment too long than waited for.
func ExampleFunc_Expire() {
	price := 7
	prices := memo.New(func(_ context.Context, sku string) (int, error) { return price, nil },
		memo.TTL(time.Hour), memo.StaleWhileRevalidate(time.Minute))

	ctx := context.Background()
	prices.Call(ctx, "cup")
	price = 8
	if err := prices.Expire(ctx, "cup"); err != nil {
		fmt.Println(err) // a store was not reached yet
	}
	e, _ := prices.Peek(ctx, "cup")
	fmt.Println(e.Value, e.Stale) // the next call returns it, and has it refreshed
	// Output: 7 true
}

func ExampleFunc_Clear() {
	users := memo.New(loadUser)
	ctx := context.Background()
	users.Call(ctx, 42)
	users.Call(ctx, 43)

	if err := users.Clear(ctx); err != nil {
		fmt.Println(err)
	}
	_, err := users.Peek(ctx, 42)
	fmt.Println(err)
	// Output:
	// loading user 42
	// loading user 43
	// memo: no usable result is held
}

func ExampleFunc_Key() {
	type query struct {
		Country string
		Page    int
	}
	cities := memo.New(func(_ context.Context, q query) ([]string, error) { return nil, nil },
		memo.Name("geo.cities"), memo.Prefix("atlas"), memo.Version("3"))

	fmt.Println(cities.Key(query{"NO", 1}))
	fmt.Println(cities.Key(query{"Côte d'Ivoire", 1})) // not printable ASCII
	// Output:
	// atlas:geo.cities:3:-:NO,1 <nil>
	// atlas:geo.cities:3:-:#9c341e1abe6b9fb298e28b37780c84c1a68256357fc810f8a9967be8330a7e58 <nil>
}

func ExampleFunc_Stats() {
	users := memo.New(loadUser)
	ctx := context.Background()
	for range 10 {
		users.Call(ctx, 42)
	}
	s := users.Stats()
	fmt.Println(s.Hits, s.Misses, s.Executions, s.Entries)
	// Output:
	// loading user 42
	// 9 1 1 1
}

func ExampleEntry() {
	users := memo.New(loadUser, memo.TTL(time.Hour), memo.Tags("users"))
	ctx := context.Background()
	users.Set(ctx, 42, User{42, "Ann"})

	held, err := users.Peek(ctx, 42)
	fmt.Println(held.Value, held.Stale, held.Tags, err)
	fmt.Println("fresh for", held.FreshUntil.Sub(held.Created))
	// Output:
	// {42 Ann} false [users] <nil>
	// fresh for 1h0m0s
}

// What is not held yet is no error of the function's.
func ExampleErrMiss() {
	users := memo.New(loadUser)

	_, err := users.Peek(context.Background(), 42)
	if errors.Is(err, memo.ErrMiss) {
		fmt.Println("not loaded yet")
	}
	// Output: not loaded yet
}
