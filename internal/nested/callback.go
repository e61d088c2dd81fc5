package nested

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// A Callback is a run of one of those functions of the user that get no context:
// [CacheIf]'s, the match of [CacheErrors], and [Clone]'s. What they call is called by
// the execution that waits for them, but no context tells that. So it is told by the
// goroutine: while one of them runs, a call that is made in its goroutine belongs to its
// execution.
//
// Go names no goroutines but in the text of a stack. To read that takes microseconds,
// which is little beside an execution and much beside a hit. So the goroutine of a call
// that is going to wait is looked up only while any callback is noted, and a Clone on a
// hit is noted only sometimes.
type Callback struct {
	Of     *Execution // what waits for its end; nil if nothing does
	Copies any        // for Clone, what is copied: the function, as a pointer
	Key    string     // and the key
	around *Callback
}

// callbacks are the callbacks under way that are noted.
var callbacks = struct {
	number atomic.Int64 // how many they are
	sync.Mutex
	of map[uint64]*Callback // guarded by the mutex; the innermost one of each goroutine
}{of: map[uint64]*Callback{}}

// Enter notes that cb runs in this goroutine, until leave is called there. It returns
// ErrRecursive if a copy is being made of the same result already.
func (cb *Callback) Enter() (leave func(), err error) {
	id := goroutine()
	if id == 0 {
		return func() {}, nil
	}
	callbacks.Lock()
	defer callbacks.Unlock()
	cb.around = callbacks.of[id]
	for outer := cb.around; cb.Copies != nil && outer != nil; outer = outer.around {
		if outer.Copies == cb.Copies && outer.Key == cb.Key {
			return nil, ErrRecursive
		}
	}
	callbacks.of[id] = cb
	callbacks.number.Add(1)
	return func() { cb.leave(id) }, nil
}

func (cb *Callback) leave(id uint64) {
	callbacks.Lock()
	defer callbacks.Unlock()
	callbacks.number.Add(-1)
	if cb.around != nil {
		callbacks.of[id] = cb.around
	} else {
		delete(callbacks.of, id)
	}
}

// callingBack returns the execution that waits for the callback which this goroutine
// is in, or nil.
func callingBack() *Execution {
	if callbacks.number.Load() == 0 {
		return nil
	}
	id := goroutine()
	callbacks.Lock()
	defer callbacks.Unlock()
	for cb := callbacks.of[id]; cb != nil; cb = cb.around {
		if cb.Of != nil {
			return cb.Of
		}
	}
	return nil
}

// goroutine returns the number of this goroutine, or zero should the runtime write it
// in another way than "goroutine 1 [running]:" some day: then calls in callbacks go
// unnoticed.
func goroutine() uint64 {
	text := make([]byte, 32)
	text = text[:runtime.Stack(text, false)]
	number, _, _ := bytes.Cut(bytes.TrimPrefix(text, []byte("goroutine ")), []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}
