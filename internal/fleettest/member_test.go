package fleettest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
)

// A member is one process of a fleet. Its functions read a file, which is the truth
// that they cache; the test changes it. All are in one group.
type member struct {
	source string
	group  *memo.Group
	funcs  map[string]*memo.Func[string, string]
	runs   atomic.Int64
	gate   gate
}

// program is a member as a process, with a kind of server, its address, and the path
// of the source as arguments.
//
//	call f k n     n concurrent calls of the function f with k; the results that differ
//	executions     how many there were in this process so far
//	hold           makes executions wait, when they have read the source
//	begun          returns when an execution waits
//	go on          lets executions go on
//	invalidate f k, clear f, clear group, invalidate tag t,
//	expire f k, expire group, expire tag t: as the methods of that name
var program = testserver.NewProgram("member", func(args []string) testserver.Commands {
	m, err := newMember(args[0], args[1], args[2])
	if err != nil {
		panic(err)
	}
	return m.commands()
})

func (m *member) commands() testserver.Commands {
	ctx := context.Background()
	return testserver.Commands{
		"call":       m.call,
		"executions": func(...string) (string, error) { return fmt.Sprint(m.runs.Load()), nil },
		"hold":       func(...string) (string, error) { m.gate.shut(); return "", nil },
		"begun":      func(...string) (string, error) { return "", m.gate.reached() },
		"go on":      func(...string) (string, error) { m.gate.open(); return "", nil },

		"invalidate":     func(args ...string) (string, error) { return "", m.funcs[args[0]].Invalidate(ctx, args[1]) },
		"clear":          func(args ...string) (string, error) { return "", m.funcs[args[0]].Clear(ctx) },
		"clear group":    func(...string) (string, error) { return "", m.group.Clear(ctx) },
		"invalidate tag": func(args ...string) (string, error) { return "", m.group.InvalidateTags(ctx, args[0]) },
		"expire":         func(args ...string) (string, error) { return "", m.funcs[args[0]].Expire(ctx, args[1]) },
		"expire group":   func(...string) (string, error) { return "", m.group.Expire(ctx) },
		"expire tag":     func(args ...string) (string, error) { return "", m.group.ExpireTags(ctx, args[0]) },
	}
}

func newMember(kind, addr, source string, opts ...memo.Option) (*member, error) {
	s, err := open(kind, addr)
	if err != nil {
		return nil, err
	}
	// No call may go on without the store because the machine is busy.
	m := &member{source: source, group: memo.NewGroup("g", memo.Store(s), memo.StoreTimeout(patience), memo.Options(opts))}
	m.funcs = map[string]*memo.Func[string, string]{
		"plain":  memo.New(m.read, m.group, memo.Name("plain")),
		"tagged": memo.New(m.read, m.group, memo.Name("tagged"), memo.Tags("static")),
		"late":   memo.New(m.readAndTag, m.group, memo.Name("late")),
		"stale":  memo.New(m.readAndTag, m.group, memo.Name("stale"), memo.StaleWhileRevalidate(time.Hour)),
		"slow":   memo.New(m.readSlowly, m.group, memo.Name("slow")),
	}
	return m, nil
}

func (m *member) read(context.Context, string) (string, error) {
	m.runs.Add(1)
	value, err := os.ReadFile(m.source)
	m.gate.pass()
	return string(value), err
}

func (m *member) readAndTag(ctx context.Context, key string) (string, error) {
	value, err := m.read(ctx, key)
	memo.AddTags(ctx, "late")
	return value, err
}

// readSlowly takes so long that others have to wait for it.
func (m *member) readSlowly(ctx context.Context, key string) (string, error) {
	time.Sleep(200 * time.Millisecond)
	return m.read(ctx, key)
}

func (m *member) call(args ...string) (string, error) {
	f, key := m.funcs[args[0]], args[1]
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return "", err
	}
	got := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			value, err := f.Call(context.Background(), key)
			if got[i] = value; err != nil {
				got[i] = err.Error()
			}
		})
	}
	wg.Wait()
	slices.Sort(got)
	return strings.Join(slices.Compact(got), " and "), nil
}

// A gate is where executions wait while it is shut.
type gate struct {
	mu      sync.Mutex
	waiting chan struct{} // closed when somebody waits; nil while the gate is open
	opened  chan struct{}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting, g.opened = make(chan struct{}), make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
	g.waiting, g.opened = nil, nil
}

func (g *gate) pass() {
	g.mu.Lock()
	opened := g.opened
	if g.waiting != nil {
		select {
		case <-g.waiting: // somebody waits already
		default:
			close(g.waiting)
		}
	}
	g.mu.Unlock()
	if opened != nil {
		<-opened
	}
}

// reached returns when somebody waits.
func (g *gate) reached() error {
	g.mu.Lock()
	waiting := g.waiting
	g.mu.Unlock()
	select {
	case <-waiting:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("no execution has begun within %v", patience)
	}
}

// A fleet is processes of members on one server, and their source.
type fleet struct {
	testserver.Processes
	t      *testing.T
	source string
}

func newFleet(t *testing.T, size int, kind, addr string) *fleet {
	t.Helper()
	f := &fleet{t: t, source: filepath.Join(t.TempDir(), "source")}
	f.change("old")
	f.Processes = program.Start(t, size, kind, addr, f.source)
	return f
}

// change changes what the functions of the fleet cache, all at once for those who read.
func (f *fleet) change(to string) {
	f.t.Helper()
	if err := os.WriteFile(f.source+".new", []byte(to), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.source+".new", f.source); err != nil {
		f.t.Fatal(err)
	}
}

// must makes one process carry out a command that must succeed.
func (f *fleet) must(process int, words ...string) string {
	f.t.Helper()
	text, err := f.Processes[process].Do(words...)
	if err != nil {
		f.t.Fatalf("process %d: %q: %v", process, words, err)
	}
	return text
}

// begin makes one process carry out a command, and returns what waits for its reply.
func (f *fleet) begin(process int, words ...string) (reply func() string) {
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // ends with the process
		text, err := f.Processes[process].Do(words...)
		answered <- answer{text, err}
	}()
	return func() string {
		f.t.Helper()
		a := <-answered
		if a.err != nil {
			f.t.Errorf("process %d: %q: %v", process, words, a.err)
		}
		return a.text
	}
}

// executions returns how many there were in the processes from the given one on.
func (f *fleet) executions(from int) (sum int) {
	f.t.Helper()
	for i := range f.Processes[from:] {
		n, err := strconv.Atoi(f.must(from+i, "executions"))
		if err != nil {
			f.t.Fatal(err)
		}
		sum += n
	}
	return sum
}
