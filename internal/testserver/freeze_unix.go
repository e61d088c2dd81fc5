//go:build unix

package testserver

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Freeze stops the process until it is thawed: what a machine under load does to it,
// or a laptop that is closed. It returns when the process stands still, where there
// is a /proc to see that.
func (p *Process) Freeze() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for p.runs() {
		time.Sleep(time.Millisecond)
	}
	return nil
}

// runs reports whether the system says that the process runs, or waits for something
// before it goes on. (proc_pid_stat(5): the state follows the name in parentheses.)
func (p *Process) runs() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return false
	}
	state := stat[bytes.LastIndexByte(stat, ')')+1:]
	return len(state) > 1 && bytes.IndexByte([]byte("RSD"), state[1]) >= 0
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
