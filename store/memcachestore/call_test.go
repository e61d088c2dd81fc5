package memcachestore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memcachestore"
)

// calls are all methods, each as one call.
func calls(s *memcachestore.Store) map[string]func(context.Context) error {
	value := []byte("0123456789abcdef and more")
	return map[string]func(context.Context) error{
		"Get":         func(ctx context.Context) error { _, err := s.Get(ctx, "k"); return err },
		"GetMulti":    func(ctx context.Context) error { _, err := s.GetMulti(ctx, []string{"k", "l"}); return err },
		"Set":         func(ctx context.Context) error { return s.Set(ctx, "k", value, time.Hour) },
		"Add":         func(ctx context.Context) error { return s.Add(ctx, "k", value, time.Hour) },
		"Swap":        func(ctx context.Context) error { return s.Swap(ctx, "k", store.Token(value), value, 0) },
		"Delete":      func(ctx context.Context) error { return s.Delete(ctx, "k") },
		"Delete many": func(ctx context.Context) error { return s.Delete(ctx, "k", "l", "m") },
		"Ping":        s.Ping,
	}
}

// blackHole returns a proxy whose server is not heard any more.
func blackHole(t *testing.T) *testserver.Proxy {
	t.Helper()
	server := testserver.Memcached(t)
	p := testserver.NewProxy(t, server.Network, server.Addr)
	p.BlackHole(true)
	return p // whose end ends the calls that were left alone
}

func TestContextEndsACallThatTheServerDoesNotAnswer(t *testing.T) {
	for method, call := range calls(memcachestore.New(clientOf(t, blackHole(t).Addr), nil)) {
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
}

func wantSoon(t *testing.T, call func(context.Context) error, ctx context.Context, want error) {
	t.Helper()
	start := time.Now()
	err := call(ctx)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("returned after %v", took)
	}
	if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "memo: memcachestore: ") {
		t.Errorf("error = %v, want one wrapping %v", err, want)
	}
}

// A server that hangs is not asked twice.
func TestTimeoutOfTheClientIsAnErrorAtOnce(t *testing.T) {
	p := blackHole(t)
	for method := range calls(memcachestore.New(memcache.New(), nil)) {
		t.Run(method, func(t *testing.T) {
			var dials atomic.Int64
			c := counted(clientOf(t, p.Addr), &dials)
			c.Timeout = 20 * time.Millisecond
			err := calls(memcachestore.New(c, nil))[method](context.Background())
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("error = %v, want a timeout", err)
			}
			want := int64(1)
			if method == "Delete many" {
				want = 3 // one for each key
			}
			if got := dials.Load(); got != want {
				t.Errorf("the server was asked %d times, want %d", got, want)
			}
		})
	}
}

func counted(c *memcache.Client, dials *atomic.Int64) *memcache.Client {
	c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return c
}

// The race detector sees whether the call that was left alone still reads what
// belongs to the caller.
func TestArgumentsAreTheCallersAgainWhenTheContextHasEnded(t *testing.T) {
	server := testserver.Memcached(t)
	c := client(t, server)
	hold := make(chan struct{})
	c.DialContext = func(_ context.Context, network, addr string) (net.Conn, error) {
		<-hold
		return net.Dial(network, addr)
	}
	s := memcachestore.New(c, nil)
	want := bytes.Repeat([]byte("v"), 100)
	value, keys := bytes.Clone(want), []string{"a", "b", "c", "d"}
	for _, call := range []func(context.Context) error{
		func(ctx context.Context) error { return s.Set(ctx, "set", value, 0) },
		func(ctx context.Context) error { return s.Add(ctx, "add", value, 0) },
		func(ctx context.Context) error { return s.Swap(ctx, "swap", store.Token(value), value, 0) },
		func(ctx context.Context) error { return s.Delete(ctx, keys...) },
		func(ctx context.Context) error { _, err := s.GetMulti(ctx, keys); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want one wrapping DeadlineExceeded", err)
		}
		cancel()
	}
	for i := range value { // clear would not be seen by the race detector
		value[i] = 'x'
	}
	for i := range keys {
		keys[i] = "x"
	}
	close(hold)
	for _, key := range []string{"set", "add"} {
		await(t, "the write that was left alone takes place", func() bool {
			got, err := s.Get(t.Context(), key)
			return err == nil && bytes.Equal(got, want)
		})
	}
}

// await waits until done, which a machine under load takes long for.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestAContextThatCannotEndCostsNoGoroutine(t *testing.T) {
	s := memcachestore.New(client(t, testserver.Memcached(t)), nil)
	get := func(ctx context.Context) float64 {
		return testing.AllocsPerRun(100, func() { _, _ = s.Get(ctx, "k") })
	}
	if plain, watched := get(context.Background()), get(t.Context()); plain >= watched {
		t.Errorf("Get allocates %v times without a context to watch, and %v times with one", plain, watched)
	}
}

// All pooled connections are stale after a restart, and each is found out by using it.
func TestRestartOfTheServerIsNoErrorOfWhatMayBeRepeated(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) *testserver.MemcachedServer{
		"unix": testserver.Memcached, "tcp": testserver.MemcachedTCP,
	} {
		for method, want := range map[string]error{
			"Get": store.ErrNotFound, "GetMulti": nil, "Swap": store.ErrConflict, "Delete": nil, "Delete many": nil, "Ping": nil,
		} {
			t.Run(name+"/"+method, func(t *testing.T) {
				const pooled = 8
				server := start(t)
				c := pool(t, client(t, server), pooled)
				s := memcachestore.New(c, nil)
				server.Restart(t)
				var dials atomic.Int64
				counted(c, &dials)
				if err := calls(s)[method](t.Context()); !errors.Is(err, want) {
					t.Errorf("after a restart, %s = %v, want %v", method, err, want)
				}
				if dials.Load() == 0 {
					t.Errorf("%s has not met the stale connections", method)
				}
			})
		}
	}
}

// pool makes c keep n open connections.
func pool(t *testing.T, c *memcache.Client, n int) *memcache.Client {
	t.Helper()
	var dialled sync.WaitGroup // none is put back before all are made
	dialled.Add(n)
	c.MaxIdleConns = n
	c.DialContext = func(_ context.Context, network, addr string) (net.Conn, error) {
		conn, err := net.Dial(network, addr)
		dialled.Done()
		dialled.Wait()
		return conn, err
	}
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			if err := c.Ping(); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	c.DialContext = nil
	return c
}

func TestCallsAreRepeatedOnlyWhereThatDoesNoHarm(t *testing.T) {
	for _, test := range []struct {
		method, command string
		idle            int // the client's MaxIdleConns
		want            int // commands
	}{
		{"Get", "gets", 0, 3},
		{"Get", "gets", 1, 2},
		{"Get", "gets", 1000, 17},
		{"GetMulti", "gets", 0, 3},
		{"Swap", "gets", 0, 3},
		{"Delete", "delete", 0, 3},
		{"Ping", "version", 0, 3},
		{"Set", "set", 0, 1},
		{"Add", "add", 0, 1},
	} {
		t.Run(fmt.Sprintf("%s with %d idle connections", test.method, test.idle), func(t *testing.T) {
			f := newFake(t, func(string) string { return "" })
			c := clientOf(t, f.addr)
			c.MaxIdleConns = test.idle
			err := calls(memcachestore.New(c, nil))[test.method](context.Background())
			if !errors.Is(err, io.EOF) || !strings.HasPrefix(err.Error(), "memo: memcachestore: "+strings.ToLower(test.method[:3])) {
				t.Errorf("%s = %v, want an error wrapping EOF that names it", test.method, err)
			}
			if got := f.count(test.command); got != test.want {
				t.Errorf("%s was sent %d times, want %d", test.command, got, test.want)
			}
		})
	}
}

func TestTheWriteOfASwapIsNotRepeated(t *testing.T) {
	const value = "0123456789abcdef and more"
	f := newFake(t, func(command string) string {
		if strings.HasPrefix(command, "gets ") {
			return fmt.Sprintf("VALUE k 0 %d 7\r\n%s\r\nEND\r\n", len(value), value)
		}
		return ""
	})
	err := calls(memcachestore.New(clientOf(t, f.addr), nil))["Swap"](context.Background())
	if !errors.Is(err, io.EOF) {
		t.Errorf("Swap = %v, want an error wrapping EOF", err)
	}
	if got := f.count("cas"); got != 1 {
		t.Errorf("cas was sent %d times, want once", got)
	}
}

func TestAnswersThatMakeNoSenseAreErrors(t *testing.T) {
	for name, answer := range map[string]string{
		"nonsense":         "NONSENSE\r\n",
		"server error":     "SERVER_ERROR internal error\r\n",
		"no connections":   "ERROR Too many open connections\r\n",
		"another key":      "VALUE other 0 3 7\r\nabc\r\nEND\r\n",
		"torn":             "VALUE k 0 30 7\r\nabc",
		"not as announced": "VALUE k 0 3 7\r\nabcdef\r\nEND\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := memcachestore.New(clientOf(t, newFake(t, func(string) string { return answer }).addr), nil)
			for method, call := range calls(s) {
				err := call(t.Context())
				if method == "GetMulti" && name == "another key" {
					continue // nothing that was asked for
				}
				if err == nil || !strings.HasPrefix(err.Error(), "memo: memcachestore: ") || errors.Is(err, store.ErrRefused) {
					t.Errorf("%s = %v, want an error that begins with memo: memcachestore:", method, err)
				}
				for _, answer := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict} {
					if errors.Is(err, answer) {
						t.Errorf("%s = %v, which is an answer", method, err)
					}
				}
			}
			if found, _ := s.GetMulti(t.Context(), []string{"k"}); found == nil || len(found) > 0 {
				t.Errorf("GetMulti = %v, want an empty map", found)
			}
		})
	}
}

// A fake server answers each command and hangs up. It is for what a real one does
// only by chance.
type fake struct {
	addr string

	mu       sync.Mutex
	commands []string
}

func newFake(t *testing.T, answer func(command string) string) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: listener.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(conn, answer) })
		}
	})
	return f
}

func (f *fake) serve(conn net.Conn, answer func(command string) string) {
	defer conn.Close()
	commands := bufio.NewReader(conn)
	for {
		command, err := commands.ReadString('\n')
		if err != nil {
			return
		}
		f.mu.Lock()
		f.commands = append(f.commands, command)
		f.mu.Unlock()
		switch strings.Fields(command)[0] {
		case "set", "add", "cas":
			if _, err := commands.ReadString('\n'); err != nil { // the value
				return
			}
		}
		reply := answer(command)
		if _, err := io.WriteString(conn, reply); err != nil || !strings.HasSuffix(reply, "END\r\n") {
			return
		}
	}
}

func (f *fake) count(command string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.commands {
		if strings.HasPrefix(c, command+" ") || strings.HasPrefix(c, command+"\r") {
			n++
		}
	}
	return n
}

func TestServerThatIsGoneIsAnErrorOfEveryMethod(t *testing.T) {
	for name, server := range map[string]*testserver.MemcachedServer{"unix": testserver.Memcached(t), "tcp": testserver.MemcachedTCP(t)} {
		t.Run(name, func(t *testing.T) {
			s := memcachestore.New(pool(t, client(t, server), 4), nil)
			server.Kill()
			for method, call := range calls(s) {
				if err := call(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "memo: memcachestore: ") {
					t.Errorf("%s = %v, want an error that begins with memo: memcachestore:", method, err)
				}
			}
		})
	}
}

// The values of the servers that answer are there to use.
func TestGetMultiReturnsWhatTheOtherServersHave(t *testing.T) {
	servers := threeServers(t)
	s := memcachestore.New(client(t, servers...), nil)
	var keys []string
	for i := range 90 {
		keys = append(keys, fmt.Sprint("k", i))
		set(t, s, keys[i], []byte(keys[i]))
	}
	servers[1].Kill()

	found, err := s.GetMulti(t.Context(), keys)
	if err == nil {
		t.Error("GetMulti with a server down = nil, want an error")
	}
	if len(found) < 40 || len(found) > 80 {
		t.Errorf("GetMulti found %d of %d values, want those of two servers out of three", len(found), len(keys))
	}
	for key, value := range found {
		if key != string(value) {
			t.Errorf("GetMulti returned %q under %q", value, key)
		}
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("Ping with a server down = nil, want an error")
	}
	if err := s.Delete(t.Context(), keys...); err == nil {
		t.Error("Delete with a server down = nil, want an error")
	}
	if found, _ := s.GetMulti(t.Context(), keys); len(found) > 0 {
		t.Errorf("after a Delete that failed for one server %d values are left on the others", len(found))
	}
}

// One server is back and empty, with stale connections to it pooled: its keys are
// absent and not an error, and the others' values are found at the first attempt.
func TestGetMultiAsksAgainAfterOneOfTheServersWasRestarted(t *testing.T) {
	servers := threeServers(t)
	s := memcachestore.New(client(t, servers...), nil)
	var keys []string
	for i := range 90 {
		keys = append(keys, fmt.Sprint("k", i))
		set(t, s, keys[i], []byte(keys[i]))
	}
	servers[1].Restart(t)
	found, err := s.GetMulti(t.Context(), keys)
	if err != nil {
		t.Errorf("GetMulti after a restart = %v, want nil", err)
	}
	if len(found) < 40 || len(found) > 80 {
		t.Errorf("GetMulti found %d of %d values, want those of two servers out of three", len(found), len(keys))
	}
}

// A method that reports success has done all of its work, also if its context ends
// without anybody having noticed yet.
func TestContextThatEndsBetweenThePartsOfACallIsAnError(t *testing.T) {
	server := testserver.Memcached(t)
	value := []byte("0123456789abcdef")
	var keys []string
	for i := range 3000 {
		keys = append(keys, fmt.Sprint("k", i))
	}
	for name, call := range map[string]func(context.Context, *memcachestore.Store) error{
		"Delete":   func(ctx context.Context, s *memcachestore.Store) error { return s.Delete(ctx, keys...) },
		"GetMulti": func(ctx context.Context, s *memcachestore.Store) error { _, err := s.GetMulti(ctx, keys); return err },
		"Swap": func(ctx context.Context, s *memcachestore.Store) error {
			return s.Swap(ctx, "k", store.Token(value), value, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			set(t, memcachestore.New(client(t, server), nil), "k", value)
			ctx := &unnoticed{Context: context.Background()}
			c := client(t, server)
			c.DialContext = func(_ context.Context, network, addr string) (net.Conn, error) {
				ctx.ended.Store(true)
				return net.Dial(network, addr)
			}
			if err := call(ctx, memcachestore.New(c, nil)); !errors.Is(err, context.Canceled) {
				t.Errorf("%s = %v, want an error wrapping Canceled", name, err)
			}
		})
	}
}

// An unnoticed context has ended, but the news is still on its way.
type unnoticed struct {
	context.Context
	ended atomic.Bool
}

func (c *unnoticed) Done() <-chan struct{} { return make(chan struct{}) }
func (c *unnoticed) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return nil
}

func TestErrorThatComesWithTheEndOfTheContextIsTheContexts(t *testing.T) {
	ctx := &unnoticed{Context: context.Background()}
	c := clientOf(t, "127.0.0.1:1")
	c.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ctx.ended.Store(true)
		return nil, errors.New("no route")
	}
	_, err := memcachestore.New(c, nil).Get(ctx, "k")
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no route") {
		t.Errorf("Get = %v, want an error wrapping Canceled that says what happened", err)
	}
}

func TestGetMultiWithADoneContextReturnsAMap(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err := memcachestore.New(memcache.New(), nil).GetMulti(ctx, []string{"k"})
	if found == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("GetMulti = %v, %v, want a map and an error wrapping Canceled", found, err)
	}
}
