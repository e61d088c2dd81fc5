package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// A recorder is a sink that remembers what it was told. It fails the test when Up and
// Suspect come together, or Up(true) again without a Suspect.
type recorder struct {
	t *testing.T

	calling sync.Mutex // held during Up and Suspect
	mu      sync.Mutex
	told    []string
}

func (r *recorder) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if event == "up" && len(r.told) > 0 && !strings.HasPrefix(r.last("down", "suspect"), "suspect") {
		r.t.Errorf("up without a suspect before it, after %q", r.told)
	}
	r.told = append(r.told, event)
}

// last returns the last event that is one of events. r.mu must be held.
func (r *recorder) last(events ...string) string {
	for i := len(r.told) - 1; i >= 0; i-- {
		for _, event := range events {
			if r.told[i] == event {
				return event
			}
		}
	}
	return ""
}

func (r *recorder) Changed(keys []string) {
	for _, key := range keys {
		r.add("changed " + key)
	}
}

func (r *recorder) Suspect() { r.alone("suspect") }

func (r *recorder) Up(up bool) {
	if up {
		r.alone("up")
	} else {
		r.alone("down")
	}
}

func (r *recorder) alone(event string) {
	if !r.calling.TryLock() {
		r.t.Errorf("%s is called during another call of Up or Suspect", event)
		return
	}
	defer r.calling.Unlock()
	r.add(event)
}

func (r *recorder) count(event string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, told := range r.told {
		if told == event {
			n++
		}
	}
	return n
}

func (r *recorder) isUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last("up", "down") == "up"
}

// reports is the events but the keys.
func (r *recorder) reports() (events []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, told := range r.told {
		if !strings.HasPrefix(told, "changed ") {
			events = append(events, told)
		}
	}
	return events
}

// notify begins notifications and waits until they are up.
func notify(t *testing.T, c redis.UniversalClient, prefix string) (*recorder, func()) {
	t.Helper()
	sink := &recorder{t: t}
	stop, err := redisstore.New(c, nil).Notify(t.Context(), prefix, sink)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	await(t, "up", sink.isUp)
	return sink, stop
}

func wantReports(t *testing.T, sink *recorder, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, sink.reports()); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func TestNotifyIsUpWhenItReturns(t *testing.T) {
	sink := &recorder{t: t}
	stop, err := redisstore.New(client(t, testserver.Redis(t)), nil).Notify(t.Context(), "", sink)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	wantReports(t, sink, "up")
}

func TestEveryChangeUnderThePrefixIsReportedWhoeverMakesIt(t *testing.T) {
	server := testserver.Redis(t)
	sink, _ := notify(t, client(t, server), "users:")
	for _, test := range []struct {
		command string
		want    string
	}{
		{"SET users:1 v", "changed users:1"},
		{"SET users:2 v PX 20", "changed users:2"},
		{"RPUSH users:3 v", "changed users:3"},
		{"DEL users:1", "changed users:1"},
		{"FLUSHALL", "suspect"},
	} {
		before := sink.count(test.want)
		if _, err := server.Do(strings.Fields(test.command)...); err != nil {
			t.Fatal(err)
		}
		await(t, test.command+" is reported", func() bool { return sink.count(test.want) > before })
	}
	if _, err := server.Do("SET", "users:4", "v", "PX", "20"); err != nil {
		t.Fatal(err)
	}
	await(t, "the expiry is reported", func() bool { return sink.count("changed users:4") > 1 })

	if _, err := server.Do("SET", "pages:1", "v"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Do("SET", "users:5", "v"); err != nil {
		t.Fatal(err)
	}
	await(t, "the last SET is reported", func() bool { return sink.count("changed users:5") > 0 })
	if sink.count("changed pages:1") > 0 {
		t.Error("a key outside the prefix was reported")
	}
	wantReports(t, sink, "up", "suspect")
}

func TestLostConnectionIsReportedAndMadeAgain(t *testing.T) {
	server := testserver.RedisTCP(t)
	p := testserver.NewProxy(t, "tcp", server.Addr)
	sink, _ := notify(t, clientOf(t, &redis.Options{Addr: p.Addr}), "")

	p.Down()
	await(t, "down", func() bool { return !sink.isUp() })
	if _, err := server.Do("SET", "k", "v"); err != nil { // nobody will tell
		t.Fatal(err)
	}
	p.Up(t)
	await(t, "up again", sink.isUp)
	wantReports(t, sink, "up", "down", "suspect", "up")

	if _, err := server.Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	await(t, "the SET is reported", func() bool { return sink.count("changed k") > 0 })
}

func TestLostConnectionIsReplacedByOneOther(t *testing.T) {
	p := testserver.NewProxy(t, "tcp", testserver.RedisTCP(t).Addr)
	sink, _ := notify(t, clientOf(t, &redis.Options{Addr: p.Addr}), "")
	p.Drop()
	await(t, "up again", func() bool { return sink.count("up") == 2 })
	if got := p.Accepted(); got != 2 {
		t.Errorf("there were %d connections, want 2", got)
	}
}

func TestConnectionThatFallsSilentIsReported(t *testing.T) {
	p := testserver.NewProxy(t, "tcp", testserver.RedisTCP(t).Addr)
	sink, _ := notify(t, clientOf(t, &redis.Options{Addr: p.Addr}), "")
	p.BlackHole(true)
	await(t, "down", func() bool { return !sink.isUp() })
	p.BlackHole(false)
	await(t, "up again", sink.isUp)
	wantReports(t, sink, "up", "down", "suspect", "up")
}

func TestServerThatAnswersStaysUp(t *testing.T) {
	server := testserver.Redis(t)
	sink, _ := notify(t, client(t, server), "")
	await(t, "more is asked and answered than a silent server would be", func() bool {
		stats, err := server.Do("INFO", "commandstats")
		return err == nil && strings.Contains(stats, "cmdstat_ping:calls=9")
	})
	wantReports(t, sink, "up")
}

func TestServerThatIsDownIsTriedUntilItIsUp(t *testing.T) {
	server := testserver.RedisTCP(t)
	p := testserver.NewProxy(t, "tcp", server.Addr)
	p.Down()
	sink := &recorder{t: t}
	stop, err := redisstore.New(clientOf(t, &redis.Options{Addr: p.Addr}), nil).Notify(t.Context(), "", sink)
	if err != nil {
		t.Fatalf("Notify with the server down = %v, want nil", err)
	}
	defer stop()
	wantReports(t, sink)
	p.Up(t)
	await(t, "up", sink.isUp)
	wantReports(t, sink, "up")
}

func TestContextBoundsNotifyWhileTheServerIsSilent(t *testing.T) {
	p := testserver.NewProxy(t, "tcp", testserver.RedisTCP(t).Addr)
	p.BlackHole(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	sink := &recorder{t: t}
	stop, err := redisstore.New(clientOf(t, &redis.Options{Addr: p.Addr}), nil).Notify(ctx, "", sink)
	if !errors.Is(err, context.DeadlineExceeded) || stop != nil {
		t.Errorf("Notify = stop %t, %v, want no stop and an error wrapping DeadlineExceeded", stop != nil, err)
	}
	wantReports(t, sink)
}

func TestStopEndsTheConnection(t *testing.T) {
	for _, when := range []string{"up", "down", "silent"} {
		t.Run(when, func(t *testing.T) {
			server := testserver.RedisTCP(t)
			p := testserver.NewProxy(t, "tcp", server.Addr)
			sink, stop := notify(t, clientOf(t, &redis.Options{Addr: p.Addr}), "")
			switch when {
			case "down":
				p.Down()
				await(t, "down", func() bool { return !sink.isUp() })
			case "silent":
				p.BlackHole(true)
			}
			told := len(sink.reports())
			start := time.Now()
			stop()
			stop()
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("stop took %v", took)
			}
			if _, err := server.Do("SET", "k", "v"); err != nil {
				t.Fatal(err)
			}
			await(t, "no connection but ours is left", func() bool {
				list, err := server.Do("CLIENT", "LIST")
				return err == nil && strings.Count(list, "\n") == 1
			})
			if sink.count("changed k") > 0 || len(sink.reports()) > told {
				t.Errorf("after stop the sink was told: %q", sink.told)
			}
		})
	}
}

// Whoever closes the client need not know of the notifications.
func TestClosingTheClientEndsTheNotifications(t *testing.T) {
	nodes := testserver.RedisCluster(t)
	for name, setUp := range map[string]func() (*testserver.RedisServer, redis.UniversalClient){
		"one server": func() (*testserver.RedisServer, redis.UniversalClient) {
			server := testserver.RedisTCP(t)
			return server, redis.NewClient(&redis.Options{Addr: server.Addr})
		},
		"cluster": func() (*testserver.RedisServer, redis.UniversalClient) {
			return nodes[0], redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].Addr}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := setUp()
			sink, _ := notify(t, c, "")
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			await(t, "no connection but ours is left", func() bool {
				list, err := server.Do("CLIENT", "LIST", "TYPE", "normal")
				return err == nil && strings.Count(list, "\n") == 1
			})
			await(t, "down", func() bool { return !sink.isUp() })
			wantReports(t, sink, "up", "down")
		})
	}
}

func TestServerThatCannotNotifyIsUnsupported(t *testing.T) {
	for name, c := range map[string]func(t *testing.T) redis.UniversalClient{
		"no RESP3": func(t *testing.T) redis.UniversalClient {
			return client(t, testserver.Redis(t, "--rename-command", "HELLO", ""))
		},
		"no permission": func(t *testing.T) redis.UniversalClient {
			server := testserver.Redis(t)
			if _, err := server.Do("ACL", "SETUSER", "default", "-client|tracking"); err != nil {
				t.Fatal(err)
			}
			return client(t, server)
		},
		"ring":         func(t *testing.T) redis.UniversalClient { return ring(t) },
		"autopipeline": func(t *testing.T) redis.UniversalClient { return autoPipeline(t, client(t, testserver.Redis(t))) },
	} {
		t.Run(name, func(t *testing.T) {
			sink := &recorder{t: t}
			stop, err := redisstore.New(c(t), nil).Notify(t.Context(), "", sink)
			if !errors.Is(err, errors.ErrUnsupported) || stop != nil {
				t.Errorf("Notify = stop %t, %v, want no stop and an error wrapping ErrUnsupported", stop != nil, err)
			}
			wantReports(t, sink)
		})
	}
}

// The client is RESP2, has a hook of its own on connections and a password.
func TestNotificationsConnectAsTheClientDoes(t *testing.T) {
	server := testserver.Redis(t)
	if _, err := server.Do("CONFIG", "SET", "requirepass", "secret"); err != nil {
		t.Fatal(err)
	}
	o := options(server)
	o.Protocol = 2
	o.Password = "secret"
	o.ClientName = "application"
	var mu sync.Mutex
	connected := 0
	o.OnConnect = func(context.Context, *redis.Conn) error {
		mu.Lock()
		defer mu.Unlock()
		connected++
		return nil
	}
	notify(t, clientOf(t, o), "")
	mu.Lock()
	defer mu.Unlock()
	if connected != 1 {
		t.Errorf("OnConnect was called %d times, want 1", connected)
	}
}

func TestClusterReportsChangesOnEveryMasterAndIsDownWithOne(t *testing.T) {
	nodes := testserver.RedisCluster(t)
	c := cluster(t, nodes)
	sink, _ := notify(t, c, "k")
	s := redisstore.New(c, nil)
	for i := range 60 {
		if err := s.Set(t.Context(), fmt.Sprint("k", i), []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 60 {
		await(t, "every change is reported", func() bool { return sink.count(fmt.Sprint("changed k", i)) > 0 })
	}
	nodes[1].Kill()
	await(t, "down", func() bool { return !sink.isUp() })
	wantReports(t, sink, "up", "down")
}

// A master that joins has changes from before it was listened to.
func TestClusterNotificationsFollowTheMasters(t *testing.T) {
	nodes := testserver.RedisCluster(t)
	sink, _ := notify(t, cluster(t, nodes), "")
	joined := testserver.JoinRedisCluster(t, nodes)
	all := append(nodes, joined)
	must := func(r *testserver.RedisServer, words ...string) string {
		t.Helper()
		reply, err := r.Do(words...)
		if err != nil {
			t.Fatal(words, err)
		}
		return reply
	}
	slot := must(joined, "CLUSTER", "KEYSLOT", "k8")
	give := func(to *testserver.RedisServer) {
		id := must(to, "CLUSTER", "MYID")
		for _, node := range all {
			await(t, "all know the node that gets the slot", func() bool {
				_, err := node.Do("CLUSTER", "SETSLOT", slot, "NODE", id)
				return err == nil
			})
		}
		must(to, "CLUSTER", "BUMPEPOCH")
	}

	give(joined)
	await(t, "the joined master is listened to", func() bool { return sink.count("up") > 1 && sink.isUp() })
	wantReports(t, sink, "up", "down", "suspect", "up")
	await(t, "the joined master can be written to", func() bool {
		_, err := joined.Do("SET", "k8", "v")
		return err == nil
	})
	await(t, "a SET on the joined master is reported", func() bool { return sink.count("changed k8") > 0 })
	must(joined, "DEL", "k8")

	listeners := func() int { return strings.Count(must(joined, "CLIENT", "LIST"), " flags=tB ") }
	if got := listeners(); got != 1 {
		t.Errorf("%d connections listen to the joined master, want 1", got)
	}
	give(nodes[1])
	await(t, "nobody listens to a node that has no slots any more", func() bool { return listeners() == 0 })
}

// The old master stays as it is; only the client knows that there is a new one.
func TestNotificationsMoveWhenTheMasterDoes(t *testing.T) {
	before, after := testserver.Redis(t), testserver.Redis(t)
	var master atomic.Pointer[testserver.RedisServer]
	master.Store(before)
	sink, _ := notify(t, clientOf(t, &redis.Options{
		Addr:            "FailoverClient", // as redis.NewFailoverClient calls it
		ConnMaxLifetime: time.Nanosecond,  // every command looks for the master
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, master.Load().Network, master.Load().Addr)
		},
	}), "")
	master.Store(after)
	await(t, "the notifications move", func() bool { return sink.count("up") == 2 })
	wantReports(t, sink, "up", "down", "suspect", "up")
	if _, err := after.Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	await(t, "a SET on the new master is reported", func() bool { return sink.count("changed k") > 0 })
}

// The replica takes over on request, while the old master goes on answering.
func TestSentinelFailoverMovesTheNotifications(t *testing.T) {
	s := testserver.NewRedisSentinel(t)
	sink, _ := notify(t, failover(t, s), "")
	// On a machine under load the replica may seem lost for a moment (NOGOODSLAVE).
	await(t, "there is a failover", func() bool {
		_, err := s.Sentinels[0].Do("SENTINEL", "FAILOVER", s.MasterName)
		return err == nil || strings.Contains(err.Error(), "INPROG")
	})
	await(t, "the notifications move", func() bool { return sink.count("up") > 1 && sink.isUp() })
	await(t, "a SET on the new master is reported", func() bool {
		_, _ = s.Replica.Do("SET", "k", "v") // fails while it is a replica still
		return sink.count("changed k") > 0 && sink.isUp()
	})
}
