package memo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"reflect"
)

// fingerprint returns the default Version: eight hexadecimal digits that
// change when the shape of a type changes. Names, types, order and tags of
// fields count, at any depth, because each of them can change what the bytes of
// an argument or of a result mean.
func fingerprint(types ...reflect.Type) string {
	s := shaper{hash: sha256.New(), seen: map[reflect.Type]int{}}
	for _, t := range types {
		s.add(t)
	}
	return hex.EncodeToString(s.hash.Sum(nil)[:4])
}

// A shaper writes the shapes of types to a hash.
type shaper struct {
	hash hash.Hash
	seen map[reflect.Type]int // the position of a type's first mention, which ends recursion
}

func (s *shaper) add(t reflect.Type) {
	if n, ok := s.seen[t]; ok {
		fmt.Fprintf(s.hash, "<%d>", n)
		return
	}
	s.seen[t] = len(s.seen)
	fmt.Fprintf(s.hash, "%v %q %q(", t.Kind(), t.PkgPath(), t.Name())
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
