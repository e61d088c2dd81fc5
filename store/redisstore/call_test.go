package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/ability"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// calls are all methods, each as one call.
func calls(s *redisstore.Store) map[string]func(context.Context) error {
	value := []byte("0123456789abcdef and more")
	return map[string]func(context.Context) error{
		"Get":         func(ctx context.Context) error { _, err := s.Get(ctx, "k"); return err },
		"GetMulti":    func(ctx context.Context) error { _, err := s.GetMulti(ctx, []string{"k", "l"}); return err },
		"Set":         func(ctx context.Context) error { return s.Set(ctx, "k", value, time.Hour) },
		"Add":         func(ctx context.Context) error { return s.Add(ctx, "k", value, time.Hour) },
		"Swap":        func(ctx context.Context) error { return s.Swap(ctx, "k", store.Token(value), value, 0) },
		"Delete":      func(ctx context.Context) error { return s.Delete(ctx, "k") },
		"Delete many": func(ctx context.Context) error { return s.Delete(ctx, "k", "l") },
		"Ping":        s.Ping,
	}
}

// blackHoled returns a client whose server does not answer any more. Its own
// timeouts are far away from what the tests wait for.
func blackHoled(t *testing.T) *redis.Client {
	t.Helper()
	p := testserver.NewProxy(t, "tcp", testserver.RedisTCP(t).Addr)
	c := clientOf(t, &redis.Options{Addr: p.Addr, ReadTimeout: time.Minute})
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.BlackHole(true)
	t.Cleanup(p.Down) // ends the calls that were left alone
	return c
}

func TestContextEndsACallThatTheServerDoesNotAnswer(t *testing.T) {
	for name, newStore := range map[string]func(t *testing.T) *redisstore.Store{
		"client": func(t *testing.T) *redisstore.Store { return redisstore.New(blackHoled(t), nil) },
		"autopipeline": func(t *testing.T) *redisstore.Store {
			c := blackHoled(t)
			return redisstore.New(c, &redisstore.Options{AutoPipeline: autoPipeline(t, c)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for method, call := range calls(newStore(t)) {
				t.Run(method, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
					defer cancel()
					wantSoon(t, call, ctx, context.DeadlineExceeded)

					ctx, cancel = context.WithCancel(t.Context())
					timer := time.AfterFunc(20*time.Millisecond, cancel)
					defer timer.Stop()
					wantSoon(t, call, ctx, context.Canceled)
				})
			}
		})
	}
}

// A client that honours deadlines is not waited for in a second goroutine, and ends
// the call all the same.
func TestDeadlineAloneEndsACallThatTheServerDoesNotAnswer(t *testing.T) {
	s := redisstore.New(blackHoled(t), nil)
	for method, call := range calls(s) {
		t.Run(method, func(t *testing.T) {
			ctx, cancel := ability.Within(context.Background(), 20*time.Millisecond)
			defer cancel()
			wantSoon(t, call, ctx, context.DeadlineExceeded)
		})
	}
}

func wantSoon(t *testing.T, call func(context.Context) error, ctx context.Context, want error) {
	t.Helper()
	start := time.Now()
	err := call(ctx)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("returned after %v", took)
	}
	if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "memo: redisstore: ") {
		t.Errorf("error = %v, want one wrapping %v", err, want)
	}
}

// A method that reports success has done all of its work, also if its context ends
// between two round trips without anybody having noticed yet.
func TestContextThatEndsBetweenThePartsOfACallIsAnError(t *testing.T) {
	server := testserver.Redis(t)
	keys := make([]string, 2500)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	for name, connect := range map[string]func(*unnoticed) redis.UniversalClient{
		"one server": func(ctx *unnoticed) redis.UniversalClient {
			c := client(t, server)
			c.AddHook(ending{ctx})
			return c
		},
		"pipelines": func(ctx *unnoticed) redis.UniversalClient {
			c := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "one"}, NewClient: func(*redis.Options) *redis.Client {
				c := redis.NewClient(options(server))
				c.AddHook(ending{ctx})
				return c
			}})
			t.Cleanup(func() { c.Close() })
			return c
		},
	} {
		for method, call := range map[string]func(context.Context, *redisstore.Store) error{
			"Delete":   func(ctx context.Context, s *redisstore.Store) error { return s.Delete(ctx, keys...) },
			"GetMulti": func(ctx context.Context, s *redisstore.Store) error { _, err := s.GetMulti(ctx, keys); return err },
		} {
			for _, watched := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/watched %t", name, method, watched), func(t *testing.T) {
					ctx := &unnoticed{Context: context.Background(), watched: watched}
					err := call(ctx, redisstore.New(connect(ctx), nil))
					if !errors.Is(err, context.Canceled) {
						t.Errorf("%s = %v, want an error wrapping Canceled", method, err)
					}
				})
			}
		}
	}
}

// An unnoticed context has ended, but the news is still on its way.
type unnoticed struct {
	context.Context
	watched bool // Done returns a channel
	ended   atomic.Bool
}

func (c *unnoticed) Done() <-chan struct{} {
	if c.watched {
		return make(chan struct{})
	}
	return nil
}

func (c *unnoticed) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return nil
}

// ending is a hook that ends ctx when the server has answered.
type ending struct{ ctx *unnoticed }

func (e ending) DialHook(next redis.DialHook) redis.DialHook { return next }
func (e ending) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		defer e.ctx.ended.Store(true)
		return next(ctx, cmd)
	}
}
func (e ending) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		defer e.ctx.ended.Store(true)
		return next(ctx, cmds)
	}
}

// With ContextTimeoutEnabled the client gives up at the deadline, perhaps before the
// context does, and says "i/o timeout".
func TestDeadlineThatTheClientNoticesFirstIsTheContexts(t *testing.T) {
	p := testserver.NewProxy(t, "tcp", testserver.RedisTCP(t).Addr)
	c := clientOf(t, &redis.Options{Addr: p.Addr, ContextTimeoutEnabled: true, MaxRetries: -1})
	s := redisstore.New(c, nil)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.BlackHole(true)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := s.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get = %v, want an error wrapping DeadlineExceeded", err)
		}
		cancel()
	}
}

// The race detector sees whether the call that was left alone still reads value.
func TestValueIsTheCallersAgainWhenTheContextHasEnded(t *testing.T) {
	hold := make(chan struct{})
	c := clientOf(t, options(testserver.Redis(t)))
	c.AddHook(holding{hold})
	s := redisstore.New(c, nil)
	value := bytes.Repeat([]byte("v"), 100)
	keys := []string{"a", "b"}
	for _, write := range []func(context.Context) error{
		func(ctx context.Context) error { return s.Set(ctx, "set", value, 0) },
		func(ctx context.Context) error { return s.Add(ctx, "add", value, 0) },
		func(ctx context.Context) error { return s.Swap(ctx, "swap", store.Token(value), value, 0) },
		func(ctx context.Context) error { return s.Delete(ctx, keys...) },
		func(ctx context.Context) error { _, err := s.GetMulti(ctx, keys); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if err := write(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want one wrapping DeadlineExceeded", err)
		}
		cancel()
	}
	clear(value)
	clear(keys)
	close(hold)
	await(t, "the Set that was left alone takes place", func() bool {
		got, err := s.Get(context.Background(), "set")
		return err == nil && slices.Equal(got, bytes.Repeat([]byte("v"), 100))
	})
}

// holding is a hook that lets no command pass until the channel is closed, and the
// context of none end it.
type holding struct{ until chan struct{} }

func (h holding) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h holding) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		<-h.until
		return next(context.WithoutCancel(ctx), cmd)
	}
}
func (h holding) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A client that sent Add and Swap again would find its own write and report that
// somebody else was first. One that sent Set again would bring back what was
// deleted in between.
func TestWritesOfValuesAreSentOnceAndTheOthersAgain(t *testing.T) {
	for _, test := range []struct {
		method string
		want   int64
	}{
		{"Get", 3}, {"Delete", 3}, {"Set", 1}, {"Add", 1}, {"Swap", 1},
	} {
		t.Run(test.method, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go hangUp(listener)
			attempts := &counting{}
			c := clientOf(t, &redis.Options{
				Addr: listener.Addr().String(), MaxRetries: 2, MinRetryBackoff: -1,
				Dialer: attempts.dial,
				// nothing but the command, so that each connection is one attempt
				Protocol: 2, DisableIdentity: true,
			})
			if err := calls(redisstore.New(c, nil))[test.method](context.Background()); err == nil || errors.Is(err, store.ErrExists) {
				t.Errorf("%s = %v, want an error of the connection", test.method, err)
			}
			if attempts.dials != test.want {
				t.Errorf("%s was tried %d times, want %d", test.method, attempts.dials, test.want)
			}
		})
	}
}

// hangUp takes a command and answers none but the client's greeting.
func hangUp(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			b := make([]byte, 4096)
			for {
				n, err := conn.Read(b)
				if err != nil {
					return
				}
				greeting := bytes.ToLower(b[:n])
				if !bytes.Contains(greeting, []byte("hello")) {
					return
				}
				fmt.Fprintf(conn, "-ERR unknown command\r\n")
			}
		}()
	}
}

type counting struct{ dials int64 }

func (c *counting) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.dials++
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func TestErrorsOfTheServerComeBackAsErrors(t *testing.T) {
	for _, test := range []struct {
		name, want string
		prepare    []string
		args       []string
		do         map[string]bool // methods that the server answers with the error
	}{
		{
			name: "a key of another type", want: "WRONGTYPE", prepare: []string{"RPUSH", "k", "element"},
			do: map[string]bool{"Get": true, "Swap": true},
		},
		{
			name: "a server that is full", want: "OOM", args: []string{"--maxmemory", "1"},
			do: map[string]bool{"Set": true, "Add": true},
		},
		{
			name: "a replica", want: "READONLY", prepare: []string{"REPLICAOF", "127.0.0.1", "1"},
			do: map[string]bool{"Set": true, "Add": true, "Delete": true},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := testserver.Redis(t, test.args...)
			if test.prepare != nil {
				if _, err := server.Do(test.prepare...); err != nil {
					t.Fatal(err)
				}
			}
			o := options(server)
			o.MinRetryBackoff = -1
			for method, call := range calls(redisstore.New(clientOf(t, o), nil)) {
				if !test.do[method] {
					continue
				}
				err := call(t.Context())
				var answer redis.Error
				if !errors.As(err, &answer) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s = %v, want an error that says %s", method, err, test.want)
				}
				if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
					t.Errorf("%s = %v, which is an answer", method, err)
				}
			}
		})
	}
}

func TestServerThatIsGoneIsAnErrorOfEveryMethod(t *testing.T) {
	server := testserver.Redis(t)
	o := options(server)
	o.MaxRetries = -1
	o.DialerRetries = 1
	s := redisstore.New(clientOf(t, o), nil)
	server.Kill()
	for method, call := range calls(s) {
		if err := call(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "memo: redisstore: ") {
			t.Errorf("%s = %v, want an error that begins with memo: redisstore:", method, err)
		}
	}
}

// The values of the servers that answer are there to use.
func TestGetMultiReturnsWhatTheOtherServersHave(t *testing.T) {
	nodes := testserver.RedisCluster(t)
	c := cluster(t, nodes)
	s := redisstore.New(c, nil)
	var keys []string
	for i := range 60 {
		keys = append(keys, fmt.Sprint("k", i))
		if err := s.Set(t.Context(), keys[i], []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping = %v, want nil", err)
	}
	nodes[2].Kill()
	found, err := s.GetMulti(t.Context(), keys)
	if err == nil {
		t.Error("GetMulti with a server down = nil, want an error")
	}
	if len(found) < 20 || len(found) >= len(keys) {
		t.Errorf("GetMulti found %d of %d values, want those of two servers out of three", len(found), len(keys))
	}
	if err := s.Delete(t.Context(), keys...); err == nil {
		t.Error("Delete with a server down = nil, want an error")
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("Ping with a server down = nil, want an error")
	}
	found, _ = s.GetMulti(t.Context(), keys)
	if len(found) > 0 {
		t.Errorf("after a Delete that failed for one server %d values are left on the others", len(found))
	}
}

// A server that does not answer in time costs its own values, and not those of the
// others, which have long been there.
func TestGetMultiReturnsInTimeWhatTheOtherServersHave(t *testing.T) {
	one, two := testserver.RedisTCP(t), testserver.RedisTCP(t)
	shards := redis.NewRing(&redis.RingOptions{
		Addrs:              map[string]string{"one": one.Addr, "two": two.Addr},
		HeartbeatFrequency: time.Hour, // it does not find out
	})
	t.Cleanup(func() { shards.Close() })
	nodes := testserver.RedisCluster(t)
	for _, test := range []struct {
		name   string
		client redis.UniversalClient
		silent *testserver.RedisServer
	}{
		{"ring", shards, two},
		{"cluster", cluster(t, nodes), nodes[2]},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := redisstore.New(test.client, nil)
			var keys []string
			for i := range 60 {
				keys = append(keys, fmt.Sprint("k", i))
				if err := s.Set(t.Context(), keys[i], []byte("v"), 0); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := test.silent.Do("CLIENT", "PAUSE", "600000"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			found, err := s.GetMulti(ctx, keys)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("GetMulti with a server that does not answer = %v, want the context's error", err)
			}
			if len(found) < 10 || len(found) == len(keys) {
				t.Errorf("GetMulti found %d of %d values, want those of the servers that answer", len(found), len(keys))
			}
		})
	}
}

func TestPingOfARingWithoutShardsFails(t *testing.T) {
	c := redis.NewRing(&redis.RingOptions{})
	defer c.Close()
	if err := redisstore.New(c, nil).Ping(t.Context()); err == nil {
		t.Error("Ping = nil, want an error")
	}
}

// The server forgets scripts when it is restarted.
func TestSwapWorksWhenTheServerDoesNotKnowTheScript(t *testing.T) {
	server := testserver.Redis(t)
	s := redisstore.New(client(t, server), nil)
	for range 2 {
		token := store.NewToken()
		if err := s.Set(t.Context(), "k", token[:], 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Swap(t.Context(), "k", token, []byte("another value, long enough"), 0); err != nil {
			t.Errorf("Swap = %v, want nil", err)
		}
		if _, err := server.Do("SCRIPT", "FLUSH"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAContextThatCannotEndCostsNoGoroutine(t *testing.T) {
	s := redisstore.New(client(t, testserver.Redis(t)), nil)
	if err := s.Set(context.Background(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	get := func(ctx context.Context) float64 {
		return testing.AllocsPerRun(100, func() { _, _ = s.Get(ctx, "k") })
	}
	deadline, cancel := ability.Within(context.Background(), time.Hour)
	defer cancel()
	plain, limited, watched := get(context.Background()), get(deadline), get(t.Context())
	if plain >= watched || limited >= watched {
		t.Errorf("Get allocates %v times without a context to watch, %v times with a deadline only, and %v times with one to watch", plain, limited, watched)
	}
}
