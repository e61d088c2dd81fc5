package nested

import (
	"errors"
	"sync"
)

// ErrRecursive is memo.ErrRecursive.
var ErrRecursive = errors.New("memo: fn waits for its own result")

// An Execution is an execution as those that wait for it know it: by its address.
type Execution struct{ _ byte }

// waits says which executions wait for which others, through calls that fn makes
// with its context. A cycle in it would never end.
var waits = struct {
	sync.Mutex
	on map[*Execution]map[*Execution]int // guarded by the mutex; how many goroutines of the first wait for the second
}{on: map[*Execution]map[*Execution]int{}}

// Await notes that the execution of the frame around, if any, waits for e until
// forget is called. It returns ErrRecursive if e already waits, over however
// many others, for that execution.
func Await(around *Frame, e *Execution) (forget func(), err error) {
	if around == nil || around.Execution == nil {
		return func() {}, nil
	}
	from := around.Execution
	waits.Lock()
	defer waits.Unlock()
	if waitsFor(e, from, map[*Execution]bool{}) {
		return nil, ErrRecursive
	}
	if waits.on[from] == nil {
		waits.on[from] = map[*Execution]int{}
	}
	waits.on[from][e]++
	return func() { forgetWait(from, e) }, nil
}

func forgetWait(from, e *Execution) {
	waits.Lock()
	defer waits.Unlock()
	on := waits.on[from]
	if on[e]--; on[e] == 0 {
		delete(on, e)
	}
	if len(on) == 0 {
		delete(waits.on, from)
	}
}

// waitsFor reports whether e is target or waits for it. The caller holds waits.
func waitsFor(e, target *Execution, seen map[*Execution]bool) bool {
	if e == target {
		return true
	}
	seen[e] = true
	for next := range waits.on[e] {
		if !seen[next] && waitsFor(next, target, seen) {
			return true
		}
	}
	return false
}
