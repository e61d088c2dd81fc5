package memo

import (
	"errors"
	"reflect"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/entry"
)

var (
	// ErrRecursive is returned to fn when it calls, with its context, the very
	// execution that it is part of, be it directly or by way of other memoized
	// functions. Waiting would never end. Whatever uses fn's context counts as
	// fn, a goroutine that fn does not wait for too. [CacheIf]'s function, the match of
	// [CacheErrors] and [Clone]'s function have no context, and get it for what they call
	// in their own goroutine.
	ErrRecursive = engine.ErrRecursive

	// ErrGoexit is returned to those who wait for an execution in which fn
	// called [runtime.Goexit], as a test's FailNow does.
	ErrGoexit = engine.ErrGoexit
)

// A PanicError is what a panic of fn becomes: everyone who waits for the
// execution panics with it, in their own goroutine. Only a panic with
// http.ErrAbortHandler, which package http tells from others by ==, stays what it is.
type PanicError struct {
	// Value is what fn panicked with.
	Value any
	// Stack is the stack of the goroutine that ran fn, as [debug.Stack] gives
	// it.
	Stack []byte
}

func (e *PanicError) Error() string {
	return (*entry.PanicError)(e).Error()
}

// asRaised returns what those who wait for the execution panic with. That is e, except
// for one value by which a handler says that it was no failure: package http compares
// what it recovers with [http.ErrAbortHandler] itself, and would log everything else as
// a crash. It is known by its text, for the core does not link net/http.
//
// [http.ErrAbortHandler]: https://pkg.go.dev/net/http#ErrAbortHandler
func (e *PanicError) asRaised() any {
	if err, ok := e.Value.(error); ok && reflect.TypeOf(err) == sentinelType && err.Error() == "net/http: abort Handler" {
		return err
	}
	return e
}

var sentinelType = reflect.TypeOf(errors.New(""))

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	return (*entry.PanicError)(e).Unwrap()
}
