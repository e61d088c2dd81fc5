package memo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-0226adef/memo"
)

func ExampleCacheErrors() {
	errNotFound := errors.New("not found")
	lookUp := memo.Wrap(func(_ context.Context, host string) (string, error) {
		fmt.Println("asking for", host)
		return "", errNotFound
	}, memo.CacheErrors(5*time.Second, func(err error) bool { return errors.Is(err, errNotFound) }))

	ctx := context.Background()
	for range 2 {
		_, err := lookUp(ctx, "example.invalid")
		fmt.Println(err)
	}
	// Output:
	// asking for example.invalid
	// not found
	// not found
}

// An empty answer may be about to change.
func ExampleCacheIf() {
	search := memo.Wrap(func(_ context.Context, q string) ([]string, error) {
		fmt.Println("searching", q)
		return nil, nil
	}, memo.CacheIf(func(found []string, err error) bool { return err == nil && len(found) > 0 }))

	ctx := context.Background()
	search(ctx, "gopher")
	search(ctx, "gopher")
	// Output:
	// searching gopher
	// searching gopher
}

// Callers that sort the result in place do so with a copy of their own.
func ExampleClone() {
	scores := memo.Wrap(func(context.Context, string) ([]int, error) {
		return []int{3, 1, 2}, nil
	}, memo.Clone(slices.Clone[[]int]))

	ctx := context.Background()
	mine, _ := scores(ctx, "ann")
	slices.Sort(mine)
	fmt.Println(mine)
	fmt.Println(scores(ctx, "ann"))
	// Output:
	// [1 2 3]
	// [3 1 2] <nil>
}

// One request looks at the source, through all functions, and leaves what is held as it is.
func ExampleWithBypass() {
	users := memo.New(loadUser)
	greeting := memo.New(func(ctx context.Context, id int) (string, error) {
		user, err := users.Call(ctx, id)
		return "Hello, " + user.Name, err
	})
	ctx := context.Background()
	greeting.Call(ctx, 42)
	greeting.Call(memo.WithBypass(ctx), 42)
	greeting.Call(ctx, 42)
	// Output:
	// loading user 42
	// loading user 42
}

// A switch for the day on which the cache is under suspicion.
func ExampleDisabled() {
	off := true // from a flag
	users := memo.New(loadUser, memo.Disabled(off))

	ctx := context.Background()
	users.Call(ctx, 42)
	users.Call(ctx, 42)
	// Output:
	// loading user 42
	// loading user 42
}

// A search that has run out of time answers with what it has, for once.
func ExampleNoStore() {
	search := memo.New(func(ctx context.Context, q string) ([]string, error) {
		complete := false
		if !complete {
			memo.NoStore(ctx)
		}
		return []string{"the first page"}, nil
	})

	ctx := context.Background()
	fmt.Println(search.Call(ctx, "gopher"))
	_, err := search.Peek(ctx, "gopher")
	fmt.Println(err)
	// Output:
	// [the first page] <nil>
	// memo: no usable result is held
}

func ExampleLocal() {
	users := memo.New(loadUser, memo.Local(2))
	ctx := context.Background()
	for id := range 1000 {
		users.Set(ctx, id, User{ID: id})
	}
	fmt.Println(users.Stats().Entries)
	// Output: 2
}

func ExampleLocalBytes() {
	images := memo.New(func(_ context.Context, file string) ([]byte, error) {
		return make([]byte, 400<<10), nil
	}, memo.LocalBytes(1<<20))

	ctx := context.Background()
	for i := range 10 {
		images.Call(ctx, fmt.Sprint(i, ".png"))
	}
	s := images.Stats()
	fmt.Println(s.Bytes <= 1<<20, s.Entries)
	// Output: true 2
}

// Nothing is held, but calls at the same time share one execution.
func ExampleNoLocal() {
	users := memo.New(loadUser, memo.NoLocal())
	ctx := context.Background()
	users.Call(ctx, 42)
	_, err := users.Peek(ctx, 42)
	fmt.Println(err)
	// Output:
	// loading user 42
	// memo: no usable result is held
}
