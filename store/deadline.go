package store

import (
	"context"
	"time"
)

// Within returns a copy of parent for one call of a store, which ends after d as
// one of [context.WithTimeout] does. If parent can never end, or ends only at its
// deadline, [OnlyDeadline] reports true for the copy. The CancelFunc must be called
// when the call has returned, and not before.
//
// It is for whoever limits the time of a Store's calls: package memo does, by
// StoreTimeout, and so may a Store that wraps another one. With a context that was made
// otherwise, a store whose client knows only deadlines has to wait for each call in a
// second goroutine. So it has if a wrapper puts a context of its own, as one of
// [context.WithValue] is, around the one that it was given.
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
// It is for the author of a Store whose client honours the deadline of a context but
// not its Done channel, as go-redis does: such a context can be left to the client,
// while any other that can end needs the call made in a second goroutine. A
// store that does not ask is right as well, only slower.
func OnlyDeadline(ctx context.Context) bool {
	_, ok := ctx.(onlyDeadline)
	return ok
}

type onlyDeadline struct{ context.Context }
