package store

import (
	"context"
	"errors"
	"fmt"
)

// A Notifier is a [Store] that reports when values change, so that a caller who keeps
// copies can drop them. Callers use [Notify].
type Notifier interface {
	Store

	// Notify begins to report changes to sink, as the function [Notify] says.
	// It may return an error wrapping [errors.ErrUnsupported], for instance
	// because the server is too old or the store it wraps cannot.
	Notify(ctx context.Context, prefix string, sink Sink) (stop func(), err error)
}

// A Sink is told what happens to the keys of one call of [Notify].
//
// A store may call the methods from several goroutines at once, its writers'
// included, but calls Up and Suspect one at a time. The methods must not
// block, must not call the store and must not stop the notifications.
//
// Between Up(true) and Up(false) the reports are complete: each change is
// followed by a Changed that names it or by a Suspect. A report follows the
// change it tells of, so that a Get begun afterwards returns what the change
// left behind. It may be late, come more than once, or tell of nothing.
//
// A Get that is under way when a report comes may return the value from before.
// A sink that keeps what is read must therefore note the reports before it
// reads, and keep the value only if none came in between.
type Sink interface {
	// Changed reports that the values under keys may have changed: set, added,
	// swapped, deleted, and in some stores expired or evicted. A Delete is
	// reported also when it found nothing, unless the store has reported already
	// how the value went away.
	//
	// keys may include some outside the prefix. The sink must neither modify
	// nor retain the slice.
	Changed(keys []string)

	// Suspect reports that any value under the prefix may have changed: the
	// server was flushed, or reports were lost.
	Suspect()

	// Up reports whether changes are reported at all. Until the first Up(true),
	// and from Up(false) to the next Up(true), they are not, and copies are no
	// better than their age. A store calls Suspect before any Up(true) but the
	// first, and Up(false) as soon as it knows that it has lost its
	// connection, which may be seconds after the loss.
	Up(up bool)
}

// Notify makes s report to sink what happens to the keys that begin with prefix,
// whoever changes them, s itself included. An empty prefix means all keys.
//
// The reports begin with Up(true), before Notify returns or later, and go on
// through lost connections until stop is called. The context bounds the call of
// Notify and not what follows it.
//
// Changes made after stop has returned are not reported. Reports already on their
// way may still arrive. stop releases everything the notifications held; it is
// safe to call more than once and from any goroutine, except from within the sink.
//
// If s implements [Notifier], Notify calls s.Notify. Otherwise it returns an error
// wrapping [errors.ErrUnsupported], and all a caller can do is to bound the age of its
// copies. With any error stop is nil.
func Notify(ctx context.Context, s Store, prefix string, sink Sink) (stop func(), err error) {
	if s, ok := s.(Notifier); ok {
		return s.Notify(ctx, prefix, sink)
	}
	return nil, fmt.Errorf("memo: store: %T does not notify: %w", s, errors.ErrUnsupported)
}
