// Package beside makes calls that know nothing of contexts end with one.
package beside

import "context"

// Do returns what call returns, or ctx.Err() as soon as ctx ends. call is not made if
// it has ended before. Otherwise call then goes on in a goroutine of its own, until
// it ends by itself, so it must not touch what belongs to the caller; a ctx that
// cannot end costs no goroutine.
func Do[T any](ctx context.Context, call func() (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	if ctx.Done() == nil {
		return call()
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1) // has room for an outcome that nobody waits for
	go func() {
		value, err := call()
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
