package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/redisstore"
	"github.com/seed-0226adef/memo/store/storetest"
)

func TestBusKeepsTheContract(t *testing.T) {
	nodes := testserver.RedisCluster(t)
	for name, open := range map[string]func(t *testing.T) func() redis.UniversalClient{
		"one server": func(t *testing.T) func() redis.UniversalClient {
			server := testserver.Redis(t)
			return func() redis.UniversalClient { return client(t, server) }
		},
		"cluster": func(t *testing.T) func() redis.UniversalClient {
			return func() redis.UniversalClient { return cluster(t, nodes) }
		},
		"ring": func(t *testing.T) func() redis.UniversalClient {
			c := ring(t)
			return func() redis.UniversalClient { return c }
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.RunBus(t, func(t *testing.T, n int) (buses []store.Bus) {
				c, o := open(t), &redisstore.BusOptions{Channel: t.Name()} // cases run in parallel
				for range n {
					buses = append(buses, redisstore.NewBus(c(), o))
				}
				return buses
			})
		})
	}
}

// subscribed subscribes c to the default channel, and returns a counter of the messages.
func subscribed(t *testing.T, c redis.UniversalClient) (*atomic.Int64, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var received atomic.Int64
	if err := redisstore.NewBus(c, nil).Subscribe(ctx, func([]byte) { received.Add(1) }); err != nil {
		t.Fatal(err)
	}
	return &received, cancel
}

// arrives publishes until something is received.
func arrives(t *testing.T, server *testserver.RedisServer, received *atomic.Int64, when string) {
	t.Helper()
	before := received.Load()
	await(t, "a message is received "+when, func() bool {
		if _, err := server.Do("PUBLISH", "memo", "m"); err != nil {
			t.Fatal(err)
		}
		return received.Load() > before
	})
}

func TestBusListensAgainWhenItsConnectionWasLost(t *testing.T) {
	for name, strike := range map[string]func(*testserver.Proxy){
		"closed":   (*testserver.Proxy).Drop,
		"refused":  func(p *testserver.Proxy) { p.Down() },
		"silently": func(p *testserver.Proxy) { p.BlackHole(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testserver.RedisTCP(t)
			p := testserver.NewProxy(t, "tcp", server.Addr)
			received, _ := subscribed(t, clientOf(t, &redis.Options{Addr: p.Addr, DialTimeout: time.Second, DialerRetries: 1}))
			arrives(t, server, received, "at first")
			accepted := p.Accepted()
			if strike(p); name != "closed" {
				await(t, "the connection counts as lost", func() bool {
					n, err := server.Do("PUBSUB", "NUMSUB", "memo")
					return err == nil && strings.Contains(n, "0") || p.Accepted() > accepted
				})
				if name == "silently" {
					p.BlackHole(false)
				} else {
					p.Up(t)
				}
			}
			arrives(t, server, received, "after that")
		})
	}
}

func TestBusLeavesNothingBehind(t *testing.T) {
	for name, end := range map[string]func(c redis.UniversalClient, cancel func()){
		"its context has ended":      func(_ redis.UniversalClient, cancel func()) { cancel() },
		"its client has been closed": func(c redis.UniversalClient, _ func()) { c.Close() },
	} {
		t.Run("when "+name, func(t *testing.T) {
			server := testserver.RedisTCP(t)
			c := redis.NewClient(&redis.Options{Addr: server.Addr})
			defer c.Close()
			before := goleak.IgnoreCurrent()
			received, cancel := subscribed(t, c)
			arrives(t, server, received, "at first")
			end(c, cancel)
			await(t, "nobody listens", func() bool {
				n, err := server.Do("PUBLISH", "memo", "m")
				return err == nil && strings.TrimSpace(n) == "0"
			})
			if err := goleak.Find(before); err != nil { // it waits for a while
				t.Error(err)
			}
		})
	}
}

func TestBusWithoutAServerFailsSoon(t *testing.T) {
	p := testserver.NewProxy(t, "tcp", testserver.RedisTCP(t).Addr)
	p.BlackHole(true)
	b := redisstore.NewBus(clientOf(t, &redis.Options{Addr: p.Addr, DialerRetries: 1, MaxRetries: -1, ReadTimeout: time.Second}), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Publish(ctx, []byte("m")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Publish = %v, want an error wrapping DeadlineExceeded", err)
	}
	if err := b.Subscribe(ctx, func([]byte) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Subscribe = %v, want an error wrapping DeadlineExceeded", err)
	}
}

func TestBusInABubbleIsUnsupported(t *testing.T) {
	c := client(t, testserver.Redis(t))
	synctest.Test(t, func(t *testing.T) {
		b := redisstore.NewBus(c, nil)
		if err := b.Publish(t.Context(), []byte("m")); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Publish = %v, want an error wrapping ErrUnsupported", err)
		}
		if err := b.Subscribe(t.Context(), func([]byte) {}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Subscribe = %v, want an error wrapping ErrUnsupported", err)
		}
	})
}

func TestBusWithoutAClientPanics(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "give NewBus a client") {
			t.Errorf("panicked with %q", got)
		}
	}()
	redisstore.NewBus((*redis.Client)(nil), nil)
}
