package memoproto

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxKeyDepth is how deeply the messages of a key may be nested; protobuf itself
// reads 10,000 levels. A message that contains itself is an error by it.
const maxKeyDepth = 100

var errDepth = fmt.Errorf("a protobuf message is nested more than %d levels deep, or contains itself", maxKeyDepth)

// appendMessage appends the populated fields in the order of their numbers, a
// zero, and the unknown fields. Marshalling would not do: the bytes that it
// writes differ between releases of protobuf, and its deterministic mode only
// promises the same bytes within one program.
func appendMessage(b []byte, m protoreflect.Message, depth int) ([]byte, error) {
	if depth > maxKeyDepth {
		return b, errDepth
	}
	type field struct {
		fd protoreflect.FieldDescriptor
		v  protoreflect.Value
	}
	var fields []field
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		fields = append(fields, field{fd, v})
		return true
	})
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.fd.Number(), b.fd.Number()) })
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(f.fd.Number()))
		var err error
		if b, err = appendField(b, f.fd, f.v, depth); err != nil {
			return b, err
		}
	}
	b = append(b, 0)
	return appendUnknown(b, m.GetUnknown())
}

func appendField(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int) ([]byte, error) {
	switch {
	case fd.IsMap():
		return appendMap(b, fd, v.Map(), depth)
	case fd.IsList():
		list := v.List()
		b = binary.AppendUvarint(b, uint64(list.Len()))
		for i := range list.Len() {
			var err error
			if b, err = appendValue(b, fd, list.Get(i), depth); err != nil {
				return b, err
			}
		}
		return b, nil
	}
	return appendValue(b, fd, v, depth)
}

// appendMap appends the entries in the order of their own forms.
func appendMap(b []byte, fd protoreflect.FieldDescriptor, m protoreflect.Map, depth int) ([]byte, error) {
	entries := make([]string, 0, m.Len())
	var failed error
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		e, err := appendValue(nil, fd.MapKey(), k.Value(), depth)
		if err == nil {
			e, err = appendValue(e, fd.MapValue(), v, depth)
		}
		failed = err
		entries = append(entries, string(e))
		return err == nil
	})
	if failed != nil {
		return b, failed
	}
	slices.Sort(entries)
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = append(b, e...)
	}
	return b, nil
}

func appendValue(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int) ([]byte, error) {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		if v.Bool() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case protoreflect.EnumKind:
		return binary.AppendVarint(b, int64(v.Enum())), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return binary.AppendVarint(b, v.Int()), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return binary.AppendUvarint(b, v.Uint()), nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return appendFloat(b, v.Float()), nil
	case protoreflect.StringKind:
		return appendString(b, v.String()), nil
	case protoreflect.BytesKind:
		return appendString(b, string(v.Bytes())), nil
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(b, v.Message(), depth+1)
	}
	return b, fmt.Errorf("a protobuf field of the unknown kind %v", fd.Kind())
}

// appendFloat gives what proto.Equal calls equal one form: all NaN, and the two
// zeros.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case f != f:
		f = math.NaN()
	case f == 0:
		f = 0
	}
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendUnknown appends unknown fields, those of one number in their order, as
// proto.Equal compares them.
func appendUnknown(b []byte, raw protoreflect.RawFields) ([]byte, error) {
	type field struct {
		number protowire.Number
		bytes  []byte
	}
	var fields []field
	for rest := raw; len(rest) > 0; {
		number, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return b, errors.New("a protobuf message has unknown fields that cannot be read")
		}
		fields = append(fields, field{number, rest[:n]})
		rest = rest[n:]
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(a.number, b.number) })
	b = binary.AppendUvarint(b, uint64(len(raw)))
	for _, f := range fields {
		b = append(b, f.bytes...)
	}
	return b, nil
}
