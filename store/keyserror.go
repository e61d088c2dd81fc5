package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A KeysError is the error of a call for many keys, GetMulti or Delete, that the
// server has carried out but for those keys that were refused. It wraps their errors,
// and so [ErrRefused].
type KeysError struct {
	// Errs has what is wrong with each key that was refused. Each error wraps
	// ErrRefused. It has at least one, and nobody modifies it.
	Errs map[string]error
}

// Error tells of the first key in the order of the alphabet, and how many there are.
func (e *KeysError) Error() string {
	keys := slices.Sorted(maps.Keys(e.Errs))
	if len(keys) == 0 {
		return ErrRefused.Error()
	}
	if first := e.Errs[keys[0]]; len(keys) == 1 {
		return fmt.Sprintf("%v (key %.250q)", first, keys[0])
	} else {
		return fmt.Sprintf("%v (key %.250q, and %d other keys)", first, keys[0], len(keys)-1)
	}
}

// Unwrap returns the errors, and [ErrRefused].
func (e *KeysError) Unwrap() []error {
	return append(slices.Collect(maps.Values(e.Errs)), ErrRefused)
}

// KeyErrors gathers what becomes of the keys of one call. It is for the author of a
// Store. The zero KeyErrors has none; it is not safe for concurrent use.
type KeyErrors struct {
	refused map[string]error
	failure error
}

// Add notes the error of a key. Nil, and one that wraps [ErrNotFound], is none.
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

// Fail notes an error that may concern any of the keys. Nil is none.
func (e *KeyErrors) Fail(err error) { e.failure = cmp.Or(e.failure, err) }

// Err returns the error of the call: the first that may concern any key; otherwise a
// [*KeysError], if keys were refused; otherwise nil.
func (e *KeyErrors) Err() error {
	if e.failure != nil || e.refused == nil {
		return e.failure
	}
	return &KeysError{Errs: e.refused}
}
