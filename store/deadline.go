package store

import (
	"context"
	"time"
)

// Within returns a copy of parent for one call of a store, which ends after d as
// one of [context.WithTimeout] does. If parent can never end, [OnlyDeadline]
// reports true for the copy.
//
// A store whose client honours the deadline of a context, but not its Done
// channel, has to wait for a call in a second goroutine; for such a context it
// need not.
func Within(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(parent, d)
	if parent.Done() == nil {
		ctx = onlyDeadline{ctx}
	}
	return ctx, cancel
}

// OnlyDeadline reports whether ctx ends at its deadline and not before, for as long
// as the call that it was made for goes on.
func OnlyDeadline(ctx context.Context) bool {
	_, ok := ctx.(onlyDeadline)
	return ok
}

type onlyDeadline struct{ context.Context }
