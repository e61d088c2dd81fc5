package testserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// resp is commands as a client of Redis sends them.
func resp(commands ...string) string {
	var b strings.Builder
	for _, command := range commands {
		words := strings.Fields(command)
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	return b.String()
}

const (
	oom      = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
	readOnly = "-READONLY You can't write against a read only replica.\r\n"
	loading  = "-LOADING Redis is loading the dataset in memory\r\n"
	full     = "SERVER_ERROR out of memory storing object\r\n"
)

func TestScriptsAnswerWhatAServerInTroubleWould(t *testing.T) {
	const ok, null, zero, v = "+OK\r\n", "$-1\r\n", ":0\r\n", "$1\r\nv\r\n"
	for _, test := range []struct {
		name                string
		script              Script
		set, get, del, eval string
	}{
		{"none", nil, ok, v, ":1\r\n", null},
		{"OOM", RedisOOM, oom, null, zero, oom},
		{"READONLY", RedisReadOnly, readOnly, null, readOnly, readOnly},
		{"LOADING", RedisLoading, loading, loading, loading, loading},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := NewRedisProxy(t, Redis(t))
			p.Answer(test.script)
			// In one write: the replies keep the order of the commands, whoever gives them.
			request := resp("SET k v", "GET k", "DEL k", "GET k")
			want := test.set + test.get + test.del + strings.Replace(test.get, v, null, 1)
			if got := send(t, dial(t, p.Proxy), request, want); got != want {
				t.Errorf("%q brings %q, want %q", request, got, want)
			}
			request = resp("EVAL redis.call('GET','k') 0")
			if got := send(t, dial(t, p.Proxy), request, test.eval); got != test.eval {
				t.Errorf("%q brings %q, want %q", request, got, test.eval)
			}
		})
	}
}

func TestMemcachedThatIsFullStoresNothing(t *testing.T) {
	p := NewMemcachedProxy(t, Memcached(t))
	conn := dial(t, p.Proxy)
	const (
		request = "set k 0 0 7\r\nv\r\nget \r\nget k absent\r\nadd l 0 0 1\r\nv\r\nget l\r\ndelete l\r\n"
		value   = "VALUE k 0 7\r\nv\r\nget \r\nEND\r\n"
	)
	want := "STORED\r\n" + value + "STORED\r\nVALUE l 0 1\r\nv\r\nEND\r\nDELETED\r\n"
	if got := send(t, conn, request, want); got != want {
		t.Errorf("%q brings %q, want %q", request, got, want)
	}
	conn = dial(t, p.Proxy)
	p.Answer(MemcachedFull)
	want = full + value + full + "END\r\nNOT_FOUND\r\n"
	if got := send(t, conn, request, want); got != want {
		t.Errorf("when it is full, %q brings %q, want %q", request, got, want)
	}
}

func TestScriptIsSwitchedOnAndOffWithinAConnection(t *testing.T) {
	p := NewRedisProxy(t, Redis(t))
	conn := dial(t, p.Proxy)
	for i, script := range []Script{nil, RedisOOM, nil, RedisLoading, nil} {
		p.Answer(script)
		want := "+OK\r\n"
		if script != nil {
			want = script([]string{"SET", "k", "v"})
		}
		if got := send(t, conn, resp("set k v"), want); got != want {
			t.Errorf("SET number %d = %q, want %q", i, got, want)
		}
	}
	if got := p.Accepted(); got != 1 {
		t.Errorf("there were %d connections, want 1", got)
	}
}

// A reply that is still to come from the server comes first.
func TestScriptWaitsForWhatTheServerHasYetToAnswer(t *testing.T) {
	server := Redis(t)
	p := NewRedisProxy(t, server)
	conn := dial(t, p.Proxy)
	p.Latency(50 * time.Millisecond)
	p.Answer(func(command []string) string {
		if command[0] == "PING" {
			return "+SCRIPTED\r\n"
		}
		return ""
	})
	const want = "$-1\r\n+SCRIPTED\r\n"
	if got := send(t, conn, resp("GET k", "PING"), want); got != want {
		t.Errorf("GET and PING bring %q, want %q", got, want)
	}
	p.BlackHole(true)
	p.Latency(time.Hour)
	if _, err := io.WriteString(conn, resp("GET k", "PING")); err != nil {
		t.Fatal(err)
	}
	// The test ends although the script still waits.
}

func TestNotificationsAreNotTakenForReplies(t *testing.T) {
	for reply, want := range map[string]bool{">1\r\n+x\r\n": true, "*1\r\n+x\r\n": false, "+x\r\n": false} {
		f := frame{r: bufio.NewReader(strings.NewReader(reply + "+next\r\n"))}
		if unasked, err := redisProtocol.reply(&f); unasked != want || err != nil || string(f.bytes) != reply {
			t.Errorf("%q is read as %q, unasked %t, %v, want unasked %t", reply, f.bytes, unasked, err, want)
		}
	}
}

func TestScriptAnswersOnAConnectionWithNotifications(t *testing.T) {
	server := Redis(t)
	p := NewRedisProxy(t, server)
	conn := dial(t, p.Proxy)
	request := resp("HELLO 3", "CLIENT TRACKING ON BCAST", "SUBSCRIBE c", "GET absent")
	if got := readUntil(t, conn, request, "_\r\n"); !strings.Contains(got, ">3\r\n$9\r\nsubscribe\r\n") {
		t.Errorf("%q brings %q, without a subscription", request, got)
	}
	for range 3 {
		server.must(t, "SET", "k", "v")
	}
	const push = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
	if got := send(t, conn, "", push+push+push); got != push+push+push {
		t.Errorf("three changes bring %q, want %q three times", got, push)
	}
	p.Answer(RedisLoading)
	if got := send(t, conn, resp("PING"), loading); got != loading {
		t.Errorf("PING = %q, want %q", got, loading)
	}
}

// readUntil returns what text brings until it ends with end.
func readUntil(t *testing.T, conn net.Conn, text, end string) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	b := make([]byte, 4096)
	for !strings.HasSuffix(got.String(), end) {
		n, err := conn.Read(b)
		got.Write(b[:n])
		if err != nil {
			t.Fatalf("after %q: %v", got.String(), err)
		}
	}
	return got.String()
}

// Replies of any size are torn where they are to be, and not where a piece of them
// happens to end.
func TestRepliesOfAServerThatIsUnderstoodAreTornAsAWhole(t *testing.T) {
	p := NewRedisProxy(t, Redis(t))
	value := strings.Repeat("v", 1<<20)
	conn := dial(t, p.Proxy)
	want := "+OK\r\n$1048576\r\n" + value + "\r\n"
	if got := send(t, conn, resp("SET k "+value, "GET k"), want); got != want {
		t.Errorf("GET of a long value brings %d bytes, want %d", len(got), len(want))
	}
	p.Tear(1000)
	if _, err := io.WriteString(conn, resp("GET k")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); len(got) != 1000 || err != nil {
		t.Errorf("a torn reply has %d bytes, %v, want 1000", len(got), err)
	}
}
