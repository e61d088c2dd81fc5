package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// newProcess returns a keyspace of s as another process has it.
func newProcess(s store.Store) *Keyspace {
	k := newKeyspace(storeclient.New(s), "", func() {})
	k.SetLogger(slog.New(slog.DiscardHandler))
	return k
}

func TestPendingInvalidationsOfAnOutageAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newProcess(faultstore.New(memstore.New(nil), faultstore.Fail(errors.New("dead"))).Bare())
		for i := range maxPending + 100 {
			k.AddPending(fmt.Sprint("key", i), PendingInvalidation{Owner: "::clear:f:"}, nil)
		}
		k.mu.Lock()
		if got := len(k.pending); got > maxPending {
			t.Errorf("%d invalidations are remembered, want at most %d", got, maxPending)
		}
		clear(k.pending) // which ends the attempts
		k.mu.Unlock()
		time.Sleep(time.Minute)
	})
}

// Tags that are invalidated, here or elsewhere, can be as many as a store has, and
// no function need ever ask for them.
func TestEpochsRememberedAreBounded(t *testing.T) {
	newKey := func(i int) string { return fmt.Sprint(":tag:", i) }
	for name, note := range map[string]func(k *Keyspace, key string){
		"read":     func(k *Keyspace, key string) { k.noteEpoch(key, Epoch{At: clock.Now(), order: k.order}) },
		"written":  func(k *Keyspace, key string) { k.wrote(key, Epoch{At: clock.Now(), order: k.NextOrder()}) },
		"reported": func(k *Keyspace, key string) { k.forgetEpoch(key) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newProcess(memstore.New(nil))
			k.epochs["pending"] = Epoch{At: clock.Forever}
			for i := range maxEpochs + 100 {
				note(k, newKey(i))
			}
			if got := len(k.epochs); got > maxEpochs {
				t.Errorf("%d epochs are remembered, want at most %d", got, maxEpochs)
			}
			if k.epochs["pending"].At != clock.Forever {
				t.Error("what the store still has to be told was forgotten, too")
			}
		})
	}
}

const clearKey = "::clear:f:"

// Of two Clears at once one succeeded, and acknowledged the invalidation of the one that
// had failed before this had noted its epoch: that one was in force for ever, in this
// process alone. The steps are those of SetEpochs.
func TestEpochThatIsNotPendingAnyMoreDoesNotStayForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		k := newProcess(s)
		failed := epochOf(wire.NewEpoch(wire.Mark{}), Request{At: clock.Now(), Order: k.NextOrder()})
		st := wire.NewEpoch(wire.Mark{})
		value, _ := st.Encode(clearKey, nil)
		written := epochOf(st, Request{At: clock.Now(), Order: k.NextOrder()})
		last := k.LastPending()
		s.Set(t.Context(), clearKey, value, 0)
		k.AddPending(clearKey, PendingInvalidation{epoch: true, Owner: clearKey}, &failed)
		k.Acknowledge(clearKey, last)
		k.wrote(clearKey, written)
		time.Sleep(time.Hour) // by when the store has been told
		if e, known := k.Epoch(clearKey, clock.Now()); known {
			t.Errorf("the epoch is still known, from %d", e.At)
		}
	})
}

// The same without steps: whatever order goroutines come in, an epoch that is taken for
// pending is pending.
func TestEpochsThatAreTakenForPendingArePending(t *testing.T) {
	var n atomic.Int64
	s := faultstore.New(memstore.New(nil))
	s.After(faultstore.Add|faultstore.Swap, func(context.Context, faultstore.Call) error {
		if n.Add(1)%2 == 0 {
			return store.ErrConflict // which opens no breaker
		}
		return nil
	})
	k := newProcess(s.Bare())
	for range 500 {
		var wg sync.WaitGroup
		for range 3 { // an odd number, so that the last one succeeds every other time
			wg.Go(func() {
				k.SetEpochs(t.Context(), storeclient.DeadlineIn(time.Second), clearKey, Change{}, Need{Key: clearKey})
			})
		}
		wg.Wait()
		k.mu.Lock()
		if _, pending := k.pending[clearKey]; !pending && k.epochs[clearKey].At == clock.Forever {
			t.Error("an epoch is trusted for ever, and no invalidation is pending")
		}
		clear(k.pending)
		clear(k.epochs)
		k.mu.Unlock()
	}
}

// The note of an own Clear came late, when the report of one elsewhere had removed that
// of a newer own one: an older epoch was in force. The steps are those of SetEpochs.
func TestLateNoteOfAnOlderEpochIsOfNoAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		here, elsewhere := newProcess(s), newProcess(s)
		renew := func(k *Keyspace) {
			if err := k.SetEpochs(t.Context(), storeclient.DeadlineIn(time.Second), clearKey, Change{}, Need{Key: clearKey}); err != nil {
				t.Fatal(err)
			}
		}
		st := wire.NewEpoch(wire.Mark{})
		value, _ := st.Encode(clearKey, nil)
		old := epochOf(st, Request{At: clock.Now(), Order: here.NextOrder()})
		s.Set(t.Context(), clearKey, value, 0)
		here.Changed([]string{clearKey})
		renew(here)
		here.Changed([]string{clearKey})
		renew(elsewhere)
		here.Changed([]string{clearKey})
		here.wrote(clearKey, old)
		if e, known := here.Epoch(clearKey, clock.Now()); known && e.Token == old.Token {
			t.Error("an epoch that was replaced twice is in force")
		}
	})
}
