package storeclient

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

func TestStoreIsNotAskedForThoseWhoHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked faultstore.Log
		gate := faultstore.NewGate()
		c := New(faultstore.New(memstore.New(nil), asked.Note, gate.Wait))
		var wg sync.WaitGroup
		read := func(ctx context.Context, limit time.Duration, key string) {
			wg.Go(func() { c.Get(ctx, DeadlineIn(limit), []string{key}) })
			synctest.Wait()
		}
		for range c.readers {
			read(t.Context(), 0, "first")
		}
		ctx, hangUp := context.WithCancel(t.Context())
		read(ctx, 0, "hung up")
		read(t.Context(), time.Second, "too slow")
		read(t.Context(), 0, "patient")
		hangUp()
		time.Sleep(2 * time.Second)
		gate.Open()
		wg.Wait()
		synctest.Wait()
		if got, want := slices.Compact(asked.Keys()), []string{"first", "patient"}; !slices.Equal(got, want) {
			t.Errorf("the store was asked for %q, want %q", got, want)
		}
	})
}
