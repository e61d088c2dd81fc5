package memo_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"time"

	"github.com/seed-0226adef/memo"
)

type User struct {
	ID   int
	Name string
}

// loadUser stands for a query of a database, and says when it is run.
func loadUser(_ context.Context, id int) (User, error) {
	fmt.Println("loading user", id)
	return User{id, "Ann"}, nil
}

// A function becomes a function of the same type. The compiler finds out the
// types: there is nothing to write in brackets.
func ExampleWrap() {
	userByID := memo.Wrap(loadUser) // a func(context.Context, int) (User, error)

	ctx := context.Background()
	fmt.Println(userByID(ctx, 42))
	fmt.Println(userByID(ctx, 42))
	fmt.Println(userByID(ctx, 43))
	// Output:
	// loading user 42
	// {42 Ann} <nil>
	// {42 Ann} <nil>
	// loading user 43
	// {43 Ann} <nil>
}

func ExampleWrap0() {
	rates := memo.Wrap0(func(context.Context) (map[string]float64, error) {
		fmt.Println("asking the bank")
		return map[string]float64{"NOK": 11.7}, nil
	}, memo.TTL(time.Hour))

	ctx := context.Background()
	fmt.Println(rates(ctx))
	fmt.Println(rates(ctx))
	// Output:
	// asking the bank
	// map[NOK:11.7] <nil>
	// map[NOK:11.7] <nil>
}

func ExampleWrap2() {
	seats := memo.Wrap2(func(_ context.Context, train string, day time.Time) (int, error) {
		fmt.Println("counting seats of", train)
		return 30, nil
	})

	ctx := context.Background()
	monday := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	fmt.Println(seats(ctx, "R20", monday))
	fmt.Println(seats(ctx, "R20", monday))
	fmt.Println(seats(ctx, "R21", monday))
	// Output:
	// counting seats of R20
	// 30 <nil>
	// 30 <nil>
	// counting seats of R21
	// 30 <nil>
}

func ExampleWrap3() {
	route := memo.Wrap3(func(_ context.Context, from, to string, avoid []string) (string, error) {
		fmt.Println("planning, avoiding", avoid)
		return from + " - " + to, nil
	})

	ctx := context.Background()
	fmt.Println(route(ctx, "Oslo", "Bergen", []string{"toll", "ferry"}))
	fmt.Println(route(ctx, "Oslo", "Bergen", []string{"toll", "ferry"})) // another slice, the same elements
	fmt.Println(route(ctx, "Oslo", "Bergen", nil))
	// Output:
	// planning, avoiding [toll ferry]
	// Oslo - Bergen <nil>
	// Oslo - Bergen <nil>
	// planning, avoiding []
	// Oslo - Bergen <nil>
}

func ExamplePure() {
	factorial := memo.Pure(func(n int64) *big.Int {
		fmt.Println("multiplying")
		return new(big.Int).MulRange(1, n)
	}, memo.TTL(memo.Forever))

	fmt.Println(factorial(20))
	fmt.Println(factorial(20))
	// Output:
	// multiplying
	// 2432902008176640000
	// 2432902008176640000
}

func ExampleNew() {
	users := memo.New(loadUser, memo.TTL(5*time.Minute), memo.Local(1000))

	ctx := context.Background()
	fmt.Println(users.Call(ctx, 42))
	fmt.Println(users.Invalidate(ctx, 42)) // the user has changed
	fmt.Println(users.Call(ctx, 42))
	// Output:
	// loading user 42
	// {42 Ann} <nil>
	// <nil>
	// loading user 42
	// {42 Ann} <nil>
}

// A team names its policies once.
func ExampleOptions() {
	catalogue := memo.Options{
		memo.TTL(time.Hour),
		memo.StaleIfError(24 * time.Hour),
	}

	ctx := context.Background()
	products := memo.New(func(_ context.Context, id int) (string, error) { return "lamp", nil }, catalogue)
	prices := memo.New(func(_ context.Context, id int) (int, error) { return 799, nil }, catalogue, memo.TTL(time.Minute))
	for _, set := range []error{products.Set(ctx, 1, "lamp"), prices.Set(ctx, 1, 799)} {
		fmt.Println(set)
	}

	product, _ := products.Peek(ctx, 1)
	price, _ := prices.Peek(ctx, 1)
	fmt.Println(product.FreshUntil.Sub(product.Created), price.FreshUntil.Sub(price.Created))
	// Output:
	// <nil>
	// <nil>
	// 1h0m0s 1m0s
}

func ExampleSetDefault() {
	// A package-level variable is made before main runs, and still sees what
	// main sets: the defaults are read at a function's first call.
	users := memo.New(loadUser)

	memo.SetDefault(memo.TTL(10 * time.Minute))
	defer memo.SetDefault() // memo's own defaults again

	ctx := context.Background()
	users.Call(ctx, 42)
	held, _ := users.Peek(ctx, 42)
	fmt.Println(held.FreshUntil.Sub(held.Created))
	// Output:
	// loading user 42
	// 10m0s
}

func ExamplePanicError() {
	parse := memo.Wrap(func(_ context.Context, s string) (int, error) {
		panic("not a number: " + s)
	})

	defer func() {
		var p *memo.PanicError
		if err, ok := recover().(error); ok && errors.As(err, &p) {
			fmt.Println(p.Value)
			fmt.Println("has the stack of fn:", len(p.Stack) > 0)
		}
	}()
	parse(context.Background(), "x")
	// Output:
	// not a number: x
	// has the stack of fn: true
}

// What fn panicked with is found by errors.Is, if it is an error.
func ExamplePanicError_Unwrap() {
	errBroken := errors.New("broken invariant")
	check := memo.Wrap(func(context.Context, int) (bool, error) { panic(errBroken) })

	defer func() {
		err, _ := recover().(error)
		fmt.Println(errors.Is(err, errBroken))
	}()
	check(context.Background(), 1)
	// Output: true
}

// A folder that contains itself has no size. Waiting for it would never end.
func ExampleErrRecursive() {
	parent := map[string]string{"a": "b", "b": "a"}
	var depth func(context.Context, string) (int, error)
	depth = memo.Wrap(func(ctx context.Context, folder string) (int, error) {
		n, err := depth(ctx, parent[folder])
		return n + 1, err
	})

	_, err := depth(context.Background(), "a")
	fmt.Println(errors.Is(err, memo.ErrRecursive))
	fmt.Println(err)
	// Output:
	// true
	// memo: fn waits for its own result
}

// A test's FailNow is a Goexit too. It ends the goroutine of the execution, and
// not that of the caller.
func ExampleErrGoexit() {
	load := memo.Wrap(func(context.Context, int) (string, error) {
		runtime.Goexit()
		return "never", nil
	})

	_, err := load(context.Background(), 1)
	fmt.Println(errors.Is(err, memo.ErrGoexit))
	// Output: true
}
