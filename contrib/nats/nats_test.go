package memonats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo"
	memonats "github.com/seed-0226adef/memo/contrib/nats"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
	"github.com/seed-0226adef/memo/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, s *testserver.NATSServer) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	conn, err := nats.Connect("nats://"+s.Addr, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); <-closed })
	return conn
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for begun := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestBusKeepsTheContract(t *testing.T) {
	s := testserver.NATS(t)
	storetest.RunBus(t, func(t *testing.T, n int) (buses []store.Bus) {
		subject := "cases." + strings.ReplaceAll(t.Name(), "/", ".")
		for range n {
			buses = append(buses, memonats.NewBus(connect(t, s), &memonats.Options{Subject: subject}))
		}
		return buses
	})
}

// Both functions are as two processes would have them. They trust their copies for an hour.
func TestInvalidationInOneProcessDropsTheCopyInAnother(t *testing.T) {
	s, shared := testserver.NATS(t), memstore.New(nil)
	var conns []*nats.Conn
	var version atomic.Int64
	process := func() *memo.Func[string, int64] {
		conns = append(conns, connect(t, s))
		return memo.New(func(context.Context, string) (int64, error) { return version.Load(), nil }, memo.Name("f"),
			memo.Store(&plain{shared}), memo.Bus(memonats.NewBus(conns[len(conns)-1], nil)), memo.LocalTTL(time.Hour), memo.TTL(time.Hour))
	}
	here, there := process(), process()
	for _, f := range []*memo.Func[string, int64]{here, there} {
		if got, err := f.Call(t.Context(), "k"); got != 0 || err != nil {
			t.Fatalf("got %d, %v", got, err)
		}
	}
	eventually(t, "both listen", func() bool { return conns[0].NumSubscriptions()+conns[1].NumSubscriptions() == 2 })
	for v := range int64(3) {
		version.Store(v + 1)
		if err := there.Invalidate(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the copy is dropped", func() bool { got, _ := here.Call(t.Context(), "k"); return got == v+1 })
	}
}

// plain is a store that cannot notify, and another one for each process.
type plain struct{ store.Store }

func TestBusComesBackWithTheServer(t *testing.T) {
	s := testserver.NATS(t)
	conn := connect(t, s)
	b := memonats.NewBus(conn, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var received atomic.Int64
	if err := b.Subscribe(ctx, func([]byte) { received.Add(1) }); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	eventually(t, "the connection is lost", func() bool { return !conn.IsConnected() })
	if err := b.Publish(ctx, []byte("m")); err == nil {
		t.Error("Publish without a server = nil, want an error")
	}
	if err := b.Subscribe(ctx, func([]byte) {}); err == nil {
		t.Error("Subscribe without a server = nil, want an error")
	}
	if n := conn.NumSubscriptions(); n != 1 {
		t.Errorf("%d subscriptions are left, want that from before", n)
	}
	s.Start(t)
	eventually(t, "a message is received again", func() bool {
		_ = b.Publish(ctx, []byte("m"))
		return received.Load() > 0
	})
}

func TestSubscriptionEndsWithItsContext(t *testing.T) {
	conn := connect(t, testserver.NATS(t))
	ctx, cancel := context.WithCancel(context.Background())
	if err := memonats.NewBus(conn, nil).Subscribe(ctx, func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "there is no subscription", func() bool { return conn.NumSubscriptions() == 0 })
}

func TestBusInABubbleIsUnsupported(t *testing.T) {
	conn := connect(t, testserver.NATS(t))
	synctest.Test(t, func(t *testing.T) {
		if err := memonats.NewBus(conn, nil).Publish(t.Context(), []byte("m")); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Publish = %v, want an error wrapping ErrUnsupported", err)
		}
		if err := memonats.NewBus(conn, nil).Subscribe(t.Context(), func([]byte) {}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Subscribe = %v, want an error wrapping ErrUnsupported", err)
		}
	})
}

func TestWrongArgumentsPanicWithASentence(t *testing.T) {
	conn := connect(t, testserver.NATS(t))
	for want, call := range map[string]func(){
		"the connection is nil": func() { memonats.NewBus(nil, nil) },
		`Subject is "a.*"`:      func() { memonats.NewBus(conn, &memonats.Options{Subject: "a.*"}) },
		`Subject is "a..b"`:     func() { memonats.NewBus(conn, &memonats.Options{Subject: "a..b"}) },
		`Subject is "a b"`:      func() { memonats.NewBus(conn, &memonats.Options{Subject: "a b"}) },
	} {
		t.Run(want, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("panicked with %q", got)
				}
			}()
			call()
		})
	}
}
