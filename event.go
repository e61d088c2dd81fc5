package memo

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/function"
)

// An Observer is told what a function does, call by call: it is the place for
// metrics and traces. See [Observe].
//
// Observe runs in the goroutine of the call that it tells of, or of the
// execution, and holds that up for as long as it takes; no lock is held.
// It is called by many goroutines at once. It may call memoized functions, but
// not with the key of an execution that it is being told of: that waits for it.
// A panic of Observe reaches the caller it tells of; of an execution, it is
// logged.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// An Event is one thing that happened. For one call, one of [EventHit],
// [EventSharedHit], [EventStaleHit], [EventMiss] and [EventJoined] is told when
// it is known how the call ends.
type Event struct {
	Kind EventKind
	// Func is the function's name.
	Func string
	// Key identifies the argument within the function and this process. It is
	// not for reading: [Func.Key] is.
	Key string
	// Duration is how long fn took, for an EventExecution.
	Duration time.Duration
	// Err is what an execution failed with: fn's error, or a *[PanicError]. For
	// a call that bypassed the cache a panic is only said to be one, since it
	// goes on in the caller.
	Err error
}

// An EventKind says what happened.
type EventKind int

// The kinds of events, named after the counters of [Stats] where there is one.
const (
	EventHit          EventKind = iota + 1 // a fresh result from this process
	EventSharedHit                         // a fresh result from the shared store
	EventStaleHit                          // an old result
	EventMiss                              // nothing usable: the call caused an execution, which has ended or which it left
	EventJoined                            // the call waited for somebody else's execution
	EventExecution                         // fn came back
	EventInvalidation                      // a key was invalidated
	EventClear                             // the whole function was
	EventExpiry                            // a key was expired or, without one, the whole function
)

var eventNames = [...]string{
	EventHit:          "hit",
	EventSharedHit:    "shared hit",
	EventStaleHit:     "stale hit",
	EventMiss:         "miss",
	EventJoined:       "joined",
	EventExecution:    "execution",
	EventInvalidation: "invalidation",
	EventClear:        "clear",
	EventExpiry:       "expiry",
}

// String returns the kind in words, such as "stale hit".
func (k EventKind) String() string {
	if k < 1 || int(k) >= len(eventNames) {
		return "unknown event"
	}
	return eventNames[k]
}

// observerOf returns what tells o of events.
func observerOf(o Observer) function.Observer {
	return function.Observer{Value: o, Tell: func(ctx context.Context, name string, kind entry.EventKind, key string, took time.Duration, err error) {
		if p, ok := err.(*entry.PanicError); ok {
			err = (*PanicError)(p)
		}
		o.Observe(ctx, Event{Kind: EventKind(kind), Func: name, Key: key, Duration: took, Err: err})
	}}
}
