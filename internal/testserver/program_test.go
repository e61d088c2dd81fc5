package testserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var counter = NewProgram("counter", func(args []string) Commands {
	var n atomic.Int64
	begun, opened := make(chan struct{}), make(chan struct{})
	return Commands{
		"args":  func(...string) (string, error) { return strings.Join(args, ","), nil },
		"add":   func(...string) (string, error) { return fmt.Sprint(n.Add(1)), nil },
		"echo":  func(words ...string) (string, error) { return strings.Join(words, ","), nil },
		"fail":  func(words ...string) (string, error) { return "some", errors.New(words[0]) },
		"print": func(...string) (string, error) { _, err := fmt.Println("printed"); return "", err },
		"await": func(...string) (string, error) { close(begun); <-opened; return "opened", nil },
		"begun": func(...string) (string, error) { <-begun; return "", nil },
		"open":  func(...string) (string, error) { close(opened); return "", nil },
		"panic": func(...string) (string, error) { panic("as it was told to") },
		"exit":  func(...string) (string, error) { os.Exit(3); return "", nil },
	}
})

func TestProcessesCarryOutCommandsEachForItself(t *testing.T) {
	processes := counter.Start(t, 3, "an argument", "-another=1")
	first := processes[0]
	for _, test := range []struct {
		command []string
		want    string
	}{
		{[]string{"add"}, "1"},
		{[]string{"add"}, "2"},
		{[]string{"args"}, "an argument,-another=1"},
		{[]string{"echo"}, ""},
		{[]string{"echo", "", "two words", "two\nlines", "\"quoted\""}, ",two words,two\nlines,\"quoted\""},
		{[]string{"echo", strings.Repeat("long", 1<<18)}, strings.Repeat("long", 1<<18)},
		{[]string{"print"}, ""},
		{[]string{"add"}, "3"},
	} {
		if got, err := first.Do(test.command...); got != test.want || err != nil {
			t.Errorf("%.100q = %.100q, %v, want %.100q", test.command, got, err, test.want)
		}
	}
	got, err := processes.Do("add")
	if want := []string{"4", "1", "1"}; !slices.Equal(got, want) || err != nil {
		t.Errorf("add of all = %q, %v, want %q", got, err, want)
	}
}

func TestCommandsReturnErrorsAsText(t *testing.T) {
	p := counter.Start(t, 1)[0]
	if got, err := p.Do("fail", "for a reason"); got != "some" || err == nil || err.Error() != "for a reason" {
		t.Errorf("fail = %q, %v, want some text and the error", got, err)
	}
	if _, err := p.Do("unknown"); err == nil || err.Error() != `there is no command "unknown"` {
		t.Errorf("unknown = %v, want an error that names it", err)
	}
}

func TestOneCommandMayWaitForAnother(t *testing.T) {
	p := counter.Start(t, 1)[0]
	opened := make(chan string)
	go func() {
		text, err := p.Do("await")
		opened <- fmt.Sprint(text, err)
	}()
	for _, command := range []string{"begun", "open"} {
		if _, err := p.Do(command); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-opened; got != "opened<nil>" {
		t.Errorf("await = %s, want opened and no error", got)
	}
}

func TestKilledProcessAnswersNoMoreAndTheOthersDo(t *testing.T) {
	processes := counter.Start(t, 2)
	waiting := make(chan error)
	go func() {
		_, err := processes[0].Do("await")
		waiting <- err
	}()
	if _, err := processes[0].Do("begun"); err != nil {
		t.Fatal(err)
	}
	processes[0].Kill()
	if err := <-waiting; err == nil {
		t.Error("a command of a killed process = nil, want an error")
	}
	if _, err := processes[0].Do("add"); err == nil {
		t.Error("a command for a killed process = nil, want an error")
	}
	if got, err := processes[1].Do("add"); got != "1" || err != nil {
		t.Errorf("add of another process = %q, %v, want 1", got, err)
	}
}

func TestFrozenProcessAnswersWhenItIsThawed(t *testing.T) {
	p := counter.Start(t, 1)[0]
	if err := p.Freeze(); err != nil {
		t.Skip(err)
	}
	answered := make(chan string, 1)
	go func() {
		got, err := p.Do("add")
		answered <- fmt.Sprint(got, err)
	}()
	select {
	case got := <-answered:
		t.Errorf("a frozen process says %s", got)
	case <-time.After(20 * time.Millisecond): // a process that is not frozen needs much less
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got != "1<nil>" {
		t.Errorf("when thawed it says %s, want 1", got)
	}
	if err := p.Freeze(); err != nil { // which its end has to undo
		t.Error(err)
	}
}

func TestProcessThatEndsBadlyFailsTheTest(t *testing.T) {
	for command, want := range map[string][]string{
		"panic": {"counter has ended: exit status 2", "panic: as it was told to"},
		"exit":  {"counter has ended: exit status 3"},
		"args":  {""},
	} {
		said := outcome(t, func(t testing.TB) { _, _ = counter.Start(t, 1)[0].Do(command) })
		for _, want := range want {
			if !strings.Contains(said, want) || want == "" && said != "" {
				t.Errorf("after %s the test says %q, want %q", command, said, want)
			}
		}
	}
}

func TestProcessesNeedATestMainThatLetsThemBe(t *testing.T) {
	mainCalled = false
	defer func() { mainCalled = true }()
	if got := outcome(t, func(t testing.TB) { counter.Start(t, 1) }); !strings.Contains(got, "begin TestMain with testserver.Main()") {
		t.Errorf("Start says %q, want what to do", got)
	}
}

func TestProgramsOfOneNamePanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewProgram("counter", nil)
}

// listener is reachable as long as its process lives.
var listener = NewProgram("listener", func(args []string) Commands {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			if conn, err := l.Accept(); err == nil {
				conn.Close()
			}
		}
	}()
	return nil
})

// parent starts a listener that the system does not kill together with it.
var parent = NewProgram("parent", func(args []string) Commands {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), programVariable+"="+listener.name)
	if _, err := cmd.StdinPipe(); err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return nil
})

func TestProcessEndsWithTheOneThatStartedIt(t *testing.T) {
	addr := loopback(freePort(t))
	reachable := func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	p := parent.Start(t, 1, addr)[0]
	eventually(t, "the process listens", reachable)
	p.Kill()
	eventually(t, "it has ended", func() bool { return !reachable() })
}
