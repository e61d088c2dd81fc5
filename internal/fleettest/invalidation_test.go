package fleettest

import (
	"testing"
	"time"
)

// The processes of a fleet in which something is invalidated during an execution.
const (
	executes    = iota
	invalidates // meanwhile
	knowsNothing
	waits // for the execution, or not
)

// Whoever asks first after the execution finds what that has left in the store, if it
// has left anything. Only in the first round does a process know nothing: later it has
// epochs that count for a second.
var rounds = []struct {
	name    string
	first   int
	awaited bool
}{
	{"a process that knows nothing asks first", knowsNothing, false},
	{"the process that invalidated asks first", invalidates, false},
	{"a process waits for the execution", invalidates, true},
}

func TestResultOfAnExecutionThatWasOvertakenIsNeverStored(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		function string
		command  []string // without the key of an Invalidate
		// seen is how long other processes may still return what they have. What
		// was deleted in the store nobody has.
		seen time.Duration
	}{
		"Invalidate":           {"plain", []string{"invalidate", "plain"}, 0},
		"Clear":                {"plain", []string{"clear", "plain"}, time.Second},
		"Clear of the group":   {"plain", []string{"clear group"}, time.Second},
		"static tag":           {"tagged", []string{"invalidate tag", "static"}, time.Second},
		"tag added at the end": {"late", []string{"invalidate tag", "late"}, time.Second},
		"Expire":               {"plain", []string{"expire", "plain"}, 0},
		"Expire of the group":  {"plain", []string{"expire group"}, time.Second},
		"ExpireTags":           {"late", []string{"expire tag", "late"}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryServer(t, func(t *testing.T, kind, addr string) {
				f := newFleet(t, 4, kind, addr)
				for _, round := range rounds {
					key := round.name
					call := []string{"call", test.function, key, "3"}
					f.change("old")
					f.must(executes, "hold")
					executing := f.begin(executes, append(call[:3:3], "1")...) // others might call when it has been overtaken
					f.must(executes, "begun")
					waiting := func() string { return "" }
					if round.awaited {
						waiting = f.begin(waits, call...)
					}
					f.change("new")
					f.must(invalidates, append(test.command, key)...)
					seen := time.Now().Add(test.seen)
					f.must(executes, "go on")

					if got := executing(); got != "old" {
						t.Errorf("%s: the caller of the execution got %s, want its result, old", round.name, got)
					}
					if got := f.must(round.first, call...); got != "new" {
						t.Errorf("%s: that one got %s, want new", round.name, got)
					}
					waiting() // with either result: that call began before the change
					time.Sleep(time.Until(seen))
					for range 3 {
						for process := range f.Processes {
							if got := f.must(process, call...); got != "new" {
								t.Errorf("%s: process %d then got %s, want new", round.name, process, got)
							}
						}
					}
				}
			})
		})
	}
}

// What one process expires is stale in all, and one refresh replaces it.
func TestWhatHasExpiredIsStaleInEveryProcess(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"Expire":              {"expire", "stale", "k"},
		"Expire of the group": {"expire group"},
		"ExpireTags":          {"expire tag", "late"},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryServer(t, func(t *testing.T, kind, addr string) {
				f := newFleet(t, 3, kind, addr)
				call := []string{"call", "stale", "k", "1"}
				f.change("old")
				for process := range f.Processes {
					f.must(process, call...)
				}
				f.change("new")
				f.must(0, command...)
				time.Sleep(time.Second) // within which others see it
				if got := f.must(1, call...); got != "old" {
					t.Errorf("after it had expired, a call got %s, want old, which is stale", got)
				}
				for process := range f.Processes {
					eventually(t, patience, "a process returns what is new", func() bool { return f.must(process, call...) == "new" })
				}
				if n := f.executions(0); n != 2 {
					t.Errorf("there were %d executions, want 2: one refresh for all", n)
				}
			})
		})
	}
}
