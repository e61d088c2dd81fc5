package ability

import (
	"context"
	"time"
)

// Within returns a copy of parent for one call of a store, which ends after d as
// one of [context.WithTimeout] does. If parent can never end, or ends only at its
// deadline, [OnlyDeadline] reports true for the copy. The CancelFunc must be called
// when the call has returned, and not before.
//
// With any other context, also one derived from this by [context.WithValue], a store
// whose client knows only deadlines has to make each call in a second goroutine.
func Within(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(parent, d)
	if parent.Done() == nil || OnlyDeadline(parent) {
		ctx = onlyDeadline{ctx}
	}
	return ctx, cancel
}

// OnlyDeadline reports whether ctx ends at its deadline and not before, for as long
// as the call that it was made for goes on.
//
// It is for a store whose client honours the deadline of a context but not its Done
// channel, as go-redis does: such a context can be left to the client, while any other
// that can end needs the call made in a second goroutine.
func OnlyDeadline(ctx context.Context) bool {
	_, ok := ctx.(onlyDeadline)
	return ok
}

type onlyDeadline struct{ context.Context }
