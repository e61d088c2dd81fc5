package fleettest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// A detour is a store whose notifications go another way than all else, from when there
// is a copy that nobody has been told of.
type detour struct {
	*redisstore.Store
	way  store.Notifier
	copy chan struct{}
}

func (d detour) Notify(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
	<-d.copy
	return d.way.Notify(ctx, prefix, sink)
}

// noticed is how long it takes until a connection that has fallen silent counts as lost
// (redisstore).
const noticed = 3 * time.Second

func TestCopiesAreUsedOnlyWhileTheNotificationsArrive(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(*testserver.Proxy){
		"closed": (*testserver.Proxy).Down,
		"reset":  func(p *testserver.Proxy) { p.Reset(true) },
		"silent": func(p *testserver.Proxy) { p.BlackHole(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testserver.RedisTCP(t)
			p := testserver.NewProxy(t, server.Network, server.Addr)
			client := redis.NewClient(&redis.Options{Addr: server.Addr})
			t.Cleanup(func() { client.Close() })
			here := detour{redisstore.New(client, nil), redisOf(t, p.Addr).(store.Notifier), make(chan struct{})}

			var source atomic.Int64
			read := func(context.Context, string) (int64, error) { return source.Load(), nil }
			f := memo.New(read, memo.Store(here), memo.Name("read"), memo.LocalTTL(time.Hour), memo.StoreTimeout(patience))
			there := memo.New(read, memo.Store(redisOf(t, server.Addr)), memo.Name("read"), memo.StoreTimeout(patience))
			value := func(f *memo.Func[string, int64]) int64 {
				v, err := f.Call(t.Context(), "k")
				if err != nil {
					t.Error(err)
				}
				return v
			}
			change := func(limit time.Duration, when string) {
				t.Helper()
				now := source.Add(1)
				if err := there.Invalidate(t.Context(), "k"); err != nil {
					t.Fatal(err)
				}
				eventually(t, limit, "the process returns what is new "+when, func() bool { return value(f) == now })
			}
			// used waits until a copy is used: calls leave the store alone.
			used := func(when string) {
				t.Helper()
				eventually(t, patience, "copies are used "+when, func() bool {
					before := f.Stats()
					value(f)
					return f.Stats().Hits > before.Hits
				})
			}

			value(f)
			close(here.copy)
			used("at first")
			change(patience, "while it is told")
			used("after that")
			strike(p)
			change(noticed+margin, "although nobody tells it")
			p.Heal(t)
			used("when the connection is back")
			change(patience, "as it is told again")
		})
	}
}
