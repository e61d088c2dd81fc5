package memo

import "sync"

// waits says which executions wait for which others, through calls that fn makes
// with its context. A cycle in it would never end.
var waits = struct {
	sync.Mutex
	on map[*flight]map[*flight]int // guarded by the mutex; how many goroutines of the first wait for the second
}{on: map[*flight]map[*flight]int{}}

// await notes that the execution of the frame around, if any, waits for f until
// forget is called. It returns errRecursive if f already waits, over however
// many others, for that execution.
func await(around *frame, f *flight) (forget func(), err error) {
	if around == nil || around.flight == nil {
		return func() {}, nil
	}
	from := around.flight
	waits.Lock()
	defer waits.Unlock()
	if waitsFor(f, from, map[*flight]bool{}) {
		return nil, errRecursive
	}
	if waits.on[from] == nil {
		waits.on[from] = map[*flight]int{}
	}
	waits.on[from][f]++
	return func() { forgetWait(from, f) }, nil
}

func forgetWait(from, f *flight) {
	waits.Lock()
	defer waits.Unlock()
	on := waits.on[from]
	if on[f]--; on[f] == 0 {
		delete(on, f)
	}
	if len(on) == 0 {
		delete(waits.on, from)
	}
}

// waitsFor reports whether f is target or waits for it. The caller holds waits.
func waitsFor(f, target *flight, seen map[*flight]bool) bool {
	if f == target {
		return true
	}
	seen[f] = true
	for next := range waits.on[f] {
		if !seen[next] && waitsFor(next, target, seen) {
			return true
		}
	}
	return false
}
