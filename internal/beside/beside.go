// Package beside makes calls that know nothing of contexts end with one, and their
// errors tell of it.
package beside

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0226adef/memo/store"
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
		return guarded(call)
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1) // has room for an outcome that nobody waits for
	go func() {
		value, err := guarded(call)
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

// Err is [Do] for a call without a value.
//
// With a ctx that cannot end it does no more than to make a panic an error.
func Err(ctx context.Context, call func() error) error {
	_, err := Do(ctx, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// guarded returns what call returns, and an error if it panics.
func guarded[T any](call func() (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the client panicked: %v", p)
		}
	}()
	return call()
}

// Failed says whose error err is, which op of the store in package name has come to
// under ctx. Answers stay what they are. An error that comes with the end of ctx is
// the context's: a client may report a deadline as an i/o timeout, a moment before
// the context does (go-redis).
func Failed(ctx context.Context, name, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		return err
	}
	ended := ctx.Err()
	if deadline, ok := ctx.Deadline(); ok && ended == nil && !time.Now().Before(deadline) {
		ended = context.DeadlineExceeded
	}
	if ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("memo: %s: %s: %v: %w", name, op, err, ended)
	}
	return fmt.Errorf("memo: %s: %s: %w", name, op, err)
}
