package fleettest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
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

// limited are stores with a limit of at most a megabyte, each by another process's
// client on one server.
var limited = map[string]func(*testing.T) (newStore func() store.Store){
	"redis": func(t *testing.T) func() store.Store {
		addr := testserver.RedisTCP(t).Addr
		return func() store.Store {
			client := redis.NewClient(&redis.Options{Addr: addr})
			t.Cleanup(func() { client.Close() })
			return stoppedWith(t, redisstore.New(client, &redisstore.Options{MaxValue: 1 << 20}))
		}
	},
	"memcached": func(t *testing.T) func() store.Store {
		addr := testserver.MemcachedTCP(t).Addr
		return func() store.Store { return memcachedOf(t, addr) }
	},
	// A server with a lower limit than the store knows of.
	"memcached with a lower limit": func(t *testing.T) func() store.Store {
		addr := testserver.MemcachedTCP(t, "-I", "512k").Addr
		return func() store.Store {
			client := memcache.New(addr)
			client.Timeout = patience
			t.Cleanup(func() { client.Close() })
			return memcachestore.New(client, nil)
		}
	},
	"dynamodb": func(t *testing.T) func() store.Store {
		endpoint := servers["dynamodb"](t)
		return func() store.Store {
			return dynamostore.New(dynamoClient(endpoint, testserver.NewWire(t)), table, nil)
		}
	},
}

func TestResultOverTheLimitOfTheStoreStaysInTheProcess(t *testing.T) {
	t.Parallel()
	for name, start := range limited {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newStore, j := start(t), newJournal()
			size := 2 << 20
			if name == "memcached with a lower limit" {
				size = 700 << 10
			}
			var runs atomic.Int64
			long := func(_ context.Context, letter string) (string, error) {
				runs.Add(1)
				return strings.Repeat(letter, size), nil
			}
			options := memo.Options{memo.Name("long"), memo.StoreTimeout(patience), memo.LocalTTL(time.Hour), memo.Logger(slog.New(j))}
			stores := []*suspected{newSuspected(newStore()), newSuspected(newStore())}
			here := memo.New(long, append(options, memo.Store(stores[0]))...)
			there := memo.New(long, append(options, memo.Store(stores[1]))...)
			for round := range 2 {
				for _, s := range stores[:2*round] {
					(<-s.listeners).Suspect() // no epoch counts any more
				}
				for _, f := range []*memo.Func[string, string]{here, there} {
					for _, letter := range []string{"a", "b", "c"} {
						if got, err := f.Call(t.Context(), letter); len(got) != size || got[:1] != letter || err != nil {
							t.Errorf("round %d: got %d times %.1s, %v", round, len(got), got, err)
						}
					}
				}
			}
			if got := runs.Load(); got != 6 {
				t.Errorf("%d executions, want one for each of 3 results in each process", got)
			}
			for i, s := range stores {
				if n := s.reads.Load(); n > 20 { // who waits for a lease asks more often
					t.Errorf("store %d was asked %d times: somebody waited for a lease that was not given back", i, n)
				}
			}
			for where, f := range map[string]*memo.Func[string, string]{"here": here, "there": there} {
				if s := f.Stats(); s.StoreErrors != 3 || s.Hits != 3 {
					t.Errorf("%s: %d store errors and %d hits were counted, want 3 and 3", where, s.StoreErrors, s.Hits)
				}
			}
			const line = "WARN memo: a result cannot be stored; it stays in this process"
			if got := j.String(); got != line+"\n"+line {
				t.Errorf("this is logged:\n%s\nwant once by each function:\n%s", got, line)
			}
		})
	}
}

// A suspected store hands out who listens to it, if only to what the test says. It counts
// how often it is asked.
type suspected struct {
	store.MultiGetter
	reads     atomic.Int64
	listeners chan store.Sink
}

func newSuspected(s store.Store) *suspected {
	return &suspected{MultiGetter: s.(store.MultiGetter), listeners: make(chan store.Sink, 1)}
}

func (s *suspected) Get(ctx context.Context, key string) ([]byte, error) {
	s.reads.Add(1)
	return s.MultiGetter.Get(ctx, key)
}

func (s *suspected) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	s.reads.Add(1)
	return s.MultiGetter.GetMulti(ctx, keys)
}

func (s *suspected) Notify(ctx context.Context, prefix string, sink store.Sink) (stop func(), err error) {
	stop, err = store.Notify(ctx, s.MultiGetter, prefix, sink)
	if errors.Is(err, errors.ErrUnsupported) {
		stop, err = func() {}, nil
	}
	select {
	case s.listeners <- sink:
	default: // once more, after an idle time
	}
	return stop, err
}
