package storeclient

import "sync"

// MaxBacklog bounds, in bytes, the results that wait for one store and for which no
// caller waits. What comes beyond that is not stored: with a store that is slow the
// results would pile up. A result counts lingerOverhead beside its own size.
const (
	MaxBacklog     = 128 << 20
	ResultOverhead = 4 << 10 // about a goroutine, a flight and its timer
)

// Backlog is what waits for a store without a caller.
type Backlog struct {
	mu    sync.Mutex
	bytes int64 // guarded by mu
}

// Add counts size, if there is room. There always is for a single one.
func (l *Backlog) Add(size int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes > 0 && l.bytes+size > MaxBacklog {
		return false
	}
	l.bytes += size
	return true
}

func (l *Backlog) Remove(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes -= size
}
