package testserver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const installMemcached = "install it (Debian: apt-get install memcached; Homebrew: brew install memcached)"

// A MemcachedServer is one memcached.
type MemcachedServer struct {
	Network string // "unix" or "tcp"
	Addr    string // as a client takes it: a path or host:port

	args []string
	*process
}

// Memcached starts a server on a unix socket, with further arguments for its command
// line.
func Memcached(t testing.TB, args ...string) *MemcachedServer {
	t.Helper()
	socket := filepath.Join(dir(t), "s")
	m := &MemcachedServer{Network: "unix", Addr: socket, args: append([]string{"-s", socket}, args...)}
	m.start(t)
	return m
}

// MemcachedTCP starts a server on a free port of the loopback interface.
func MemcachedTCP(t testing.TB, args ...string) *MemcachedServer {
	t.Helper()
	port := freePort(t)
	m := &MemcachedServer{
		Network: "tcp", Addr: net.JoinHostPort("127.0.0.1", itoa(port)),
		args: append([]string{"-l", "127.0.0.1", "-p", itoa(port), "-U", "0"}, args...),
	}
	m.start(t)
	return m
}

func (m *MemcachedServer) start(t testing.TB) {
	t.Helper()
	program := need(t, "memcached", installMemcached)
	args := append([]string{"-t", "2"}, m.args...)
	if os.Geteuid() == 0 { // which it refuses unless told
		args = append(args, "-u", "root")
	}
	m.process = run(t, exec.Command(program, args...), func() error { _, err := m.Do("version"); return err })
}

// Kill ends the server as a crash would.
func (m *MemcachedServer) Kill() { m.kill() }

// Restart ends the server as a crash would and starts it at the same address. It has
// forgotten everything.
func (m *MemcachedServer) Restart(t testing.TB) {
	t.Helper()
	m.kill()
	m.start(t)
}

// Do sends a command, past any client, and returns the first line of the reply, which
// may be an error's.
func (m *MemcachedServer) Do(command string) (string, error) {
	conn, err := net.DialTimeout(m.Network, m.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
