package function

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/values"
)

// A Signature is what is known of a function's types.
type Signature struct {
	entry.Typing
	arg, result reflect.Type
	keep        func(option any) func(any, error) bool // adapts a CacheIf to *R
	check       func(name string, s *Settings)         // panics if an option is for other types
}

func SignatureOf[A, R any]() Signature {
	return Signature{
		Typing: entry.TypingOf[R](),
		arg:    reflect.TypeFor[A](),
		result: reflect.TypeFor[R](),
		keep:   keepOf[R],
		check: func(name string, s *Settings) {
			if keys.Several(reflect.TypeFor[A]()) && s.KeyFunc != nil {
				panic(fmt.Sprintf("memo: %s: KeyFunc was given, but Wrap2 and Wrap3 take none; use New with a struct for the arguments", name))
			}
			Typed[func(A) string]("KeyFunc", name, s.KeyFunc)
			Typed[func(R) R]("Clone", name, s.Clone)
			Typed[func(R, error) bool]("CacheIf", name, s.Keep)
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
func (f *Function) checkSettings(s *Settings) {
	f.Signature.check(f.Label, s)
	if f.Signature.Once != nil && s.Clone == nil {
		panic(fmt.Sprintf("memo: %s: result %s", f.Label, values.Describe(f.Signature.Once)))
	}
	if s.Store == nil {
		return
	}
	if s.Name == "" {
		panic(fmt.Sprintf("memo: %s has a shared store but no Name; give it one that stays the same when the code is renamed, such as Name(\"users.byID\")", f.Label))
	}
	if err := codec.Check(s.Codec, f.Signature.result); err != nil {
		panic(fmt.Sprintf("memo: %s: result %v", f.Label, err))
	}
}

// Check panics if calls cannot be laid over what is known of the function now.
func (f *Function) Check(calls Options) {
	s := f.Settings(nil)
	calls.Apply(&s)
	f.checkSettings(&s)
}

// Version returns the part of shared keys that tells shapes apart.
func (f *Function) Version(s *Settings) string {
	if s.Version != "" {
		return s.Version
	}
	return keys.Fingerprint(f.Signature.arg, f.Signature.result)
}

// Refusal is the message for an argument type that cannot be a key.
func (f *Function) Refusal(err error) string {
	what, where, advice := err.Error(), "argument", "give KeyFunc"
	if keys.Several(f.Signature.arg) {
		advice = "use New with a struct for the arguments and KeyFunc"
	}
	var at *keys.PathError
	if errors.As(err, &at) {
		ordinal, rest := f.SplitPath(at.Path)
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

// SplitPath splits the position that Wrap2 and Wrap3 gave an argument, if they
// did, off the path into it.
func (f *Function) SplitPath(path string) (ordinal, rest string) {
	if !keys.Several(f.Signature.arg) {
		return "", path
	}
	for i := range f.Signature.arg.NumField() {
		name := f.Signature.arg.Field(i).Name
		if rest, ok := strings.CutPrefix(path, name); ok {
			return strconv.Itoa(i + 1), strings.TrimPrefix(rest, ".")
		}
	}
	return "", path
}
