package memoproto

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/trial"
)

// Codec writes protobuf messages, and whatever holds them, in their own wire
// format. Its name is "proto".
//
//   - A message is written with all that [proto.Equal] compares: extensions and
//     unknown fields, and required fields may be missing. It is read with the
//     extensions that are registered in the program.
//   - Structs are written field by field, in order; their tags are not looked
//     at. The types of a function's result are part of its keys, so a program
//     whose structs have other fields does not read these bytes.
//   - Booleans, numbers, strings, pointers, slices, arrays and maps are written
//     as they are, with nil and empty kept apart, NaN and infinity, and strings
//     of any bytes. Types with MarshalBinary, or with MarshalText, write
//     themselves, as time.Time does.
//   - An interface may hold messages, such as a [proto.Message]: they come back
//     as the types that the program has registered under their names. An empty
//     one may also hold a boolean, a number, a string, bytes, a time, []any and
//     map[string]any.
//   - Unexported fields are not written; memo refuses types that have them,
//     unless they are tagged memo:"-".
//
// Bytes from elsewhere are an error, and take memory in proportion to their
// number.
var Codec codec.Codec = trial.New(protoCodec{}, trial.Rules{Methods: []trial.Method{trial.Binary, trial.Text}})

type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Append(dst []byte, v any) ([]byte, error) {
	w := writer{b: dst}
	if err := w.value(reflect.ValueOf(v).Elem(), 0); err != nil {
		return dst, fmt.Errorf("memo: codec: proto: %w", err)
	}
	return w.b, nil
}

func (protoCodec) Decode(data []byte, v any) error {
	r := reader{b: data}
	r.value(reflect.ValueOf(v).Elem(), 0)
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes are left over after the value", len(r.b))
	}
	if r.err != nil {
		return fmt.Errorf("memo: codec: proto: %w", r.err)
	}
	return nil
}

// heldMessage is the number of a message in an interface. Those of the other types
// that an interface may hold follow.
const heldMessage = 1

// held are those types. Stored values have their numbers, so new ones go last.
var held = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any](),
	reflect.TypeFor[int](), reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](),
}

// maxDepth bounds how deeply a value may be nested, and ends one that contains
// itself.
const maxDepth = 1000

var (
	errShort = errors.New("the data ends within a value")
	errDeep  = fmt.Errorf("the value is nested more than %d levels deep, or contains itself", maxDepth)
)

// appendMarshalled appends m in its wire format. Package proto follows a message
// that contains itself until the stack is exhausted, so m is walked first.
func appendMarshalled(b []byte, m proto.Message) ([]byte, error) {
	if isDeep(m.ProtoReflect(), 0) {
		return b, errDeep
	}
	return marshal.MarshalAppend(b, m)
}

// isDeep reports whether the messages in m are nested too deeply.
func isDeep(m protoreflect.Message, depth int) (deep bool) {
	if depth > maxDepth {
		return true
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				deep = isDeep(v.Message(), depth+1)
				return !deep
			})
		case fd.IsList() && fd.Message() != nil:
			for i := 0; i < v.List().Len() && !deep; i++ {
				deep = isDeep(v.List().Get(i).Message(), depth+1)
			}
		case fd.Message() != nil && !fd.IsMap():
			deep = isDeep(v.Message(), depth+1)
		}
		return !deep
	})
	return deep
}

var (
	marshal   = proto.MarshalOptions{AllowPartial: true, Deterministic: true}
	unmarshal = proto.UnmarshalOptions{AllowPartial: true}
)

// message returns the message that the addressable v is, or nil.
func message(v reflect.Value) proto.Message {
	if v.Kind() != reflect.Struct {
		return nil
	}
	m, ok := v.Addr().Interface().(proto.Message)
	if !ok || reflect.TypeOf(m.ProtoReflect().Interface()) != reflect.PointerTo(v.Type()) {
		return nil // a struct that embeds a message is more than that
	}
	return m
}

// newMessage returns an empty message of a registered name.
func newMessage(name string) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("the message %q is not registered: %w", name, err)
	}
	return t.New().Interface(), nil
}
