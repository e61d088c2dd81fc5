package busclient

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A gated bus notes what is published when it is let on.
type gated struct {
	gate      chan struct{}
	mu        sync.Mutex
	published []string
}

func (b *gated) Publish(_ context.Context, message []byte) error {
	<-b.gate
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published = append(b.published, string(message))
	return nil
}

func (b *gated) Subscribe(context.Context, func([]byte)) error { return nil }

var deaf = Events{Changed: func([]string) {}, Begun: func() {}, Logger: slog.Default}

func TestBusQueueDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &gated{gate: make(chan struct{})}
		s := Take(b, ":", deaf)
		s.Publish(":first")
		synctest.Wait() // is being published
		for i := range maxQueued + 100 {
			s.Publish(fmt.Sprint(":k", i, ":"))
		}
		if got := Queued.Load(); got != maxQueued+1 {
			t.Errorf("%d changes wait, want %d and the one under way", got, maxQueued)
		}
		close(b.gate)
		synctest.Wait()
		if got := Queued.Load(); got != 0 {
			t.Errorf("%d changes are said to wait, want none", got)
		}
		all := strings.Join(b.published, " ") + " "
		for key, want := range map[string]bool{
			":first": true, ":k99:": false, ":k100:": true, fmt.Sprint(":k", maxQueued+99, ":"): true,
		} {
			if got := strings.Contains(all, " "+key+" "); got != want {
				t.Errorf("%s was published: %t, want %t", key, got, want)
			}
		}
		for _, message := range b.published {
			if len(message) > store.MaxMessage {
				t.Errorf("a message has %d bytes", len(message))
			}
		}
		runtime.KeepAlive(s)
	})
}

// What many keyspaces publish at once is one batch.
func TestChangesAreSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &gated{gate: make(chan struct{})}
		one, other := Take(b, "one:", deaf), Take(b, "other:", deaf)
		one.Publish("one:0")
		synctest.Wait()
		for i := range 20 {
			one.Publish(fmt.Sprint("one:", i))
			other.Publish(fmt.Sprint("other:", i))
		}
		close(b.gate)
		synctest.Wait()
		if got := len(b.published); got != 3 {
			t.Errorf("%d messages, want one for the first key and one for the rest of each keyspace", got)
		}
	})
}

func TestKeyspacesThatAreGoneLeaveNothingBehind(t *testing.T) {
	before := func() int {
		clients.Lock()
		defer clients.Unlock()
		return len(clients.by)
	}
	had := before()
	for range 20 {
		Take(&gated{}, ":", deaf)
	}
	for end := time.Now().Add(10 * time.Second); before() > had; runtime.Gosched() {
		if runtime.GC(); time.Now().After(end) {
			t.Fatalf("%d clients are left of buses that nobody uses", before()-had)
		}
	}
}
