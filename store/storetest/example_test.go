package storetest_test

import (
	"testing"
	"time"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
	"github.com/seed-0226adef/memo/store/storetest"
)

// A backend's test starts a server for each case and says what the server cannot do.
// In its own file it is func TestStoreKeepsTheContract(t *testing.T).
func ExampleRun() {
	_ = func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			server := startServer(t)
			return newBackend(server)
		},
			storetest.TTLGranularity(time.Second),
			storetest.MaxValue(1<<20-512),
		)
	}
}

// A store in this process needs no real time.
func ExampleInBubble() {
	_ = func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Store { return memstore.New(nil) }, storetest.InBubble())
	}
}

func startServer(t *testing.T) (address string) {
	t.Cleanup(func() { /* stop it */ })
	return "127.0.0.1:11211"
}

func newBackend(string) store.Store { return memstore.New(nil) }
