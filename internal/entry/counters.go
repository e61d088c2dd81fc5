package entry

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Stats are memo.Stats.
type Stats struct {
	Hits, SharedHits, StaleHits, Misses, Joined  uint64
	Executions, Failures, Evictions, StoreErrors uint64
	Entries, Bytes                               uint64
	ExecutionTime                                time.Duration
}

// Add sums two Stats.
func (s Stats) Add(o Stats) Stats {
	s.Hits += o.Hits
	s.SharedHits += o.SharedHits
	s.StaleHits += o.StaleHits
	s.Misses += o.Misses
	s.Joined += o.Joined
	s.Executions += o.Executions
	s.Failures += o.Failures
	s.Evictions += o.Evictions
	s.StoreErrors += o.StoreErrors
	s.Entries += o.Entries
	s.Bytes += o.Bytes
	s.ExecutionTime += o.ExecutionTime
	return s
}

// Counters are what Stats reads. All fields are atomic.
type Counters struct {
	Hits          striped
	SharedHits    atomic.Uint64
	StaleHits     atomic.Uint64
	Misses        atomic.Uint64
	Joined        atomic.Uint64
	Executions    atomic.Uint64
	Failures      atomic.Uint64
	Evictions     atomic.Uint64
	StoreErrors   atomic.Uint64
	ExecutionTime atomic.Int64
}

// Reset sets all to zero.
func (c *Counters) Reset() {
	for i := range c.Hits {
		c.Hits[i].n.Store(0)
	}
	for _, n := range []*atomic.Uint64{&c.SharedHits, &c.StaleHits, &c.Misses, &c.Joined, &c.Executions, &c.Failures, &c.Evictions, &c.StoreErrors} {
		n.Store(0)
	}
	c.ExecutionTime.Store(0)
}

func (c *Counters) Read() Stats {
	return Stats{
		Hits:          c.Hits.sum(),
		SharedHits:    c.SharedHits.Load(),
		StaleHits:     c.StaleHits.Load(),
		Misses:        c.Misses.Load(),
		Joined:        c.Joined.Load(),
		Executions:    c.Executions.Load(),
		Failures:      c.Failures.Load(),
		Evictions:     c.Evictions.Load(),
		StoreErrors:   c.StoreErrors.Load(),
		ExecutionTime: time.Duration(c.ExecutionTime.Load()),
	}
}

// striped is a counter that goroutines on different processors rarely contend
// for: each adds to the stripe that the address of its stack selects.
type striped [Stripes]struct {
	n atomic.Uint64
	_ [120]byte // two cache lines: processors fetch them in pairs
}

const Stripes = 16

// Inc returns how often its stripe was incremented.
func (s *striped) Inc() uint64 {
	var here byte
	stack := uint64(uintptr(unsafe.Pointer(&here))) >> 10
	return s[stack*golden>>60].n.Add(1)
}

// golden spreads numbers that are close to one another (Knuth, The Art of
// Computer Programming, volume 3, section 6.4): it is 2^64 divided by the golden
// ratio.
const golden = 0x9e3779b97f4a7c15

func (s *striped) sum() (n uint64) {
	for i := range s {
		n += s[i].n.Load()
	}
	return n
}
