package testserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	installRedis    = "install it (Debian: apt-get install redis-server; Homebrew: brew install redis)"
	installSentinel = "install it (Debian: apt-get install redis-sentinel; Homebrew: brew install redis)"
)

// A RedisServer is one redis-server, which keeps nothing on disk.
type RedisServer struct {
	Network string // "unix" or "tcp"
	Addr    string

	*process
}

// Kill ends the server as a crash would.
func (r *RedisServer) Kill() { r.kill() }

// Do sends a command without spaces in its words, past any client, and returns the
// reply: a line, a string, or the strings of an array one to a line. An error reply
// is an error.
func (r *RedisServer) Do(words ...string) (string, error) {
	conn, err := net.DialTimeout(r.Network, r.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", strings.Join(words, " ")); err != nil {
		return "", err
	}
	return readReply(bufio.NewReader(conn))
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	kind, rest := line[0], line[1:]
	switch kind {
	case '-':
		return "", errors.New(rest)
	case '$', '*':
	default:
		return rest, nil
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		return "", err
	}
	if kind == '$' {
		b := make([]byte, n+len("\r\n"))
		_, err = io.ReadFull(r, b)
		return string(b[:n]), err
	}
	elements := make([]string, n)
	for i := range elements {
		if elements[i], err = readReply(r); err != nil {
			return "", err
		}
	}
	return strings.Join(elements, "\n"), nil
}

// must is Do for commands of a set-up.
func (r *RedisServer) must(t testing.TB, words ...string) string {
	t.Helper()
	reply, err := r.Do(words...)
	if err != nil {
		t.Fatalf("%s: %s: %v", r.Addr, strings.Join(words, " "), err)
	}
	return reply
}

// Redis starts a server on a unix socket, with further arguments for its command line.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	d := dir(t)
	socket := filepath.Join(d, "s")
	return startRedis(t, "unix", socket, d, append([]string{"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"}, args...))
}

// RedisTCP starts a server on a free port of the loopback interface.
func RedisTCP(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	port := freePort(t)
	return startRedis(t, "tcp", loopback(port), dir(t), append([]string{"--port", itoa(port), "--bind", "127.0.0.1"}, args...))
}

func startRedis(t testing.TB, network, addr, dir string, args []string) *RedisServer {
	t.Helper()
	program := need(t, "redis-server", installRedis)
	args = append([]string{"--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"}, args...)
	r := &RedisServer{Network: network, Addr: addr}
	r.process = run(t, exec.Command(program, args...), func() error { _, err := r.Do("PING"); return err })
	return r
}

// RedisCluster starts a cluster of three masters without replicas. It takes two
// seconds, which is how long Redis waits before it lets a new cluster be written to.
func RedisCluster(t testing.TB) []*RedisServer {
	t.Helper()
	const slots, size = 16384, 3
	var nodes []*RedisServer
	for i := range size {
		node := redisClusterNode(t)
		nodes = append(nodes, node)
		lo, hi := slots*i/size, slots*(i+1)/size-1
		node.must(t, "CLUSTER", "ADDSLOTSRANGE", itoa(lo), itoa(hi))
		node.must(t, "CLUSTER", "SET-CONFIG-EPOCH", itoa(i+1))
		node.meet(t, nodes[0])
	}
	for _, node := range nodes {
		eventually(t, node.Addr+" sees the whole cluster", func() bool {
			info, err := node.Do("CLUSTER", "INFO")
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return nodes
}

// JoinRedisCluster starts a server without slots and makes it a node of the cluster
// of nodes.
func JoinRedisCluster(t testing.TB, nodes []*RedisServer) *RedisServer {
	t.Helper()
	node := redisClusterNode(t)
	node.meet(t, nodes[0])
	return node
}

func redisClusterNode(t testing.TB) *RedisServer {
	t.Helper()
	// Without --cluster-port the port is 10000 above the other, which may be too high.
	return RedisTCP(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
		"--cluster-port", itoa(freePort(t)), "--cluster-node-timeout", "2000")
}

func (r *RedisServer) meet(t testing.TB, other *RedisServer) {
	t.Helper()
	if r == other {
		return
	}
	host, port, _ := net.SplitHostPort(other.Addr)
	_, bus, _ := strings.Cut(other.must(t, "CONFIG", "GET", "cluster-port"), "\n")
	r.must(t, "CLUSTER", "MEET", host, port, bus)
}

// A RedisSentinel is a master with a replica and three sentinels that watch them.
type RedisSentinel struct {
	MasterName      string
	Sentinels       []*RedisServer
	Master, Replica *RedisServer // as they were at the start
}

// Addrs returns the addresses of the sentinels.
func (s *RedisSentinel) Addrs() []string {
	addrs := make([]string, len(s.Sentinels))
	for i, sentinel := range s.Sentinels {
		addrs[i] = sentinel.Addr
	}
	return addrs
}

// NewRedisSentinel starts all of them and waits until they know each other, which
// takes some two seconds. They replace a master that is lost after half a second.
func NewRedisSentinel(t testing.TB) *RedisSentinel {
	t.Helper()
	program := need(t, "redis-sentinel", installSentinel)
	// Without this the first synchronization waits five seconds for more replicas.
	s := &RedisSentinel{MasterName: "mymaster", Master: RedisTCP(t, "--repl-diskless-sync-delay", "0")}
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	s.Replica = RedisTCP(t, "--repl-diskless-sync-delay", "0", "--replicaof", host+" "+port)

	for range 3 {
		d, p := dir(t), freePort(t)
		config := filepath.Join(d, "s.conf")
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\n"+
			"sentinel monitor %[3]s %s %s 2\nsentinel down-after-milliseconds %[3]s 500\nsentinel failover-timeout %[3]s 2000\n",
			p, d, s.MasterName, host, port)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinel := &RedisServer{Network: "tcp", Addr: loopback(p)}
		sentinel.process = run(t, exec.Command(program, config), func() error { _, err := sentinel.Do("PING"); return err })
		s.Sentinels = append(s.Sentinels, sentinel)
	}
	for _, sentinel := range s.Sentinels {
		eventually(t, sentinel.Addr+" knows the others", func() bool {
			info, err := sentinel.Do("INFO", "sentinel")
			return err == nil && strings.Contains(info, "status=ok,address="+s.Master.Addr+",slaves=1,sentinels=3")
		})
	}
	return s
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", itoa(port)) }

// eventually polls done for at most thirty seconds.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}
