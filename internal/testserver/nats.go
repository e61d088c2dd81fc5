package testserver

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const installNATS = "install it (Debian: apt-get install nats-server; Homebrew: brew install nats-server)"

// A NATSServer is one nats-server.
type NATSServer struct {
	Addr string // host:port

	*process
}

// NATS starts a server on a free port of the loopback interface.
func NATS(t testing.TB) *NATSServer {
	t.Helper()
	n := &NATSServer{Addr: net.JoinHostPort("127.0.0.1", itoa(freePort(t)))}
	n.Start(t)
	return n
}

// Start starts the server again, at the same address, after Kill.
func (n *NATSServer) Start(t testing.TB) {
	t.Helper()
	host, port, err := net.SplitHostPort(n.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n.process = run(t, exec.Command(need(t, "nats-server", installNATS), "-a", host, "-p", port), n.greet)
}

// Kill ends the server as a crash would.
func (n *NATSServer) Kill() { n.kill() }

// greet waits for what the server tells a new connection.
func (n *NATSServer) greet() error {
	conn, err := net.DialTimeout("tcp", n.Addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "INFO ") {
		return fmt.Errorf("it says %q, which is no NATS", line)
	}
	return err
}
