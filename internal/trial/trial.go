// Package trial finds out what a codec changes, by trying.
//
// The codecs that memo writes results with must bring every value back as it
// was. What a library does with a Go type depends on its tags, its methods, its
// place and the library's version, so this package does not reason about any
// of that. It makes sample values of a type, writes them, reads them back, and
// compares. It knows values and what is the same among them; it knows no
// library and no function.
//
//   - A [Guard] stands in front of a codec. Check is its verdict on a type;
//     Append writes a value, or refuses it.
//   - A maker makes sample values, a differ compares what went in with what
//     came out, a walk finds what is behind the interfaces of one value.
//   - A [Refusal] says which part would be changed, and into what.
package trial

import (
	"fmt"
	"reflect"
	"time"
)

// A Codec is what is tried: [codec.Codec], which imports this package.
type Codec interface {
	Name() string
	Append(dst []byte, v any) ([]byte, error)
	Decode(data []byte, v any) error
}

// Rules are what is known of a codec beforehand. The zero value is for codecs
// of which nothing is known.
type Rules struct {
	// Methods are the ways in which the codec lets a type write and read
	// itself, in the order in which it looks for them. Nil is every usual one.
	Methods []Method

	// Refuse says why no value of a type can be written, or "". It is for what
	// cannot be tried because there is no value to try it with.
	Refuse func(reflect.Type) string

	// Time says why a time cannot be written, or "".
	Time func(time.Time) string

	// Suspect reports whether something in what was written may stand for
	// something else. The value is then read back and compared.
	Suspect func(written []byte) bool
}

// A Refusal says that a value, or values of a type, would not come back as they
// were.
type Refusal struct {
	Path string       // Go names from what was checked, or ""
	Type reflect.Type // of the part at Path; nil if it is about one value
	Why  string

	was, got string // for the sample of a known type, which has this one inside
}

func (r *Refusal) Error() string {
	switch {
	case r.Type == nil && r.Path == "":
		return "value " + r.Why
	case r.Type == nil:
		return "value at " + cut(r.Path, 80) + " " + r.Why
	case r.Path == "":
		return fmt.Sprintf("%s %s", r.Type, r.Why)
	}
	return fmt.Sprintf("field %s (%s) %s", r.Path, r.Type, r.Why)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n-3] + "..."
	}
	return s
}

const (
	// maxDepth bounds how deeply a value may be nested, and is how a value that
	// contains itself is found: encoding/gob and msgpack follow such a cycle
	// until the stack is exhausted, which no recover can catch.
	maxDepth = 1000

	// maxParts bounds how many values a sample is made of. What a larger type
	// has beyond it stays zero, and is not tried.
	maxParts = 4000

	// maxStates bounds the states in which a type that writes itself is tried.
	maxStates = 64

	// patience is how long the methods of a type may take over one small
	// value. It is far beyond what any takes, so that only one that never
	// returns on a value it was not made for is given up.
	patience = 3 * time.Second
)
