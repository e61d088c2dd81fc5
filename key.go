package memo

import (
	"errors"

	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/internal/keys"
)

// A Keyer names itself. An argument, or a part of one, that has this method is
// represented in keys by the string it returns instead of by its fields.
//
// A MarshalText (package encoding) counts in the same way if the type belongs to the
// module that the program was built in. Types of the standard library and of other
// modules go by their fields, except those few whose texts are known to differ for
// different values, such as netip.Addr, big.Int and uuid.UUID.
//
// Two values of one type must return the same string exactly when a memoized
// function may treat them as the same argument. MemoKey is called on every
// call of the function, possibly by several goroutines at once; it is not
// called on a nil pointer, which has a key of its own.
//
// What a Keyer holds is not copied for the function, which may still be running when
// the call has returned: the caller must not change it after that.
type Keyer interface {
	MemoKey() string
}

// A KeyError reports an argument that could not be turned into a key when the
// function was called. The function has not run.
//
// Types that can never be keys are refused earlier, by a panic of [New]. What
// is left for a call to find out is what hides in the values: a cycle or a
// nesting more than 100 deep; a value inside an
// interface whose type cannot be a key; more than 16 MiB of argument; an error
// of the argument's own MarshalText.
type KeyError struct {
	// Func is the function's name.
	Func string
	// Path leads to the offending part, such as "Filter.Hook"; it is empty
	// for the argument itself.
	Path string
	// Err says what is wrong with it.
	Err error
}

func (e *KeyError) Error() string {
	where := "argument"
	if e.Path != "" {
		where += " " + e.Path
	}
	return "memo: " + e.Func + ": " + where + ": " + e.Err.Error()
}

// Unwrap returns e.Err.
func (e *KeyError) Unwrap() error { return e.Err }

// keyError reports that an argument has no key.
func keyError(f *function.Function, err error) error {
	e := &KeyError{Func: f.Label, Err: err}
	var at *keys.PathError
	if errors.As(err, &at) {
		ordinal, rest := f.SplitPath(at.Path)
		e.Path, e.Err = keys.JoinPath(ordinal, rest), at.Err
	}
	return e
}
