package engine

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// A callbackRun is a run of one of those functions of the user that get no context:
// [CacheIf]'s, the match of [CacheErrors], and [Clone]'s. What they call is called by
// the execution that waits for them, but no context tells that. So it is told by the
// goroutine: while one of them runs, a call that is made in its goroutine belongs to its
// execution.
//
// Go names no goroutines but in the text of a stack. To read that takes microseconds,
// which is little beside an execution and much beside a hit. So the goroutine of a call
// that is going to wait is looked up only while any callback is noted, and a Clone on a
// hit is noted only sometimes.
type callbackRun struct {
	flight *Flight // the execution that waits for its end; nil if none does
	of     *Cache  // for Clone, what is copied: the function
	key    string  // and the key
	around *callbackRun
}

// callbacks are the callbacks under way that are noted.
var callbacks = struct {
	number atomic.Int64 // how many they are
	sync.Mutex
	of map[uint64]*callbackRun // guarded by the mutex; the innermost one of each goroutine
}{of: map[uint64]*callbackRun{}}

// enter notes that cb runs in this goroutine, until leave is called there. It returns
// errRecursive if a copy is being made of the same result already.
func (cb *callbackRun) enter() (leave func(), err error) {
	id := goroutine()
	if id == 0 {
		return func() {}, nil
	}
	callbacks.Lock()
	defer callbacks.Unlock()
	cb.around = callbacks.of[id]
	for outer := cb.around; cb.of != nil && outer != nil; outer = outer.around {
		if outer.of == cb.of && outer.key == cb.key {
			return nil, ErrRecursive
		}
	}
	callbacks.of[id] = cb
	callbacks.number.Add(1)
	return func() { cb.leave(id) }, nil
}

func (cb *callbackRun) leave(id uint64) {
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
func callingBack() *Flight {
	if callbacks.number.Load() == 0 {
		return nil
	}
	id := goroutine()
	callbacks.Lock()
	defer callbacks.Unlock()
	for cb := callbacks.of[id]; cb != nil; cb = cb.around {
		if cb.flight != nil {
			return cb.flight
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

// Which copies of held results are noted: of those that are made for one execution the
// first few, and one in many of all. A Clone that calls its function for the result that
// it copies does so for as long as there is memory for the stack, and is found out.
const (
	clonesNoted = 8
	cloneSample = 1 << 10
)

// LooksAtClone reports whether the copy of a held result is to be noted, for a call
// under ctx, also because one of the same key is: perhaps in this goroutine.
func (s *shard) LooksAtClone(ctx context.Context) bool {
	if s.cloning.Load() > 0 || rand.Uint32()%cloneSample == 0 {
		return true
	}
	if Executing.Load() == 0 {
		return false
	}
	around := FrameOf(ctx)
	return around != nil && around.clones.Load() < clonesNoted && around.clones.Add(1) <= clonesNoted
}

// NoteClone notes that a copy is being made of a result of key, in a call under ctx, until
// done is called. It returns errRecursive if the call was made by what makes a copy of the
// same result.
func (c *Cache) NoteClone(ctx context.Context, key string) (done func(), err error) {
	cb := &callbackRun{of: c, key: key}
	if around := FrameOf(ctx); around != nil {
		cb.flight = around.Flight
	}
	leave, err := cb.enter()
	if err != nil {
		return nil, err
	}
	noted := &c.Shard(key).cloning
	noted.Add(1)
	return func() {
		noted.Add(-1)
		leave()
	}, nil
}
