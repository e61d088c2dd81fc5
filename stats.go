package memo

import (
	"time"
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
