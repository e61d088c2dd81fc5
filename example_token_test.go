package memo_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/store/memstore"
)

// newNames makes a function that several processes share.
func newNames() *memo.Func[int, string] {
	return memo.New(func(_ context.Context, id int) (string, error) { return "Ann", nil },
		memo.Name("names"), memo.Store(memstore.New(nil)))
}

// The client of one process takes the token to another one.
func ExampleWithToken() {
	names := newNames()
	ctx := context.Background()

	// In the process that changes the name:
	token, err := names.InvalidateToken(ctx, 42)

	// In the one that is asked for it next:
	name, _ := names.Call(memo.WithToken(ctx, token), 42)
	fmt.Println(name, err)
	// Output: Ann <nil>
}

func ExampleJoinTokens() {
	names := newNames()
	ctx := context.Background()
	one, _ := names.InvalidateToken(ctx, 1)
	two, _ := names.InvalidateToken(ctx, 2)
	fmt.Println(len(memo.JoinTokens(one, two)), "bytes")
	fmt.Println(memo.JoinTokens("", one) == one)
	// Output:
	// 22 bytes
	// true
}

// What is invalidated anywhere under a request gives its client a token.
func ExampleCollectToken() {
	names := newNames()
	rename := func(w http.ResponseWriter, r *http.Request) {
		ctx, token := memo.CollectToken(r.Context())
		names.Invalidate(ctx, 42) // perhaps many functions further down
		w.Header().Set("X-Memo-Token", token())
	}
	_ = rename
}

func ExampleFunc_InvalidateToken() {
	names := newNames()
	token, err := names.InvalidateToken(context.Background(), 42)
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleFunc_ExpireToken() {
	names := newNames()
	token, err := names.ExpireToken(context.Background(), 42)
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleFunc_SetToken() {
	names := newNames()
	token, err := names.SetToken(context.Background(), 42, "Anna")
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleFunc_ClearToken() {
	names := newNames()
	token, err := names.ClearToken(context.Background())
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

// newBatch makes a batch that several processes share.
func newBatch() *memo.Batch[int, string] {
	return memo.NewBatch(func(_ context.Context, ids []int) (map[int]string, error) { return nil, nil },
		memo.Name("names"), memo.Store(memstore.New(nil)))
}

func ExampleBatch_InvalidateToken() {
	token, err := newBatch().InvalidateToken(context.Background(), 1, 2)
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleBatch_ExpireToken() {
	token, err := newBatch().ExpireToken(context.Background(), 1, 2)
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleBatch_SetToken() {
	token, err := newBatch().SetToken(context.Background(), 1, "Ann")
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleBatch_ClearToken() {
	token, err := newBatch().ClearToken(context.Background())
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleGroup_InvalidateTagsToken() {
	shop := memo.NewGroup("shop", memo.Store(memstore.New(nil)))
	token, err := shop.InvalidateTagsToken(context.Background(), "product:7")
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleGroup_ExpireTagsToken() {
	shop := memo.NewGroup("shop", memo.Store(memstore.New(nil)))
	token, err := shop.ExpireTagsToken(context.Background(), "product:7")
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleGroup_ClearToken() {
	shop := memo.NewGroup("shop", memo.Store(memstore.New(nil)))
	token, err := shop.ClearToken(context.Background())
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}

func ExampleGroup_ExpireToken() {
	shop := memo.NewGroup("shop", memo.Store(memstore.New(nil)))
	token, err := shop.ExpireToken(context.Background())
	fmt.Println(len(token), err)
	// Output: 22 <nil>
}
