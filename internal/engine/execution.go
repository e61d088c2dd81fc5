package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0226adef/memo/internal/nested"
)

var (
	ErrRecursive = nested.ErrRecursive
	ErrGoexit    = errors.New("memo: fn called runtime.Goexit")
	ErrNoReturn  = errors.New("memo: fn panicked or called runtime.Goexit")
	errGivenUp   = fmt.Errorf("memo: fn did not return within its LoadTimeout: %w", context.DeadlineExceeded)
)

// An Execution is fn with one argument.
type Execution interface {
	// Own gives the execution a copy of its argument, whose canonical form is key. It
	// is called in the caller's goroutine before the execution is started, and does
	// something once.
	Own(key string)
	// Run runs fn and returns its result as a *R.
	Run(context.Context) (any, error)
	// Abstain says that this call will not run fn now, so that a batch need not wait
	// for its key.
	Abstain()
	// Counted reports whether run counts as an execution by itself.
	Counted() bool
	// AppendArgs appends the last part of the shared key of the argument, whose
	// canonical form is key.
	AppendArgs(b []byte, key string) []byte
}
