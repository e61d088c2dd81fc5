package memoproto

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"
)

// A writer appends values to b.
//
// A number is a varint, and what can be nil begins with 0 for nil or one more
// than its length. Fields follow one another without a mark, since a reader has
// the same types. What takes no byte at all is given one, so that a length can
// be compared with the bytes that are left.
type writer struct{ b []byte }

func (w *writer) uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) bytes(b []byte) {
	w.uint(uint64(len(b)))
	w.b = append(w.b, b...)
}

func (w *writer) value(v reflect.Value, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	v = addressable(v)
	before := len(w.b)
	if done, err := w.self(v); done || err != nil {
		return err
	}
	err := w.kind(v, depth)
	if err == nil && len(w.b) == before {
		w.b = append(w.b, 0)
	}
	return err
}

// self writes messages, and types that write themselves.
func (w *writer) self(v reflect.Value) (done bool, err error) {
	if m := message(v); m != nil {
		b, err := appendMarshalled(nil, m)
		w.bytes(b)
		return true, err
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		return false, nil
	}
	switch m := v.Addr().Interface().(type) {
	case encoding.BinaryMarshaler:
		b, err := m.MarshalBinary()
		w.bytes(b)
		return true, err
	case encoding.TextMarshaler:
		b, err := m.MarshalText()
		w.bytes(b)
		return true, err
	}
	return false, nil
}

func (w *writer) kind(v reflect.Value, depth int) error {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			w.uint(1)
		} else {
			w.uint(0)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.b = binary.AppendVarint(w.b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		w.uint(v.Uint())
	case reflect.Float32, reflect.Float64:
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(v.Float()))
	case reflect.Complex64, reflect.Complex128:
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(real(v.Complex())))
		w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(imag(v.Complex())))
	case reflect.String:
		w.bytes([]byte(v.String()))
	case reflect.Pointer:
		if v.IsNil() {
			w.uint(0)
			return nil
		}
		w.uint(1)
		return w.value(v.Elem(), depth+1)
	case reflect.Interface:
		return w.held(v, depth)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				if err := w.value(v.Field(i), depth+1); err != nil {
					return err
				}
			}
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		return w.elements(v, depth)
	default:
		return fmt.Errorf("%s cannot be written", v.Type())
	}
	return nil
}

func (w *writer) elements(v reflect.Value, depth int) error {
	if v.Kind() != reflect.Array {
		if v.IsNil() {
			w.uint(0)
			return nil
		}
		w.uint(uint64(v.Len()) + 1)
	}
	if v.Kind() == reflect.Map {
		for iter := v.MapRange(); iter.Next(); {
			if err := w.value(iter.Key(), depth+1); err != nil {
				return err
			}
			if err := w.value(iter.Value(), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		w.b = append(w.b, v.Bytes()...)
		return nil
	}
	for i := range v.Len() {
		if err := w.value(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// held writes what is in an interface: a number for its type, and the value. A
// message has its name in front.
func (w *writer) held(v reflect.Value, depth int) error {
	if v.IsNil() {
		w.uint(0)
		return nil
	}
	m, ok := v.Interface().(proto.Message)
	if !ok {
		i := slices.Index(held, v.Elem().Type())
		if i < 0 {
			return fmt.Errorf("an interface holds %s, which is no message; use a concrete type", v.Elem().Type())
		}
		w.uint(uint64(i) + heldMessage + 1)
		return w.value(v.Elem(), depth+1)
	}
	w.uint(heldMessage)
	w.bytes([]byte(m.ProtoReflect().Descriptor().FullName()))
	b, err := appendMarshalled(nil, m)
	w.bytes(b)
	return err
}

// addressable returns v, or a copy that can be addressed.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}
