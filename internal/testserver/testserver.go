// Package testserver starts real cache servers for tests: private ones, on unix
// sockets or free ports, that end with the test that started them. It stands proxies
// before them ([Proxy], [CommandProxy], [Wire]) that break what tests want broken, and
// lets a test consist of several processes ([Program]).
package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// need returns the path of program. Without it the test is skipped, and install says
// how to get it.
func need(t testing.TB, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, program, install)
	}
	return path
}

// missing skips the test, which cannot run without server; in CI, where nothing may
// be skipped in silence, it fails it. install says how to get the server.
func missing(t testing.TB, server, install string) {
	t.Helper()
	reason := server + " is missing; " + install
	if os.Getenv("CI") != "" {
		t.Fatalf("%s (with CI set nothing is skipped)", reason)
	}
	if err := noteSkipped(t.Name(), reason); err != nil {
		t.Error(err)
	}
	t.Skip(reason)
}

// noteSkipped adds a line to the file that MEMO_SKIPPED names, if it names one: why
// the test is skipped, its package, its name. make test prints what is in there.
// The file has another name each time, so a result that go test has cached cannot
// stand in for one that would add a line.
func noteSkipped(test, reason string) error {
	path := os.Getenv("MEMO_SKIPPED")
	if path == "" {
		return nil
	}
	pkg := "?"
	if info, ok := debug.ReadBuildInfo(); ok {
		pkg = strings.TrimSuffix(info.Path, ".test")
	}
	test, _, _ = strings.Cut(test, "/")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s\t%s\t%s\n", reason, pkg, test) // in one write, since other processes do the same
	return errors.Join(err, f.Close())
}

// A process is a server that was started by a test.
type process struct {
	cmd    *exec.Cmd
	output lockedBuffer
	exited chan struct{} // closed when it has ended
	once   sync.Once
}

// run starts cmd and waits until ready returns nil. The process is killed at the
// end of the test, and dies with the test binary where the system can do that.
func run(t testing.TB, cmd *exec.Cmd, ready func() error) *process {
	t.Helper()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	cmd.Stderr = &p.output
	if cmd.Stdout == nil {
		cmd.Stdout = &p.output
	}
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", cmd.Path, err)
	}
	go func() { // ends with the process, which kill waits for
		_ = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	if err := p.await(ready); err != nil {
		t.Fatalf("%s does not answer: %v\n%s", cmd.Path, err, p.output.String())
	}
	return p
}

// startLimit is how long a program may take to answer when many begin at once on a busy
// machine.
const startLimit = time.Minute

// await polls ready for at most startLimit.
func (p *process) await(ready func() error) (err error) {
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); {
		if err = ready(); err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return errors.New("it has exited")
		case <-time.After(2 * time.Millisecond):
		}
	}
	return err
}

// kill ends the process and waits until it has ended.
func (p *process) kill() {
	p.once.Do(func() { _ = p.cmd.Process.Signal(syscall.SIGKILL) })
	<-p.exited
}

// freePort returns a TCP port of the loopback interface that was free just now, and
// that it has not returned before: a port whose server has yet to start, or has
// ended, may look free to another test.
func freePort(t testing.TB) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if _, taken := ports.LoadOrStore(port, true); !taken {
			return port
		}
	}
}

// ports are those that freePort has returned.
var ports sync.Map

// dir returns a new folder whose path is short enough for a unix socket in it
// (108 bytes), which t.TempDir's is not.
func dir(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp("", "ms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d) })
	return d
}

func itoa(n int) string { return strconv.Itoa(n) }

// A lockedBuffer collects what a server prints.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
