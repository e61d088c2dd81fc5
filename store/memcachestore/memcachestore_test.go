package memcachestore_test

import (
	"flag"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memcachestore"
	"github.com/seed-0226adef/memo/store/storetest"
)

func TestMain(m *testing.M) {
	// The cases wait for the server's seconds and not for a processor. A -parallel
	// on the command line, which is not parsed yet, still wins.
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

var capabilities = []storetest.Capability{
	storetest.TTLGranularity(memcachestore.TTLGranularity), storetest.MaxValue(memcachestore.MaxValue),
}

func TestStoreOnOneServerKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		return memcachestore.New(client(t, testserver.Memcached(t)), nil)
	}, capabilities...)
}

func TestStoreOnThreeServersKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		return memcachestore.New(client(t, threeServers(t)...), nil)
	}, capabilities...)
}

func threeServers(t *testing.T) []*testserver.MemcachedServer {
	t.Helper()
	return []*testserver.MemcachedServer{testserver.MemcachedTCP(t), testserver.MemcachedTCP(t), testserver.MemcachedTCP(t)}
}

// client returns a client whose Timeout is too long to help a test along.
func client(t *testing.T, servers ...*testserver.MemcachedServer) *memcache.Client {
	t.Helper()
	var addrs []string
	for _, server := range servers {
		addrs = append(addrs, server.Addr)
	}
	return clientOf(t, addrs...)
}

func clientOf(t *testing.T, addrs ...string) *memcache.Client {
	t.Helper()
	c := memcache.New(addrs...)
	c.Timeout = time.Minute
	t.Cleanup(func() { c.Close() })
	return c
}
