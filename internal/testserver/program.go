package testserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// A Program is a part of a test binary that tests run in processes of their own, as
// many as they like. It is declared beside the tests that use it, and TestMain lets
// the processes be what they were started as:
//
//	var counter = testserver.NewProgram("counter", func(args []string) testserver.Commands {
//		var n atomic.Int64
//		return testserver.Commands{
//			"add": func(args ...string) (string, error) { return fmt.Sprint(n.Add(1)), nil },
//		}
//	})
//
//	func TestMain(m *testing.M) {
//		testserver.Main()
//		goleak.VerifyTestMain(m)
//	}
//
//	func TestProcessesCountForThemselves(t *testing.T) {
//		for _, p := range counter.Start(t, 2) {
//			if got, err := p.Do("add"); got != "1" || err != nil {
//				t.Errorf("add = %s, %v, want 1", got, err)
//			}
//		}
//	}
type Program struct {
	name  string
	start func(args []string) Commands
}

// Commands are what a process does when it is told to, by name. They run concurrently,
// each call in a goroutine of its own, so one may wait for what another one does. An
// error reaches the test as its text.
//
// A command that panics ends the process, as it would any.
type Commands map[string]func(args ...string) (string, error)

// programs are those of this test binary by name. They are written before main only.
var programs = map[string]*Program{}

// NewProgram returns a program that is start. It must be called from a declaration of
// a variable of the package, with a name that no other program has. start is called
// in each process, with the arguments given to Start.
func NewProgram(name string, start func(args []string) Commands) *Program {
	if programs[name] != nil {
		panic(fmt.Sprintf("testserver: there are two programs %q; give one of them another name", name))
	}
	p := &Program{name, start}
	programs[name] = p
	return p
}

// programVariable is the environment's variable with the name of the program that a
// process is to be.
const programVariable = "MEMO_TEST_PROGRAM"

var mainCalled bool

// Main makes the process the program that it was started as, if it was. Otherwise it
// returns. TestMain begins with it.
//
// What the program prints goes to stderr, since its stdout has the replies. The process
// ends when its stdin does: also when the test binary that started it has died.
func Main() {
	mainCalled = true
	name := os.Getenv(programVariable)
	if name == "" {
		return
	}
	os.Unsetenv(programVariable)
	replies := os.Stdout
	os.Stdout = os.Stderr
	p := programs[name]
	if p == nil {
		fmt.Fprintf(os.Stderr, "there is no program %q\n", name)
		os.Exit(2)
	}
	if err := serve(p.start(os.Args[1:]), os.Stdin, replies); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Requests and replies are lines of JSON. The first reply says that the process is
// ready; it belongs to no request.
type (
	request struct {
		ID    int
		Words []string // the command and its arguments
	}
	reply struct {
		ID    int
		Text  string
		Error string // or empty
	}
)

// serve carries out commands until requests end.
func serve(commands Commands, requests io.Reader, replies io.Writer) error {
	var mu sync.Mutex
	out := json.NewEncoder(replies)
	send := func(r reply) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(r) // whoever started this process may have died, and stdin ends then
	}
	send(reply{})
	for in := json.NewDecoder(requests); ; {
		var r request
		if err := in.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		go func() { // ends with the process at the latest
			text, err := commands.do(r.Words)
			answer := reply{ID: r.ID, Text: text}
			if err != nil {
				answer.Error = err.Error()
			}
			send(answer)
		}()
	}
}

func (c Commands) do(words []string) (string, error) {
	command := c[words[0]]
	if command == nil {
		return "", fmt.Errorf("there is no command %q", words[0])
	}
	return command(words[1:]...)
}

// Processes are processes of one program.
type Processes []*Process

// Start starts n processes with args, and waits until they are ready. They end with
// the test, which fails if one of them ends otherwise, unless that was by Kill: by a
// panic, by os.Exit, or with a data race found. What it has printed is then logged.
func (p *Program) Start(t testing.TB, n int, args ...string) Processes {
	t.Helper()
	if !mainCalled {
		t.Fatal("a process would run all tests, and so start processes; begin TestMain with testserver.Main()")
	}
	processes := make(Processes, n)
	for i := range processes {
		processes[i] = p.startOne(t, args)
	}
	return processes
}

func (p *Program) startOne(t testing.TB, args []string) *Process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	// Unless told the race detector waits for a second before it lets a process end.
	cmd.Env = append(os.Environ(), programVariable+"="+p.name, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan reply, 1)
	proc := &Process{name: p.name, stdin: stdin, waiting: map[int]chan reply{0: ready}}
	cmd.Stdout = &replyWriter{to: proc}
	proc.process = run(t, cmd, func() error {
		select {
		case <-ready:
			return nil
		default:
			return errors.New("it has not said that it is ready")
		}
	})
	t.Cleanup(func() { proc.end(t) })
	return proc
}

// Do makes all of the processes carry out a command at the same time. It returns what
// each of them replied, and the errors, joined.
func (ps Processes) Do(words ...string) (texts []string, err error) {
	texts = make([]string, len(ps))
	errs := make([]error, len(ps))
	var wg sync.WaitGroup
	for i, p := range ps {
		wg.Go(func() { texts[i], errs[i] = p.Do(words...) })
	}
	wg.Wait()
	return texts, errors.Join(errs...)
}

// A Process is one process of a [Program]. All methods are safe for concurrent use.
type Process struct {
	name string
	*process

	sending sync.Mutex // held while something is written to stdin
	stdin   io.WriteCloser

	mu      sync.Mutex
	last    int // ID of a request
	waiting map[int]chan reply
	killed  bool
}

// patience is how long a process may take for a command, and for its end.
const patience = time.Minute

// Do makes the process carry out a command and returns what it replied. It returns an
// error if the command does, and if the process ends before it has replied.
func (p *Process) Do(words ...string) (string, error) {
	answer := make(chan reply, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	p.waiting[id] = answer
	p.mu.Unlock()

	if err := p.send(request{id, words}); err != nil {
		return "", fmt.Errorf("%s %q: %w", p.name, words, err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-answer:
		return r.result()
	case <-p.exited: // with all replies read
	case <-timer.C:
		return "", fmt.Errorf("%s %q: no reply within %v", p.name, words, patience)
	}
	select {
	case r := <-answer:
		return r.result()
	default:
		return "", fmt.Errorf("%s %q: the process has ended: %v", p.name, words, p.cmd.ProcessState)
	}
}

func (p *Process) send(r request) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	return json.NewEncoder(p.stdin).Encode(r)
}

func (r reply) result() (string, error) {
	if r.Error != "" {
		return r.Text, errors.New(r.Error)
	}
	return r.Text, nil
}

// Kill ends the process as a crash would (SIGKILL).
func (p *Process) Kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	p.kill()
}

// end lets the process end, and fails the test if it does not, or not well.
func (p *Process) end(t testing.TB) {
	_ = p.Thaw()
	p.stdin.Close()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		t.Errorf("%s does not end", p.name)
		p.kill()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch printed := p.output.String(); {
	case !p.killed && !p.cmd.ProcessState.Success():
		t.Errorf("%s has ended: %v\n%s", p.name, p.cmd.ProcessState, printed)
	case t.Failed() && printed != "":
		t.Logf("%s has printed:\n%s", p.name, printed)
	}
}

// A replyWriter takes what a process writes to its stdout.
type replyWriter struct {
	to   *Process
	line []byte // as much of it as there is
}

func (w *replyWriter) Write(b []byte) (int, error) {
	w.line = append(w.line, b...)
	for {
		line, rest, ok := bytes.Cut(w.line, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		var r reply
		if err := json.Unmarshal(line, &r); err != nil {
			return 0, err
		}
		w.to.deliver(r)
		w.line = rest
	}
}

func (p *Process) deliver(r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if waiting := p.waiting[r.ID]; waiting != nil {
		waiting <- r // which has room
		delete(p.waiting, r.ID)
	}
}
