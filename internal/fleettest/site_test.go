package fleettest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/dynamostore"
	"github.com/seed-0226adef/memo/store/memcachestore"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// A site is a server as two processes see it: one that has faults on its way to it,
// and one that has none.
type site struct {
	store  store.Store
	others store.Store
	faults map[string]fault
	slow   func(time.Duration) // delays each answer
	heal   func()
}

// A fault is something that goes wrong for one of the processes.
type fault struct {
	strike func()
	spares operations
}

// operations are some of a store's.
type operations int

const (
	deletes operations = 1 << iota // Delete reaches the server, and its answer comes back
	sets                           // Add and Swap do
	batches                        // reads of several keys do
)

const (
	// budget is what a call may lose by a store: far more than a busy machine
	// takes for anything.
	budget = time.Second
	// margin is less than another budget, so that a call that loses two is found out.
	margin = budget * 9 / 10
)

// sites start a server of each kind, with what can go wrong with it.
var sites = map[string]func(*testing.T) *site{
	"redis": func(t *testing.T) *site {
		server := testserver.RedisTCP(t)
		p := testserver.NewRedisProxy(t, server)
		s := &site{store: redisOf(t, p.Addr), others: redisOf(t, server.Addr), slow: p.Latency, heal: func() { p.Heal(t) }}
		s.faults = wireFaults(p.Proxy)
		s.faults["OOM"] = fault{func() { p.Answer(testserver.RedisOOM) }, deletes}
		s.faults["READONLY"] = fault{func() { p.Answer(testserver.RedisReadOnly) }, 0}
		s.faults["LOADING"] = fault{func() { p.Answer(testserver.RedisLoading) }, 0}
		return s
	},
	"memcached": func(t *testing.T) *site {
		server := testserver.MemcachedTCP(t)
		p := testserver.NewMemcachedProxy(t, server)
		s := &site{store: memcachedOf(t, p.Addr), others: memcachedOf(t, server.Addr), slow: p.Latency, heal: func() { p.Heal(t) }}
		s.faults = wireFaults(p.Proxy)
		s.faults["SERVER_ERROR"] = fault{func() { p.Answer(testserver.MemcachedFull) }, deletes}
		return s
	},
	"dynamodb": func(t *testing.T) *site {
		endpoint := servers["dynamodb"](t)
		wire := testserver.NewWire(t)
		s := &site{
			store:  dynamostore.New(dynamoClient(endpoint, wire), table, nil),
			others: dynamostore.New(dynamoClient(endpoint, testserver.NewWire(t)), table, nil),
			slow:   func(d time.Duration) { wire.Always(testserver.Late(d)) },
			heal:   func() { wire.Always(nil) },
			faults: map[string]fault{},
		}
		for name, f := range map[string]testserver.Fault{
			"throttled": testserver.Throttled, "500": testserver.Broken, "500 and yet done": testserver.BrokenAfter,
			"black hole": testserver.Silent, "lost": testserver.Lost, "torn": testserver.Torn,
			"unreachable": testserver.Unreachable, "latency": testserver.Late(budget * 8 / 5),
		} {
			s.faults[name] = fault{func() { wire.Always(f) }, 0}
		}
		s.faults["unprocessed keys"] = fault{func() { wire.Always(testserver.Partly(0)) }, deletes | sets}
		return s
	},
}

// wireFaults are those that any server can have.
func wireFaults(p *testserver.Proxy) map[string]fault {
	return map[string]fault{
		"down":       {p.Down, 0},
		"black hole": {func() { p.BlackHole(true) }, 0},
		"reset":      {func() { p.Reset(true) }, 0},
		"latency":    {func() { p.Latency(budget * 8 / 5) }, 0}, // as 400 ms are of the default budget
		"torn":       {func() { p.Tear(3) }, 0},
		"garbage":    {func() { p.Garbage(true) }, 0},
	}
}

// redisOf returns a store on the server at addr, whose notifications end with the test.
func redisOf(t *testing.T, addr string) store.Store {
	client := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: 2 * budget})
	t.Cleanup(func() { client.Close() })
	return stoppedWith(t, redisstore.New(client, nil))
}

func memcachedOf(t *testing.T, addr string) store.Store {
	client := memcache.New(addr)
	client.Timeout, client.MaxIdleConns = 2*budget, 16
	t.Cleanup(func() { client.Close() })
	return memcachestore.New(client, nil)
}

// A stoppedRedis ends its notifications with the test. Those of a function go on for a
// while after its last use.
type stoppedRedis struct {
	*redisstore.Store
	mu    sync.Mutex
	stops []func() // guarded by mu
	ended bool     // guarded by mu
}

func stoppedWith(t *testing.T, s *redisstore.Store) *stoppedRedis {
	r := &stoppedRedis{Store: s}
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = true
		for _, stop := range r.stops {
			stop()
		}
	})
	return r
}

func (r *stoppedRedis) Notify(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
	stop, err := r.Store.Notify(ctx, prefix, sink)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		stop()
	}
	r.stops = append(r.stops, stop)
	return stop, nil
}

// onEveryFault runs test in parallel with each fault of each site, which it has to
// strike with.
func onEveryFault(t *testing.T, test func(t *testing.T, s *site, f fault)) {
	for kind, newSite := range sites {
		for name := range newSite(t).faults {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				test(t, s, s.faults[name])
			})
		}
	}
}

// here are the options of a function in the process with the faults, there those of one
// in the other process.
func (s *site) here(more ...memo.Option) memo.Options {
	return append(memo.Options{memo.Store(s.store), memo.StoreTimeout(budget), memo.Logger(slog.New(slog.DiscardHandler))}, more...)
}

func (s *site) there(more ...memo.Option) memo.Options {
	return append(memo.Options{memo.Store(s.others), memo.StoreTimeout(patience), memo.NoLocal()}, more...)
}
