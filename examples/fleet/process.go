package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A fleet is the processes of this program that were started as members.
type fleet []*process

// A process is a member as the main process sees it.
type process struct {
	name    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	reports *json.Decoder
}

// startFleet starts a process for each of names. What they log goes to log.
func startFleet(ctx context.Context, addr, priceList string, log io.Writer, names ...string) (fleet, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var f fleet
	for _, name := range names {
		p := &process{name: name, cmd: exec.CommandContext(ctx, program, "member", name, addr, priceList)}
		p.cmd.Stderr = &lines{to: log, prefix: "    " + name + " logs: "}
		if p.stdin, err = p.cmd.StdinPipe(); err != nil {
			return f, err
		}
		stdout, err := p.cmd.StdoutPipe()
		if err != nil {
			return f, err
		}
		p.reports = json.NewDecoder(stdout)
		if err := p.cmd.Start(); err != nil {
			return f, err
		}
		f = append(f, p)
	}
	return f, nil
}

// stop lets the processes end.
func (f fleet) stop() error {
	var errs []error
	for _, p := range f {
		p.stdin.Close()
		errs = append(errs, p.cmd.Wait())
	}
	return errors.Join(errs...)
}

// do gives every process the same order, at the same time.
func (f fleet) do(o order) ([]report, error) {
	reports, errs := make([]report, len(f)), make([]error, len(f))
	var wg sync.WaitGroup
	for i, p := range f {
		wg.Go(func() { reports[i], errs[i] = p.do(o) })
	}
	wg.Wait()
	return reports, errors.Join(errs...)
}

func (p *process) do(o order) (r report, err error) {
	if err = json.NewEncoder(p.stdin).Encode(o); err == nil {
		err = p.reports.Decode(&r)
	}
	if err != nil {
		err = fmt.Errorf("process %s does not answer: %w", p.name, err)
	}
	return r, err
}

// lines writes whole lines with a prefix.
type lines struct {
	to     io.Writer
	prefix string
	rest   string
}

func (l *lines) Write(b []byte) (int, error) {
	l.rest += string(b)
	for {
		line, rest, ok := strings.Cut(l.rest, "\n")
		if !ok {
			return len(b), nil
		}
		fmt.Fprintln(l.to, l.prefix+line)
		l.rest = rest
	}
}

// A turnstile lets several goroutines write, one at a time.
type turnstile struct {
	mu sync.Mutex
	to io.Writer
}

func (t *turnstile) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.to.Write(b)
}

// A redisServer is a redis-server of our own, which keeps nothing on disk.
type redisServer struct {
	addr string
	cmd  *exec.Cmd
}

var errNoRedis = errors.New("redis-server is missing; install it (Debian: apt-get install redis-server; Homebrew: brew install redis)")

// startRedis starts a server at addr, or on a free port if addr is empty.
func startRedis(ctx context.Context, addr string) (*redisServer, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errNoRedis
	}
	if addr == "" {
		if addr, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	s := &redisServer{addr: addr, cmd: exec.CommandContext(ctx, program,
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.await(ctx); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await returns when the server answers.
func (s *redisServer) await(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: s.addr})
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// kill ends the server as a crash would.
func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // which says that it was killed
}
