package memo_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0226adef/memo"
)

// forecast stands for a slow service.
func forecast(_ context.Context, city string) (string, error) { return "rain in " + city, nil }

// A result that is old at once, to show what happens to old ones.
const blink = time.Nanosecond

func ExampleTTL() {
	weather := memo.New(forecast, memo.TTL(10*time.Minute))

	ctx := context.Background()
	weather.Call(ctx, "Bergen")
	held, _ := weather.Peek(ctx, "Bergen")
	fmt.Println(held.FreshUntil.Sub(held.Created))
	// Output: 10m0s
}

func ExampleForever() {
	digits := memo.New(func(_ context.Context, n int) (string, error) { return "3.14"[:n+1], nil }, memo.TTL(memo.Forever))

	ctx := context.Background()
	digits.Call(ctx, 2)
	held, _ := digits.Peek(ctx, 2)
	fmt.Println(held.Value, held.FreshUntil.IsZero())
	// Output: 3.1 true
}

// A thousand results that are stored together do not expire together.
func ExampleJitter() {
	weather := memo.New(forecast, memo.TTL(time.Minute), memo.Jitter(0.1))

	ctx := context.Background()
	weather.Call(ctx, "Bergen")
	held, _ := weather.Peek(ctx, "Bergen")
	ttl := held.FreshUntil.Sub(held.Created)
	fmt.Println(54*time.Second <= ttl && ttl <= time.Minute)
	// Output: true
}

func ExampleStaleWhileRevalidate() {
	refreshed := make(chan bool, 1)
	weather := memo.New(func(_ context.Context, city string) (string, error) {
		refreshed <- true
		return "sun", nil
	}, memo.TTL(blink), memo.StaleWhileRevalidate(time.Hour))

	ctx := context.Background()
	weather.Set(ctx, "Bergen", "rain")
	fmt.Println(weather.Call(ctx, "Bergen")) // the old result, at once
	fmt.Println(<-refreshed)                 // while the function runs in the background
	// Output:
	// rain <nil>
	// true
}

func ExampleStaleIfError() {
	errDown := errors.New("the service is down")
	weather := memo.New(func(_ context.Context, city string) (string, error) {
		return "", errDown
	}, memo.TTL(blink), memo.StaleIfError(time.Hour))

	ctx := context.Background()
	weather.Set(ctx, "Bergen", "rain")
	fmt.Println(weather.Call(ctx, "Bergen")) // better than nothing
	_, err := weather.Call(ctx, "Oslo")      // there is nothing
	fmt.Println(err)
	// Output:
	// rain <nil>
	// the service is down
}

// Callers see nothing of it: an execution in the background replaces what will
// expire soon, before anyone has to wait.
func ExampleEarlyRefresh() {
	weather := memo.New(forecast, memo.TTL(time.Minute), memo.EarlyRefresh(1))

	ctx := context.Background()
	fmt.Println(weather.Call(ctx, "Bergen"))
	fmt.Println(weather.Call(ctx, "Bergen"))
	// Output:
	// rain in Bergen <nil>
	// rain in Bergen <nil>
}

func ExampleSoftTimeout() {
	slow := make(chan string)
	weather := memo.New(func(_ context.Context, city string) (string, error) {
		return <-slow, nil
	}, memo.TTL(blink), memo.StaleIfError(time.Hour), memo.SoftTimeout(time.Millisecond))

	ctx := context.Background()
	weather.Set(ctx, "Bergen", "rain")
	fmt.Println(weather.Call(ctx, "Bergen")) // after a millisecond, the old result
	slow <- "sun"                            // the function goes on, and its result is kept
	// Output: rain <nil>
}

func ExampleLoadTimeout() {
	weather := memo.Wrap(func(ctx context.Context, city string) (string, error) {
		<-ctx.Done() // a service that never answers
		return "", ctx.Err()
	}, memo.LoadTimeout(time.Millisecond))

	_, err := weather(context.Background(), "Bergen")
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

// A page that is made from a forecast is no fresher than the forecast.
func ExampleInheritTTL() {
	weather := memo.New(forecast, memo.TTL(time.Minute))
	page := memo.New(func(ctx context.Context, city string) (string, error) {
		text, err := weather.Call(ctx, city)
		return "<p>" + text + "</p>", err
	}, memo.TTL(time.Hour), memo.InheritTTL(true))

	ctx := context.Background()
	fmt.Println(page.Call(ctx, "Bergen"))
	held, _ := page.Peek(ctx, "Bergen")
	fmt.Println(held.FreshUntil.Sub(held.Created) <= time.Minute)
	// Output:
	// <p>rain in Bergen</p> <nil>
	// true
}

// The service knows best how long its answer holds.
func ExampleSetTTL() {
	weather := memo.New(func(ctx context.Context, city string) (string, error) {
		maxAge := 3 * time.Minute // from the response
		memo.SetTTL(ctx, maxAge)
		return "rain", nil
	}, memo.TTL(time.Hour))

	ctx := context.Background()
	weather.Call(ctx, "Bergen")
	held, _ := weather.Peek(ctx, "Bergen")
	fmt.Println(held.FreshUntil.Sub(held.Created))
	// Output: 3m0s
}

// The context of a framework that uses it again for the next request: the refresh in
// the background is for the tenant of the request that caused it.
func ExampleContextFrom() {
	type tenantKey struct{}
	prices := memo.Wrap(func(ctx context.Context, sku string) (string, error) {
		return fmt.Sprint(sku, " for ", ctx.Value(tenantKey{})), nil
	}, memo.StaleWhileRevalidate(time.Minute), memo.ContextFrom(func(ctx context.Context) context.Context {
		return context.WithValue(context.Background(), tenantKey{}, ctx.Value(tenantKey{}))
	}))

	fmt.Println(prices(context.WithValue(context.Background(), tenantKey{}, "Ann"), "tea"))
	// Output: tea for Ann <nil>
}

func ExampleMaxAge() {
	calls := 0
	balance := memo.New(func(_ context.Context, account string) (int, error) {
		calls++
		return 100 * calls, nil
	}, memo.TTL(time.Minute))

	ctx := context.Background()
	balance.Call(ctx, "A-1")
	shown, _ := balance.Call(ctx, "A-1")                          // at most a minute old
	exact, _ := balance.With(memo.MaxAge(blink)).Call(ctx, "A-1") // before money is moved
	fmt.Println(shown, exact)
	// Output: 100 200
}

func ExampleWithMaxAge() {
	calls := 0
	balance := memo.New(func(_ context.Context, account string) (int, error) {
		calls++
		return 100 * calls, nil
	})
	page := func(ctx context.Context) int { // whatever it calls, and however deep
		b, _ := balance.Call(ctx, "A-1")
		return b
	}

	ctx := context.Background()
	fmt.Println(page(ctx), page(ctx), page(memo.WithMaxAge(ctx, 0)))
	// Output: 100 100 200
}
