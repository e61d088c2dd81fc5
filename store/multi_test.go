package store_test

import (
	"context"
	"testing"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// It was in a goroutine that nobody could recover it in, and ended the process.
func TestGetMultiOfAPlainStorePanicsAsItsGetDoes(t *testing.T) {
	p := &plain{Store: memstore.New(nil), fail: func(key string) error {
		if key == "b" {
			panic("no client")
		}
		return nil
	}}
	defer func() {
		if got, want := recover(), "no client"; got != want {
			t.Errorf("recovered %v, want %q", got, want)
		}
		if got, want := len(p.gets), 3; got != want {
			t.Errorf("%d keys were read, want all %d", got, want)
		}
	}()
	got, err := store.GetMulti(context.Background(), p, []string{"a", "b", "c"})
	t.Errorf("GetMulti = %v, %v, want a panic", got, err)
}
