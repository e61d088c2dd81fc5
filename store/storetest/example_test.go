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

// The server of this backend also has lists, which a store cannot read.
func ExampleForeignValue() {
	putList := func(t testing.TB, s store.Store, key string) {
		if err := s.(*backend).push(key, "not a value of the store"); err != nil {
			t.Fatal(err)
		}
	}
	_ = func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return newBackend(startServer(t)) }, storetest.ForeignValue(putList))
	}
}

func startServer(t *testing.T) (address string) {
	t.Cleanup(func() { /* stop it */ })
	return "127.0.0.1:11211"
}

type backend struct{ store.Store }

func newBackend(string) store.Store { return &backend{memstore.New(nil)} }

// push appends to the list under key.
func (*backend) push(key, value string) error { return nil }

// A bus is opened twice, as two processes would do it.
func ExampleRunBus() {
	_ = func(t *testing.T) {
		storetest.RunBus(t, func(t *testing.T, n int) (buses []store.Bus) {
			server := startServer(t)
			for range n {
				buses = append(buses, newBus(server))
			}
			return buses
		})
	}
}

func newBus(string) store.Bus { return nil }
