package store_test

import (
	"context"
	"testing"

	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// It was in a goroutine that nobody could recover it in, and ended the process.
func TestGetMultiOfAPlainStorePanicsAsItsGetDoes(t *testing.T) {
	var asked faultstore.Log
	p := faultstore.New(memstore.New(nil), asked.Note, faultstore.Keys("b", faultstore.Panic("no client"))).Bare()
	defer func() {
		if got, want := recover(), "no client"; got != want {
			t.Errorf("recovered %v, want %q", got, want)
		}
		if got, want := len(asked.Keys()), 3; got != want {
			t.Errorf("%d keys were read, want all %d", got, want)
		}
	}()
	got, err := store.GetMulti(context.Background(), p, []string{"a", "b", "c"})
	t.Errorf("GetMulti = %v, %v, want a panic", got, err)
}
