package testserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
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
