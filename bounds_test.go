package memo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

func TestDebtsOfAnOutageAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := faultstore.New(memstore.New(nil), faultstore.Fail(errors.New("dead"))).Bare()
		f := New(func(context.Context, int) (int, error) { return 1, nil }, Store(dead), Name("f"),
			Logger(slog.New(slog.DiscardHandler)))
		keys := make([]int, maxDebts+100)
		for i := range keys {
			keys[i] = i
		}
		if err := f.Invalidate(t.Context(), keys...); err == nil {
			t.Error("Invalidate did not say that it could not reach the store")
		}
		r := f.core.shared.realm
		r.mu.Lock()
		if got := len(r.debts); got > maxDebts {
			t.Errorf("%d debts are remembered, want at most %d", got, maxDebts)
		}
		clear(r.debts) // which ends the attempts to pay them
		r.mu.Unlock()
		time.Sleep(time.Minute)
	})
}

// Tags that are invalidated, here or elsewhere, can be as many as a store has, and
// no function need ever ask for them.
func TestEpochsRememberedAreBounded(t *testing.T) {
	newKey := func(i int) string { return fmt.Sprint(":tag:", i) }
	for name, note := range map[string]func(r *realm, key string){
		"read":     func(r *realm, key string) { r.noteEpoch(key, reading{at: clock.Now(), order: r.order}) },
		"written":  func(r *realm, key string) { r.wrote(key, reading{at: clock.Now(), order: r.nextOrder()}) },
		"reported": func(r *realm, key string) { r.forgetEpoch(key) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRealm(storeclient.New(memstore.New(nil)), "")
			r.readings["owed"] = reading{at: clock.Forever}
			for i := range maxReadings + 100 {
				note(r, newKey(i))
			}
			if got := len(r.readings); got > maxReadings {
				t.Errorf("%d epochs are remembered, want at most %d", got, maxReadings)
			}
			if r.readings["owed"].at != clock.Forever {
				t.Error("what the store still has to be told was forgotten, too")
			}
		})
	}
}

func TestFailuresRememberedAreBounded(t *testing.T) {
	var s flights
	for i := range maxFailing + 100 {
		s.fails(&entry{key: strconv.Itoa(i), share: &share{token: store.NewToken()}}, 0)
	}
	if got := len(s.failing); got > maxFailing {
		t.Errorf("the failures of %d results are remembered, want at most %d", got, maxFailing)
	}
}

func TestStoreIsNotAskedForThoseWhoHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked faultstore.Log
		gate := faultstore.NewGate()
		b := storeclient.New(faultstore.New(memstore.New(nil), asked.Note, gate.Wait))
		var wg sync.WaitGroup
		read := func(ctx context.Context, limit time.Duration, key string) {
			wg.Go(func() { b.Get(ctx, storeclient.DeadlineIn(limit), []string{key}) })
			synctest.Wait()
		}
		for range b.Readers {
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

// An eviction may come between the look-up of a result and its being put in front,
// where nobody would take it out again.
func TestResultThatWasDroppedDoesNotComeInFront(t *testing.T) {
	c := newTier(100, 0, new(counters))
	e := &entry{key: "k"}
	c.set(e)
	c.show(e, 1)
	if got := c.front.Load().place("k").Load(); got != e {
		t.Errorf("in front is %v, want the result", got)
	}
	c.delete("k")
	c.show(e, 2)
	if got := c.front.Load().place("k").Load(); got != nil {
		t.Errorf("in front is %v, which was dropped", got)
	}
}
