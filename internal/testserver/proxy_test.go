package testserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo starts a server that sends back what it is sent.
func echo(t *testing.T) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func exchange(t *testing.T, conn net.Conn, line string, patience time.Duration) (string, error) {
	t.Helper()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn).ReadString('\n')
}

func TestProxyPassesBothWaysUntilItBecomesABlackHole(t *testing.T) {
	p := NewProxy(t, "tcp", echo(t))
	conn := dial(t, p)
	if got, err := exchange(t, conn, "hello", 10*time.Second); got != "hello\n" || err != nil {
		t.Errorf("through the proxy comes %q, %v", got, err)
	}
	p.BlackHole(true)
	if got, err := exchange(t, conn, "lost", 20*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("out of the hole comes %q, %v, want nothing on an open connection", got, err)
	}
	if got := p.Accepted(); got != 1 {
		t.Errorf("Accepted = %d, want 1", got)
	}
}

func TestProxyDelaysReplies(t *testing.T) {
	p := NewProxy(t, "tcp", echo(t))
	conn := dial(t, p)
	const latency = 50 * time.Millisecond
	p.Latency(latency)
	start := time.Now()
	if got, err := exchange(t, conn, "late", 10*time.Second); got != "late\n" || err != nil {
		t.Errorf("a slow proxy brings %q, %v", got, err)
	}
	if took := time.Since(start); took < latency {
		t.Errorf("the reply took %v, want at least %v", took, latency)
	}
	p.Latency(time.Hour)
	if got, err := exchange(t, conn, "never", 20*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("within 20 ms of an hour comes %q, %v", got, err)
	} // and the test ends at once
}

func TestProxyTearsRepliesThatAreLongEnough(t *testing.T) {
	p := NewProxy(t, "tcp", echo(t))
	conn := dial(t, p)
	p.Tear(4)
	if got, err := exchange(t, conn, "abc", 10*time.Second); got != "abc\n" || err != nil {
		t.Errorf("a reply of the length that passes comes as %q, %v", got, err)
	}
	if got, err := exchange(t, conn, "0123456789", 10*time.Second); got != "0123" || !errors.Is(err, io.EOF) {
		t.Errorf("a torn reply is %q, %v, want 4 bytes and EOF", got, err)
	}
	p.Tear(0)
	if got, err := exchange(t, dial(t, p), "0123456789", 10*time.Second); got != "0123456789\n" || err != nil {
		t.Errorf("afterwards comes %q, %v", got, err)
	}
}

func TestProxyMakesGarbageOfReplies(t *testing.T) {
	p := NewProxy(t, "tcp", echo(t))
	conn := dial(t, p)
	p.Garbage(true)
	want := bytes.Repeat([]byte("a"), 1000)
	if _, err := conn.Write(want); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(got, []byte("a")); n > 100 {
		t.Errorf("%d bytes of %d are as they were", n, len(got))
	}
	p.Garbage(false)
	if got, err := exchange(t, conn, "clean", 10*time.Second); got != "clean\n" || err != nil {
		t.Errorf("afterwards comes %q, %v", got, err)
	}
}

func TestProxyResetsConnections(t *testing.T) {
	p := NewProxy(t, "tcp", echo(t))
	conn := dial(t, p)
	if _, err := exchange(t, conn, "hello", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Reset(true)
	for what, conn := range map[string]net.Conn{"one that was there": conn, "a new one": dial(t, p)} {
		if got, err := exchange(t, conn, "hello", 10*time.Second); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%s brings %q, %v, want a reset connection", what, got, err)
		}
	}
	p.Reset(false)
	if got, err := exchange(t, dial(t, p), "again", 10*time.Second); got != "again\n" || err != nil {
		t.Errorf("afterwards comes %q, %v", got, err)
	}
}

func TestHealedProxyHasNoFaults(t *testing.T) {
	p := NewRedisProxy(t, Redis(t))
	for what, fault := range map[string]func(){
		"black hole": func() { p.BlackHole(true) },
		"latency":    func() { p.Latency(time.Hour) },
		"torn":       func() { p.Tear(1) },
		"garbage":    func() { p.Garbage(true) },
		"reset":      func() { p.Reset(true) },
		"down":       func() { p.Down() },
		"script":     func() { p.Answer(RedisLoading) },
	} {
		t.Run(what, func(t *testing.T) {
			fault()
			p.Heal(t)
			if got := send(t, dial(t, p.Proxy), "*1\r\n$4\r\nPING\r\n", "+PONG\r\n"); got != "+PONG\r\n" {
				t.Errorf("PING = %q, want +PONG", got)
			}
		})
	}
}

func TestProxyStandsBeforeEveryKindOfServer(t *testing.T) {
	for what, start := range map[string]func(t *testing.T) (p *Proxy, request, reply string){
		"redis": func(t *testing.T) (*Proxy, string, string) {
			r := Redis(t)
			return NewProxy(t, r.Network, r.Addr), "PING\r\n", "+PONG\r\n"
		},
		"memcached": func(t *testing.T) (*Proxy, string, string) {
			m := Memcached(t)
			return NewProxy(t, m.Network, m.Addr), "delete k\r\n", "NOT_FOUND\r\n"
		},
		"dynalite": func(t *testing.T) (*Proxy, string, string) {
			addr := strings.TrimPrefix(Dynalite(t), "http://")
			return NewProxy(t, "tcp", addr), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"
		},
	} {
		t.Run(what, func(t *testing.T) {
			p, request, reply := start(t)
			if got := send(t, dial(t, p), request, reply); got != reply {
				t.Errorf("%q brings %q, want %q", request, got, reply)
			}
			p.Tear(3)
			conn := dial(t, p)
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); string(got) != reply[:3] || err != nil {
				t.Errorf("a torn reply is %q, %v, want %q", got, err, reply[:3])
			}
		})
	}
}

// send returns as much of what text brings as want has.
func send(t *testing.T, conn net.Conn, text, want string) string {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	n, _ := io.ReadFull(conn, got)
	return string(got[:n])
}

func TestProxyDropsConnectionsAndTakesNewOnes(t *testing.T) {
	p := NewProxy(t, "tcp", echo(t))
	conn := dial(t, p)
	if _, err := exchange(t, conn, "hello", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Drop()
	if got, err := exchange(t, conn, "hello", 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a dropped connection brings %q, %v, want an end", got, err)
	}
	if got, err := exchange(t, dial(t, p), "again", 10*time.Second); got != "again\n" || err != nil {
		t.Errorf("a new connection brings %q, %v", got, err)
	}
}

func TestProxyGoesDownAndUpAtTheSameAddress(t *testing.T) {
	p := NewProxy(t, "tcp", echo(t))
	addr := p.Addr
	p.Down()
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("a proxy that is down accepts a connection")
	}
	p.Up(t)
	if p.Addr != addr {
		t.Errorf("Addr = %s after Up, want %s", p.Addr, addr)
	}
	if got, err := exchange(t, dial(t, p), "back", 10*time.Second); got != "back\n" || err != nil {
		t.Errorf("a connection after Up brings %q, %v", got, err)
	}
}
