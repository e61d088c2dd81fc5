package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A KeysError is the error of a GetMulti or a Delete that the server refused for some
// of the keys and carried out for the others. It wraps the errors of those keys, and
// so [ErrRefused].
type KeysError struct {
	// Errs has the error of each key that was refused, at least one. Each wraps
	// ErrRefused. The map must not be modified.
	Errs map[string]error
}

// Error has the error of the first key in alphabetical order, and the number of the
// others.
func (e *KeysError) Error() string {
	keys := slices.Sorted(maps.Keys(e.Errs))
	if len(keys) == 0 {
		return ErrRefused.Error()
	}
	if first := e.Errs[keys[0]]; len(keys) == 1 {
		return fmt.Sprintf("%v (key %.250q)", first, keys[0])
	} else {
		return fmt.Sprintf("%v (key %.250q, and %d more)", first, keys[0], len(keys)-1)
	}
}

// Unwrap returns the errors, and [ErrRefused].
func (e *KeysError) Unwrap() []error {
	return append(slices.Collect(maps.Values(e.Errs)), ErrRefused)
}

// KeyErrors gathers the errors of the keys of one call, for the author of a Store. The
// zero KeyErrors is empty. It is not safe for concurrent use.
type KeyErrors struct {
	refused map[string]error
	failure error
}

// Add notes the error of a key. It ignores nil and errors that wrap [ErrNotFound].
func (e *KeyErrors) Add(key string, err error) {
	var several *KeysError
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
	case errors.As(err, &several):
		for key, err := range several.Errs {
			e.refuse(key, err)
		}
	case errors.Is(err, ErrRefused):
		e.refuse(key, err)
	default:
		e.Fail(err)
	}
}

func (e *KeyErrors) refuse(key string, err error) {
	if e.refused == nil {
		e.refused = map[string]error{}
	}
	e.refused[key] = cmp.Or(e.refused[key], err)
}

// Fail notes an error that may concern any of the keys. It ignores nil.
func (e *KeyErrors) Fail(err error) { e.failure = cmp.Or(e.failure, err) }

// Err returns the error of the call: the first that may concern any key; otherwise a
// [*KeysError], if keys were refused; otherwise nil.
func (e *KeyErrors) Err() error {
	if e.failure != nil || e.refused == nil {
		return e.failure
	}
	return &KeysError{Errs: e.refused}
}
