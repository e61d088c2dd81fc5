package codec

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/seed-0226adef/memo/internal/messages"
	"github.com/seed-0226adef/memo/internal/trial"
)

// A Codec turns a value into bytes and back. It is safe for concurrent use.
//
// The one rule above all others: a value that Append accepts comes back from
// Decode as it was, or Append returns an error. A codec that cannot keep
// something says so; it never drops it in silence. What "as it was" leaves out
// (a monotonic clock reading, shared pointers, nil against empty) is listed in
// this package's documentation and, value by value, in docs/codecs.md.
//
// Package codectest checks an implementation against every sentence here.
type Codec interface {
	// Name is a short, stable identifier: 1 to 16 bytes of printable ASCII
	// without spaces. It is written in front of each encoded value, and a
	// reader finds the codec to decode with by it. So a codec whose bytes
	// change in a way that its older Decode cannot read needs a new name.
	Name() string

	// Append appends the encoding of the value that v points to and returns
	// the extended buffer.
	//
	//   - v is a non-nil pointer; Append does not modify or retain what it
	//     points to. The pointer itself is not part of the value.
	//   - The value may be anything: a scalar, a struct, a pointer, and a nil
	//     pointer, slice, map or interface.
	//   - The bytes already in dst are left as they are. When dst has the
	//     capacity, the result shares its memory; nothing of it is retained.
	//   - On an error the result is dst, with its content and its length. Bytes
	//     between its length and its capacity may have been written.
	//   - A panic of a method of the value is an error, not a panic.
	Append(dst []byte, v any) ([]byte, error)

	// Decode replaces the value that v points to by the one that data encodes.
	//
	//   - v is a non-nil pointer of the type that was given to Append. What it
	//     pointed to before has no influence on the result.
	//   - data is one encoded value and nothing else: bytes left over are an
	//     error. Decode does not modify data and keeps no reference to it.
	//   - data is not trusted. Whatever it holds, Decode returns: it does not
	//     panic, and it allocates in proportion to len(data), not to a length
	//     that data claims.
	//   - On an error the value that v points to is unspecified.
	Decode(data []byte, v any) error
}

// The codecs that come with this package. All three refuse what they would
// lose; they differ in what that is, in size and in who else can read them.
var (
	// JSON writes what encoding/json writes, without escaping HTML, and reads
	// it back. Anything can read it, which is why it is the default. It holds
	// no NaN and no infinity, no map keyed by structs, and in an interface
	// only what JSON itself has: nil, bool, string, float64, []any and
	// map[string]any.
	JSON Codec = trial.New(jsonCodec{}, jsonRules)

	// MsgPack writes MessagePack with github.com/vmihailenco/msgpack/v5, and
	// obeys its struct tags (msgpack:"name"). It is the smallest, and the
	// fastest to read. It holds NaN, any byte in a string, and maps keyed by
	// structs. A time.Time keeps its instant and loses its zone.
	MsgPack Codec = trial.New(msgpackCodec{}, msgpackRules)

	// Gob writes encoding/gob, one self-describing stream for each value, so
	// small values are dominated by the description of their type. It is the
	// one that holds complex numbers and, when their types are given to
	// gob.Register, interfaces with methods. Only Go reads it.
	Gob Codec = trial.New(gobCodec{}, gobRules)
)

// A Checker is a Codec that knows of types which it cannot hold, beyond what
// trying them shows. Call it through [Check].
type Checker interface {
	// Check returns an error when values of type t could not be written, or
	// could be written but would come back without some of their parts. The
	// error names the part, as a path from t, and says what to change. It is
	// the same for the same type, whatever has been encoded before.
	Check(t reflect.Type) error
}

// Check reports whether c would lose parts of the values of type t, so that a
// program can refuse to start instead of serving half-empty results later.
//
// It tries: sample values of t, all their fields filled, are written with c,
// read back and compared. So it works for every codec, those of users and those
// made from others included. The error is about the first difference.
//
//   - A nil c or a nil t is an error.
//   - If c implements [Checker], its error goes first.
//   - A field tagged memo:"-" may be lost: its owner says so. The tag is for
//     Check alone; whether the field is written is up to the codec's own tags.
//     It does not help where the codec fails instead of dropping the field.
//   - An error of c for a value is no loss, unless c cannot write or read an
//     ordinary value of t. A codec that cannot hold as little as a number is
//     not judged by its errors.
//   - Made-up values that a type's own methods refuse, or panic on, prove
//     nothing. Methods that do not return are given up after three seconds.
//   - Interfaces pass, because what they hold is only known with the value:
//     JSON and MsgPack refuse those with methods.
//   - omitempty and omitzero are taken at their word.
//
// The answer is remembered for codecs that can be compared. The package's
// documentation says what a trial cannot see.
//
// The codecs of this package refuse in Append what Check refuses, so leaving
// Check out delays the error and loses nothing. Package memo looks after the
// other codecs in the same way.
func Check(c Codec, t reflect.Type) error {
	if c == nil {
		return errors.New("memo: codec: Check needs a codec, not nil")
	}
	if t == nil {
		return errors.New("memo: codec: Check needs a type; reflect.TypeOf of a nil interface has none, reflect.TypeFor has")
	}
	if checker, ok := c.(Checker); ok {
		if err := checker.Check(t); err != nil {
			return err
		}
	}
	return trial.For(c).Check(t)
}

// maxWireDepth bounds the nesting in bytes to be decoded: a stack that overflows
// ends the process. It is the limit of encoding/json. Values have at most 1000
// levels, not counting those inside of types that write themselves.
const maxWireDepth = 10000

// refuseUnreadable says why values of t cannot be read back: t is an interface with
// methods, or a protobuf message. For other types it returns "".
func refuseUnreadable(codec string, t reflect.Type) string {
	if t.Kind() == reflect.Interface && t.NumMethod() > 0 {
		return fmt.Sprintf("is an interface with methods, and %s cannot know which type to read it back into; use a concrete type or another codec", codec)
	}
	return refuseMessage(codec, t)
}

// refuseMessage says that a protobuf message needs a codec of its own. For other types
// it returns "".
func refuseMessage(codec string, t reflect.Type) string {
	if !messages.Is(t) {
		return ""
	}
	return fmt.Sprintf("is a protobuf message, and %s would lose parts of it; import %s and give memo.Codec its Codec", codec, messages.Path)
}

// appendTo is an io.Writer that appends to a caller's buffer.
type appendTo struct{ b []byte }

func (w *appendTo) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *appendTo) WriteByte(c byte) error {
	w.b = append(w.b, c)
	return nil
}
