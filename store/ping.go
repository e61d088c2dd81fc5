package store

import (
	"context"
	"errors"
)

// A Pinger is a [Store] that can tell whether its server answers without
// reading a key. Callers use [Ping].
type Pinger interface {
	Store

	// Ping returns nil if every server behind the store answers.
	Ping(ctx context.Context) error
}

// pingKey is read by Ping where there is nothing better. It is never written.
const pingKey = "memo:ping"

// Ping reports whether the server behind s answers: nil if it does, otherwise
// why not. It is meant for start-up and health checks. An answer now does not
// promise the next one.
//
// If s implements [Pinger], Ping calls s.Ping. Otherwise it reads a key that
// need not exist, which reaches one server where keys are spread over several.
func Ping(ctx context.Context, s Store) error {
	if s, ok := s.(Pinger); ok {
		return s.Ping(ctx)
	}
	if _, err := s.Get(ctx, pingKey); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}
