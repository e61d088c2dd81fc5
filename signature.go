package memo

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/values"
)

// A signature is what is known of a function's types.
type signature struct {
	engine.Typing
	arg, result reflect.Type
	keep        func(option any) func(any, error) bool // adapts a CacheIf to *R
	check       func(name string, s *settings)         // panics if an option is for other types
}

func signatureOf[A, R any]() signature {
	return signature{
		Typing: engine.Typing{
			Usage: values.UsageOf(reflect.TypeFor[R]()),
			Size:  values.SizeOf[R](),
			Blank: func() any { return new(R) },
		},
		arg:    reflect.TypeFor[A](),
		result: reflect.TypeFor[R](),
		keep:   keepOf[R],
		check: func(name string, s *settings) {
			if keys.Several(reflect.TypeFor[A]()) && s.keyFunc != nil {
				panic(fmt.Sprintf("memo: %s: KeyFunc was given, but Wrap2 and Wrap3 take none; use New with a struct for the arguments", name))
			}
			typed[func(A) string]("KeyFunc", name, s.keyFunc)
			typed[func(R) R]("Clone", name, s.clone)
			typed[func(R, error) bool]("CacheIf", name, s.keep)
		},
	}
}

func keepOf[R any](option any) func(any, error) bool {
	if option == nil {
		return func(_ any, err error) bool { return err == nil }
	}
	keep := option.(func(R, error) bool)
	return func(v any, err error) bool { return keep(*v.(*R), err) }
}

// checkSettings panics if the function cannot be made under s.
func (f *function) checkSettings(s *settings) {
	f.signature.check(f.Label, s)
	if f.signature.Once != nil && s.clone == nil {
		panic(fmt.Sprintf("memo: %s: result %s", f.Label, values.Describe(f.signature.Once)))
	}
	if s.store == nil {
		return
	}
	if s.name == "" {
		panic(fmt.Sprintf("memo: %s has a shared store but no Name; give it one that stays the same when the code is renamed, such as Name(\"users.byID\")", f.Label))
	}
	if err := codec.Check(s.Codec, f.signature.result); err != nil {
		panic(fmt.Sprintf("memo: %s: result %v", f.Label, err))
	}
}

// check panics if calls cannot be laid over what is known of the function now.
func (f *function) check(calls Options) {
	s := f.settings(nil)
	calls.apply(&s)
	f.checkSettings(&s)
}

// version returns the part of shared keys that tells shapes apart.
func (f *function) version(s *settings) string {
	if s.version != "" {
		return s.version
	}
	return keys.Fingerprint(f.signature.arg, f.signature.result)
}

// keyError reports that an argument has no key.
func (f *function) keyError(err error) error {
	e := &KeyError{Func: f.Label, Err: err}
	var at *keys.PathError
	if errors.As(err, &at) {
		ordinal, rest := f.splitPath(at.Path)
		e.Path, e.Err = keys.JoinPath(ordinal, rest), at.Err
	}
	return e
}

// refusal is the message for an argument type that cannot be a key.
func (f *function) refusal(err error) string {
	what, where, advice := err.Error(), "argument", "give KeyFunc"
	if keys.Several(f.signature.arg) {
		advice = "use New with a struct for the arguments and KeyFunc"
	}
	var at *keys.PathError
	if errors.As(err, &at) {
		ordinal, rest := f.splitPath(at.Path)
		what = at.Err.Error()
		if ordinal != "" {
			where += " " + ordinal
		}
		if rest != "" {
			where += " field " + rest
		}
	}
	return fmt.Sprintf("memo: %s: %s %s; tag it memo:\"-\" or %s", f.Label, where, what, advice)
}

// splitPath splits the position that Wrap2 and Wrap3 gave an argument, if they
// did, off the path into it.
func (f *function) splitPath(path string) (ordinal, rest string) {
	if !keys.Several(f.signature.arg) {
		return "", path
	}
	for i := range f.signature.arg.NumField() {
		name := f.signature.arg.Field(i).Name
		if rest, ok := strings.CutPrefix(path, name); ok {
			return strconv.Itoa(i + 1), strings.TrimPrefix(rest, ".")
		}
	}
	return "", path
}
