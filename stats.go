package memo

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Stats are a function's counters since [New], or the sums of a group's.
//
// Every call that is answered from the cache or by an execution that it waits
// for, or whose wait its context ends, counts as exactly one of Hits, SharedHits,
// StaleHits, Misses and Joined. One that comes to nothing before, with a
// *[KeyError], [ErrRecursive] or a context that is done already, counts as none.
// The counters are read one after the other, so under load they may disagree by
// the calls of that moment.
type Stats struct {
	Hits       uint64 // answered with a fresh result, or a remembered error, from this process
	SharedHits uint64 // answered with a fresh result from the shared store
	StaleHits  uint64 // answered with an old result that a stale window allowed
	Misses     uint64 // found nothing usable and caused an execution
	Joined     uint64 // waited on somebody else's execution

	Executions  uint64 // times fn was run, refreshes and bypasses included
	Failures    uint64 // executions that ended in an error or a panic
	Evictions   uint64 // results that were dropped for want of room
	StoreErrors uint64 // operations on the shared store that failed

	Entries uint64 // results held in this process now
	Bytes   uint64 // their size, as LocalBytes counts it

	ExecutionTime time.Duration // spent in fn, summed over its executions
}

// add sums two Stats.
func (s Stats) add(o Stats) Stats {
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

// counters are what Stats reads. All fields are atomic.
type counters struct {
	hits          striped
	sharedHits    atomic.Uint64
	staleHits     atomic.Uint64
	misses        atomic.Uint64
	joined        atomic.Uint64
	executions    atomic.Uint64
	failures      atomic.Uint64
	evictions     atomic.Uint64
	storeErrors   atomic.Uint64
	executionTime atomic.Int64
}

func (c *counters) read() Stats {
	return Stats{
		Hits:          c.hits.sum(),
		SharedHits:    c.sharedHits.Load(),
		StaleHits:     c.staleHits.Load(),
		Misses:        c.misses.Load(),
		Joined:        c.joined.Load(),
		Executions:    c.executions.Load(),
		Failures:      c.failures.Load(),
		Evictions:     c.evictions.Load(),
		StoreErrors:   c.storeErrors.Load(),
		ExecutionTime: time.Duration(c.executionTime.Load()),
	}
}

// striped is a counter that goroutines on different processors rarely contend
// for: each adds to the stripe that the address of its stack selects.
type striped [stripes]struct {
	n atomic.Uint64
	_ [120]byte // two cache lines: processors fetch them in pairs
}

const stripes = 16

// inc returns how often its stripe was incremented.
func (s *striped) inc() uint64 {
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
