package memo

import (
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
)

// A deadline is until when one call or one publication may use the store, over several
// operations in a row. The zero deadline sets no limit.
type deadline struct {
	at   int64         // when the time is over; zero is never
	each time.Duration // where at is zero, the longest that one operation may take; zero sets no limit
}

// deadlineIn returns the deadline of a call that begins now and may take limit
// altogether: what it waits for a turn counts, too. A limit of zero sets none.
func deadlineIn(limit time.Duration) deadline {
	if limit == 0 {
		return deadline{}
	}
	return deadline{at: clock.After(clock.Now(), limit)}
}

// unhurried returns the deadline of what no caller waits for: each operation may take
// limit, from when it is sent. Waiting for a turn does not count. It ends all the
// same: those whose turn it is are bounded, and the breaker opens when they fail.
func unhurried(limit time.Duration) deadline { return deadline{each: limit} }

// remaining returns how long the next operation may take; zero is without limit.
func (d deadline) remaining() time.Duration {
	if d.at == 0 {
		return d.each
	}
	return max(time.Duration(d.at-clock.Now()), time.Nanosecond)
}

// queue returns how long the next operation may wait for its turn; zero is without limit.
func (d deadline) queue() time.Duration {
	if d.at == 0 {
		return 0
	}
	return d.remaining()
}
