// Package beside makes calls that know nothing of contexts end with one.
package beside

import (
	"context"
	"fmt"
)

// Do returns what call returns, or ctx.Err() as soon as ctx ends. call is not made if
// it has ended before. Otherwise call then goes on in a goroutine of its own, until
// it ends by itself, so it must not touch what belongs to the caller; a ctx that
// cannot end costs no goroutine.
//
// A panic of call is an error: clients panic on some of what a server may answer
// (a length that no slice can have), and in that goroutine nobody could recover.
func Do[T any](ctx context.Context, call func() (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	if ctx.Done() == nil {
		return Guarded(call)
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1) // has room for an outcome that nobody waits for
	go func() {
		value, err := Guarded(call)
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done: // an outcome is worth more than the news that it is late
		return o.value, o.err
	default:
		return zero, ctx.Err()
	}
}

// Guarded returns what call returns, and an error if it panics.
func Guarded[T any](call func() (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the client panicked: %v", p)
		}
	}()
	return call()
}
