package memcachestore_test

import (
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-0226adef/memo/store/memcachestore"
)

func TestShardIsTheServerThatTheClientPicks(t *testing.T) {
	var servers memcache.ServerList
	if err := servers.SetServers("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"); err != nil {
		t.Fatal(err)
	}
	own := memcachestore.New(memcache.NewFromSelector(&servers), nil)
	listed := memcachestore.New(memcache.New("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"), nil)
	seen := map[string]bool{}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "k"} {
		want, err := servers.PickServer(key)
		if err != nil {
			t.Fatal(err)
		}
		if own, listed := own.Shard(key), listed.Shard(key); own != want.String() || listed != want.String() {
			t.Errorf("Shard(%q) = %q and %q, want %q", key, own, listed, want)
		}
		seen[want.String()] = true
	}
	if len(seen) != 3 {
		t.Errorf("the keys lie on %d servers, want three", len(seen))
	}
	for _, addrs := range [][]string{nil, {"127.0.0.1:1"}} {
		if got := memcachestore.New(memcache.New(addrs...), nil).Shard("a"); got != "" {
			t.Errorf("with servers %q: Shard = %q, want none", addrs, got)
		}
	}
}
