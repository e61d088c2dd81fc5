package fleettest

import (
	"testing"
	"time"
)

func TestThousandCallersInFourProcessesCauseOneExecution(t *testing.T) {
	t.Parallel()
	onEveryServer(t, func(t *testing.T, kind, addr string) {
		f := newFleet(t, 4, kind, addr)
		for round, key := range []string{"a", "b", "c"} {
			got, err := f.Do("call", "slow", key, "250")
			if err != nil {
				t.Fatal(err)
			}
			for process, got := range got {
				if got != "old" {
					t.Errorf("the callers of process %d got %s", process, got)
				}
			}
			if n := f.executions(0) - round; n != 1 {
				t.Fatalf("%d executions for %s, want 1", n, key)
			}
		}
	})
}

const (
	// lease is how long a process that has died holds the others up (memo's leaseTTL).
	lease = 5 * time.Second
	// late is how much later a server may let go of the lease (memcachestore).
	late = 3 * time.Second
)

// A process that crashes in the middle of an execution cannot give its lease back.
func TestProcessThatDiesDelaysOthersByNoMoreThanTheLease(t *testing.T) {
	t.Parallel()
	onEveryServer(t, func(t *testing.T, kind, addr string) {
		f := newFleet(t, 3, kind, addr)
		f.must(0, "hold")
		go f.Processes[0].Do("call", "plain", "k", "1") // which fails with the process
		f.must(0, "begun")
		waits := []func() string{f.begin(1, "call", "plain", "k", "50"), f.begin(2, "call", "plain", "k", "50")}
		f.change("new")

		died := time.Now()
		f.Processes[0].Kill()
		for i, reply := range waits {
			if got := reply(); got != "new" {
				t.Errorf("the callers of process %d got %s, want new", 1+i, got)
			}
		}
		if took := time.Since(died); took > lease+late+2*time.Second {
			t.Errorf("the others went on after %v, want them to after %v", took, lease)
		}
		if n := f.executions(1); n != 1 {
			t.Errorf("%d executions in the processes that are left, want 1", n)
		}
	})
}

// For the others a process that stands still has died. Unlike that one it comes back,
// with an old result that it must not store.
func TestProcessThatWakesUpAfterItsLeaseDoesNotStoreItsResult(t *testing.T) {
	t.Parallel()
	onEveryServer(t, func(t *testing.T, kind, addr string) {
		f := newFleet(t, 3, kind, addr)
		f.must(0, "hold")
		sleeper := f.begin(0, "call", "plain", "k", "1")
		f.must(0, "begun")
		if err := f.Processes[0].Freeze(); err != nil {
			t.Skip(err)
		}
		f.change("new")
		if got := f.must(1, "call", "plain", "k", "1"); got != "new" {
			t.Errorf("the caller that waited for the lease got %s, want new", got)
		}
		if err := f.Processes[0].Thaw(); err != nil {
			t.Fatal(err)
		}
		f.must(0, "go on")
		if got := sleeper(); got != "old" {
			t.Errorf("the caller of the execution got %s, want its own result, old", got)
		}
		for _, process := range []int{2, 1, 0} {
			if got := f.must(process, "call", "plain", "k", "1"); got != "new" {
				t.Errorf("process %d then got %s, want new", process, got)
			}
		}
		if n := f.executions(0); n != 2 {
			t.Errorf("%d executions, want 2", n)
		}
	})
}
