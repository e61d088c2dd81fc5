package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"reflect"
)

// Fingerprint returns the default Version: eight hexadecimal digits that
// change when the shape of a type changes. Names, types, order and tags of
// fields count, at any depth, because each of them can change what the bytes of
// an argument or of a result mean. So does in an argument whether a type names itself.
func Fingerprint(arg reflect.Type, results ...reflect.Type) string {
	s := shaper{hash: sha256.New(), seen: map[reflect.Type]int{}, keys: true}
	s.add(arg)
	s.keys = false
	for _, t := range results {
		s.add(t)
	}
	return hex.EncodeToString(s.hash.Sum(nil)[:4])
}

// A shaper writes the shapes of types to a hash.
type shaper struct {
	hash hash.Hash
	seen map[reflect.Type]int // the position of a type's first mention, which ends recursion
	keys bool                 // what is added is part of keys
}

// ownForm says which method represents values of t in keys, "" if none does. A type may
// get one in another release, and a program of another module does not go by the same
// texts; see goesByText.
func ownForm(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer:
		return ""
	case Honours(t, keyerType):
		return "MemoKey"
	case goesByText(t):
		return "MarshalText"
	}
	return ""
}

func (s *shaper) add(t reflect.Type) {
	if n, ok := s.seen[t]; ok {
		fmt.Fprintf(s.hash, "<%d>", n)
		return
	}
	s.seen[t] = len(s.seen)
	fmt.Fprintf(s.hash, "%v %q %q(", t.Kind(), t.PkgPath(), t.Name())
	if s.keys {
		fmt.Fprint(s.hash, ownForm(t))
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			fmt.Fprintf(s.hash, "%q %q %t ", f.Name, f.Tag, f.Anonymous)
			s.add(f.Type)
		}
	case reflect.Map:
		s.add(t.Key())
		s.add(t.Elem())
	case reflect.Array:
		fmt.Fprintf(s.hash, "%d ", t.Len())
		s.add(t.Elem())
	case reflect.Pointer, reflect.Slice:
		s.add(t.Elem())
	}
	fmt.Fprint(s.hash, ")")
}

// argsForm counts the ways in which arguments have been written into shared keys: it
// changes with every change of what appendArgs writes for a value.
const argsForm = "1"

// ArgsShape returns a text that is the same for two argument types only if equal
// arguments of both are written into shared keys in the same way: what follows a
// sharedHead is the same. Names of types count where methods may decide about the key,
// names of fields do not. A KeyFunc is taken to return the same for the same argument,
// whatever its type.
func ArgsShape(t reflect.Type, keyFunc bool) string {
	s := shaper{hash: sha256.New(), seen: map[reflect.Type]int{}}
	fmt.Fprint(s.hash, argsForm)
	if keyFunc {
		fmt.Fprint(s.hash, "KeyFunc")
	} else {
		s.addArgs(t, true)
	}
	return hex.EncodeToString(s.hash.Sum(nil)[:4])
}

// addArgs adds what argsShape says. Integers that are all of the arguments are written
// in decimal digits, whatever their size.
func (s *shaper) addArgs(t reflect.Type, alone bool) {
	if n, ok := s.seen[t]; ok {
		fmt.Fprintf(s.hash, "<%d>", n)
		return
	}
	s.seen[t] = len(s.seen)
	kind := t.Kind()
	switch {
	case t.NumMethod() > 0 || kind != reflect.Interface && reflect.PointerTo(t).NumMethod() > 0:
		fmt.Fprintf(s.hash, "%q %q%s", t.PkgPath(), t.Name(), ownForm(t))
	case alone && reflect.Int <= kind && kind <= reflect.Uintptr:
		fmt.Fprint(s.hash, "integer")
		return
	case kind == reflect.Int:
		kind = reflect.Int64
	case kind == reflect.Uint:
		kind = reflect.Uint64
	}
	fmt.Fprintf(s.hash, "%v(", kind)
	switch kind {
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("memo") != "-" {
				s.addArgs(f.Type, false)
			}
		}
	case reflect.Map:
		s.addArgs(t.Key(), false)
		s.addArgs(t.Elem(), false)
	case reflect.Array:
		fmt.Fprintf(s.hash, "%d ", t.Len())
		s.addArgs(t.Elem(), false)
	case reflect.Pointer, reflect.Slice:
		s.addArgs(t.Elem(), false)
	}
	fmt.Fprint(s.hash, ")")
}
