package storeclient

import (
	"sync"
	"sync/atomic"
)

// A suspense holds what is to be logged of a shard if it is in order. If it is not, that
// is all there is to say, and is said once.
type suspense struct {
	ops atomic.Uint64 // counts operations, as they begin
	any atomic.Bool   // there are lines

	mu    sync.Mutex
	lines []line // guarded by mu; in the order in which they came
}

// A line is logged when an operation succeeds that began after others.
type line struct {
	after uint64
	say   func()
}

// maxLines bounds the lines that are held. Most of what comes beyond that would be said
// with others.
const maxLines = 64

// Add holds a line until it is known whether the store is in order.
func (s *suspense) Add(say func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) < maxLines {
		s.lines = append(s.lines, line{s.ops.Load(), say})
		s.any.Store(true)
	}
}

// begin notes that an operation begins.
func (s *suspense) begin() uint64 { return s.ops.Add(1) }

// release logs what came before an operation, which has succeeded, had begun.
func (s *suspense) release(began uint64) {
	if !s.any.Load() {
		return
	}
	s.mu.Lock()
	n := 0
	for n < len(s.lines) && s.lines[n].after < began {
		n++
	}
	due := s.lines[:n:n]
	s.lines = s.lines[n:]
	s.any.Store(len(s.lines) > 0)
	s.mu.Unlock()
	for _, l := range due {
		l.say()
	}
}

// drop forgets the lines: the shard is out of order.
func (s *suspense) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = nil
	s.any.Store(false)
}
