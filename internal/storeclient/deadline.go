package storeclient

import (
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
)

// A Deadline is until when one call or one publication may use the store, over several
// operations in a row. The zero deadline sets no limit.
type Deadline struct {
	At   int64         // when the time is over; zero is never
	each time.Duration // where at is zero, the longest that one operation may take; zero sets no limit
}

// DeadlineIn returns the deadline of a call that begins now and may take limit
// altogether: what it waits for a turn counts, too. A limit of zero sets none.
func DeadlineIn(limit time.Duration) Deadline {
	if limit == 0 {
		return Deadline{}
	}
	return Deadline{At: clock.After(clock.Now(), limit)}
}

// Unhurried returns the deadline of what no caller waits for: each operation may take
// limit, from when it is sent. Waiting for a turn does not count. It ends all the
// same: those whose turn it is are bounded, and the breaker opens when they fail.
func Unhurried(limit time.Duration) Deadline { return Deadline{each: limit} }

// Remaining returns how long the next operation may take; zero is without limit.
func (d Deadline) Remaining() time.Duration {
	if d.At == 0 {
		return d.each
	}
	return max(time.Duration(d.At-clock.Now()), time.Nanosecond)
}

// Queue returns how long the next operation may wait for its turn; zero is without limit.
func (d Deadline) Queue() time.Duration {
	if d.At == 0 {
		return 0
	}
	return d.Remaining()
}
