package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

func ExampleNew() {
	ctx := context.Background()
	s := memstore.New(nil)

	token := store.NewToken()
	if err := s.Set(ctx, "users:42", append(token[:], "Ada"...), time.Minute); err != nil {
		fmt.Println(err)
	}
	value, err := s.Get(ctx, "users:42")
	fmt.Printf("%s %v\n", value[store.TokenSize:], err)
	// Output: Ada <nil>
}

func ExampleOptions() {
	ctx := context.Background()
	s := memstore.New(&memstore.Options{MaxEntries: 1000, MaxBytes: 32})

	err := s.Set(ctx, "k", make([]byte, 1<<10), 0)
	fmt.Println(err)
	fmt.Println(errors.Is(err, store.ErrRefused))
	// Output:
	// memo: store: refused: key and value are 1025 bytes, and the store holds 32 (memstore.Options.MaxBytes)
	// true
}

func ExampleStore_Len() {
	ctx := context.Background()
	s := memstore.New(&memstore.Options{MaxEntries: 2})
	for _, key := range []string{"a", "b", "c"} {
		if err := s.Set(ctx, key, []byte("0123456789abcdef"), 0); err != nil {
			fmt.Println(err)
		}
	}
	_, err := s.Get(ctx, "a")
	fmt.Println(s.Len(), err)
	// Output: 2 memo: store: no value under the key
}
