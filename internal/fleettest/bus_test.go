package fleettest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// onBus is a member whose results are in memcached and that is on a bus over Redis, with the
// address of the one, the path of the source and the address of the other as arguments. Its
// copies last for an hour.
//
//	set f k v, refresh f k: as the methods of that name
//	confirm f k             call f k that reads all epochs
//	hits f                  how often a result of f was returned from this process so far
var onBus = testserver.NewProgram("member on a bus", func(args []string) testserver.Commands {
	bus := redisstore.NewBus(redis.NewClient(&redis.Options{Addr: args[2], DialTimeout: time.Second}), nil)
	m, err := newMember("memcached", args[0], args[1], memo.Bus(bus), memo.LocalTTL(time.Hour), memo.TTL(time.Hour))
	if err != nil {
		panic(err)
	}
	commands, ctx := m.commands(), context.Background()
	commands["set"] = func(args ...string) (string, error) { return "", m.funcs[args[0]].Set(ctx, args[1], args[2]) }
	commands["refresh"] = func(args ...string) (string, error) { return m.funcs[args[0]].Refresh(ctx, args[1]) }
	commands["confirm"] = func(args ...string) (string, error) {
		return m.funcs[args[0]].With(memo.MaxAge(0)).Call(ctx, args[1])
	}
	commands["hits"] = func(args ...string) (string, error) { return fmt.Sprint(m.funcs[args[0]].Stats().Hits), nil }
	return commands
})

// newFleetOnBus starts two processes that listen. Redis is behind the proxy.
func newFleetOnBus(t *testing.T) (*fleet, *testserver.Proxy) {
	server := testserver.RedisTCP(t)
	p := testserver.NewProxy(t, server.Network, server.Addr)
	f := &fleet{t: t, source: filepath.Join(t.TempDir(), "source")}
	f.change("old")
	f.Processes = onBus.Start(t, 2, testserver.MemcachedTCP(t).Addr, f.source, p.Addr)
	f.must(0, "call", "tagged", "k", "1")
	f.must(1, "call", "tagged", "k", "1")
	eventually(t, patience, "both processes listen", func() bool {
		n, err := server.Do("PUBSUB", "NUMSUB", "memo")
		return err == nil && strings.HasSuffix(strings.TrimSpace(n), "2")
	})
	return f, p
}

// Without a bus a copy would last for an hour, and an epoch that was read since a round began
// would not be read again for half a second. On a busy machine a round that took longer than
// that proves nothing.
func TestChangeInOneProcessDropsTheCopyInAnotherByTheBus(t *testing.T) {
	t.Parallel()
	const unasked = 500 * time.Millisecond
	f, proxy := newFleetOnBus(t)
	changed := func(round string, within time.Duration, words ...string) bool {
		t.Helper()
		f.change("old " + round)
		begun := time.Now()
		f.must(1, "invalidate", "tagged", "k")
		if got := f.must(1, "confirm", "tagged", "k"); got != "old "+round {
			t.Fatalf("round %s begins with %q", round, got)
		}
		f.change("new " + round)
		f.must(0, words...)
		eventually(t, patience, fmt.Sprintf("the process returns what is new after %q", words), func() bool { return f.must(1, "call", "tagged", "k", "1") == "new "+round })
		return time.Since(begun) < within
	}
	for name, words := range map[string][]string{
		"invalidate": {"invalidate", "tagged", "k"},
		"refresh":    {"refresh", "tagged", "k"},
		"set":        {"set", "tagged", "k", ""}, // to the value of the round
		"clear":      {"clear", "tagged"},
		"tag":        {"invalidate tag", "static"},
	} {
		round := 0
		eventually(t, patience, name+" is seen before anything is read again", func() bool {
			round++
			round := fmt.Sprint(name, " ", round)
			if name == "set" {
				words[3] = "new " + round
			}
			return changed(round, unasked, words...)
		})
	}

	f.must(0, "set", "tagged", "k", "own")
	hits := f.must(0, "hits", "tagged")
	if got := f.must(0, "call", "tagged", "k", "1"); got != "own" || f.must(0, "hits", "tagged") == hits {
		t.Errorf("after its own Set the process got %q, and not from its own copy", got)
	}

	proxy.BlackHole(true)
	for i := range 20 { // which fail if they do
		f.must(0, "invalidate", "tagged", fmt.Sprint(i))
		f.must(1, "call", "tagged", fmt.Sprint(i), "1")
	}
	proxy.Heal(t)
	// A process that heard nothing has copies that are old, for an hour; new ones it hears of.
	eventually(t, patience, "the bus works again", func() bool {
		f.change("healed")
		f.must(1, "invalidate", "tagged", "k")
		f.must(1, "call", "tagged", "k", "1")
		f.change("again")
		f.must(0, "invalidate", "tagged", "k")
		for end := time.Now().Add(unasked); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if f.must(1, "call", "tagged", "k", "1") == "again" {
				return true
			}
		}
		return false
	})
}
