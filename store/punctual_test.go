package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A late store has the methods of a punctual one, and one of its own that is not.
type late struct{ *memstore.Store }

func (late) Get(context.Context, string) ([]byte, error) { select {} }

// sure is a punctual store that is no pointer and cannot be compared.
type sure struct {
	store.Store
	_ []string // cannot be compared
}

func (s sure) Punctual() store.Store { return s }

func TestOnlyAStoreThatSaysSoOfItselfIsPunctual(t *testing.T) {
	s := memstore.New(nil)
	for name, c := range map[string]struct {
		store store.Store
		want  bool
	}{
		"one of ours":                            {s, true},
		"plain":                                  {faultstore.New(s), false},
		"embeds a punctual one":                  {late{s}, false},
		"embeds one, by pointer":                 {&late{s}, false},
		"embeds one, by its interface":           {struct{ store.Punctual }{s}, false},
		"a value":                                {sure{Store: s}, false}, // no two can be told to be the same
		"embeds one that cannot be compared":     {struct{ sure }{sure{Store: s}}, false},
		"embeds an interface with nothing in it": {struct{ store.Store }{}, false},
	} {
		if got := store.IsPunctual(c.store); got != c.want {
			t.Errorf("%s: IsPunctual = %t, want %t", name, got, c.want)
		}
	}
}

func ExampleIsPunctual() {
	s := memstore.New(nil)
	fmt.Println(store.IsPunctual(s))
	fmt.Println(store.IsPunctual(late{s})) // whoever wraps a store has to say so again
	// Output:
	// true
	// false
}

// A quick store answers from memory, or not at all.
type quick struct{ store.Store }

func (q *quick) Get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, store.ErrNotFound
}

func (q *quick) Punctual() store.Store { return q }

func ExamplePunctual() {
	var s store.Punctual = &quick{memstore.New(nil)}
	_, err := s.Get(context.Background(), "k")
	fmt.Println(store.IsPunctual(s), errors.Is(err, store.ErrNotFound))
	// Output: true true
}
