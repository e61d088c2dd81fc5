package memo_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0226adef/memo"
)

// namesOf stands for a query such as SELECT id, name FROM users WHERE id IN (...).
func namesOf(_ context.Context, ids []int) (map[int]string, error) {
	fmt.Println("reading", len(ids))
	all := map[int]string{1: "ann", 2: "bob", 3: "eve"}
	found := map[int]string{}
	for _, id := range ids {
		if name, ok := all[id]; ok {
			found[id] = name
		}
	}
	return found, nil
}

func ExampleNewBatch() {
	names := memo.NewBatch(namesOf)

	fmt.Println(names.Call(context.Background(), []int{1, 2}))
	fmt.Println(names.Call(context.Background(), []int{3, 2, 1})) // only 3 is not held
	// Output:
	// reading 2
	// map[1:ann 2:bob] <nil>
	// reading 1
	// map[1:ann 2:bob 3:eve] <nil>
}

func ExampleBatch() {
	names := memo.NewBatch(namesOf, memo.TTL(time.Hour))

	found, err := names.Call(context.Background(), []int{1, 4})
	fmt.Println(found, err) // there is no 4
	fmt.Println(names.Stats().Misses)
	// Output:
	// reading 2
	// map[1:ann] <nil>
	// 2
}

func ExampleBatch_Call() {
	names := memo.NewBatch(func(context.Context, []int) (map[int]string, error) {
		return map[int]string{1: "ann"}, errors.New("one of two databases is down")
	})

	found, err := names.Call(context.Background(), []int{1, 2})
	fmt.Println(found, err)
	// Output: map[1:ann] one of two databases is down
}

func ExampleBatch_With() {
	names := memo.NewBatch(namesOf)
	names.Call(context.Background(), []int{1})

	names.With(memo.Disabled(true)).Call(context.Background(), []int{1})
	// Output:
	// reading 1
	// reading 1
}

func ExampleBatch_Peek() {
	names := memo.NewBatch(namesOf)

	_, err := names.Peek(context.Background(), 1)
	fmt.Println(errors.Is(err, memo.ErrMiss))
	// Output: true
}

func ExampleBatch_Set() {
	names := memo.NewBatch(namesOf)
	names.Set(context.Background(), 1, "anne")

	fmt.Println(names.Call(context.Background(), []int{1}))
	// Output: map[1:anne] <nil>
}

func ExampleBatch_Invalidate() {
	names := memo.NewBatch(namesOf)
	names.Call(context.Background(), []int{1, 2})

	names.Invalidate(context.Background(), 2)
	names.Call(context.Background(), []int{1, 2})
	// Output:
	// reading 2
	// reading 1
}

func ExampleBatch_Expire() {
	names := memo.NewBatch(namesOf, memo.StaleIfError(time.Hour))
	names.Call(context.Background(), []int{1, 2})

	names.Expire(context.Background(), 2)
	e, _ := names.Peek(context.Background(), 2)
	fmt.Println(e.Stale) // it is returned if reading it again fails
	// Output:
	// reading 2
	// true
}

func ExampleBatch_Clear() {
	names := memo.NewBatch(namesOf)
	names.Call(context.Background(), []int{1, 2})

	names.Clear(context.Background())
	names.Call(context.Background(), []int{1, 2})
	// Output:
	// reading 2
	// reading 2
}

func ExampleBatch_Stats() {
	names := memo.NewBatch(namesOf)
	names.Call(context.Background(), []int{1, 2})

	s := names.Stats()
	fmt.Println(s.Misses, "keys,", s.Executions, "execution")
	// Output:
	// reading 2
	// 2 keys, 1 execution
}

func ExampleBatch_Key() {
	names := memo.NewBatch(namesOf, memo.Name("names"), memo.Version("1"))

	fmt.Println(names.Key(42))
	// Output: :names:1:-:42 <nil>
}

func ExampleMaxBatch() {
	names := memo.NewBatch(namesOf, memo.MaxBatch(100)) // what the database takes

	fmt.Println(names.Call(context.Background(), []int{1, 2}))
	// Output:
	// reading 2
	// map[1:ann 2:bob] <nil>
}

func ExampleCacheMissing() {
	names := memo.NewBatch(namesOf, memo.CacheMissing(time.Minute))

	names.Call(context.Background(), []int{4}) // there is no 4
	names.Call(context.Background(), []int{4})
	// Output: reading 1
}
