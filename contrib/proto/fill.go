package memoproto

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fill sets every field of m, one of each oneof, and an unknown one, so that a
// codec which loses any of them is found out when it is tried.
func fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if o := fd.ContainingOneof(); o != nil && m.WhichOneof(o) != nil {
			continue
		}
		isMessage := fd.Message() != nil && !fd.IsMap()
		switch {
		case depth > 1 && fd.Message() != nil:
		case fd.IsMap():
			v := m.NewField(fd)
			value := v.Map().NewValue()
			if fd.MapValue().Message() == nil {
				value = scalar(fd.MapValue())
			}
			v.Map().Set(scalar(fd.MapKey()).MapKey(), value)
			m.Set(fd, v)
		case fd.IsList():
			v := m.NewField(fd)
			value := v.List().NewElement()
			if isMessage {
				fill(value.Message(), depth+1)
			} else {
				value = scalar(fd)
			}
			v.List().Append(value)
			m.Set(fd, v)
		case isMessage:
			v := m.NewField(fd)
			fill(v.Message(), depth+1)
			m.Set(fd, v)
		default:
			m.Set(fd, scalar(fd))
		}
	}
	const unheardOf = 536_870_000 // close to the largest number there is
	if depth == 0 {
		m.SetUnknown(protowire.AppendVarint(protowire.AppendTag(m.GetUnknown(), unheardOf, protowire.VarintType), 7))
	}
}

// scalar returns a value of a field that is not zero.
func scalar(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(7)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(7)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(7)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(1.5)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(1.5)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("bytes"))
	}
	return protoreflect.ValueOfString("text")
}
