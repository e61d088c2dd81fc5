package engine

import "sync"

// waits says which executions wait for which others, through calls that fn makes
// with its context. A cycle in it would never end.
var waits = struct {
	sync.Mutex
	on map[*Flight]map[*Flight]int // guarded by the mutex; how many goroutines of the first wait for the second
}{on: map[*Flight]map[*Flight]int{}}

// Await notes that the execution of the frame around, if any, waits for f until
// forget is called. It returns errRecursive if f already waits, over however
// many others, for that execution.
func Await(around *Frame, f *Flight) (forget func(), err error) {
	if around == nil || around.Flight == nil {
		return func() {}, nil
	}
	from := around.Flight
	waits.Lock()
	defer waits.Unlock()
	if waitsFor(f, from, map[*Flight]bool{}) {
		return nil, ErrRecursive
	}
	if waits.on[from] == nil {
		waits.on[from] = map[*Flight]int{}
	}
	waits.on[from][f]++
	return func() { forgetWait(from, f) }, nil
}

func forgetWait(from, f *Flight) {
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
func waitsFor(f, target *Flight, seen map[*Flight]bool) bool {
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
