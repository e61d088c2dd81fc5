package memoproto

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
)

// A reader takes values off the front of b. After an error it does nothing.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) bytes() []byte { return r.take(r.uint()) }

func (r *reader) float() float64 {
	if b := r.take(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// present reads the mark of what may be nil.
func (r *reader) present() bool {
	n := r.uint()
	if n > 1 {
		r.fail(errors.New("the data is wrong at a mark for nil"))
	}
	return n == 1 && r.err == nil
}

func (r *reader) value(v reflect.Value, depth int) {
	if depth > maxDepth {
		r.fail(errDeep)
	}
	if r.err != nil {
		return
	}
	before := len(r.b)
	if r.self(v) {
		return
	}
	r.kind(v, depth)
	if r.err == nil && len(r.b) == before {
		r.take(1)
	}
}

func (r *reader) self(v reflect.Value) bool {
	if m := message(v); m != nil {
		if b := r.bytes(); r.err == nil {
			if err := unmarshal.Unmarshal(b, m); err != nil {
				r.fail(err)
			}
		}
		return true
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		return false
	}
	// What writes itself is known by the method that writes.
	p := v.Addr().Interface()
	if _, ok := p.(encoding.BinaryMarshaler); ok {
		u, ok := p.(encoding.BinaryUnmarshaler)
		r.read(v, ok, func(b []byte) error { return u.UnmarshalBinary(b) })
		return true
	}
	if _, ok := p.(encoding.TextMarshaler); ok {
		u, ok := p.(encoding.TextUnmarshaler)
		r.read(v, ok, func(b []byte) error { return u.UnmarshalText(b) })
		return true
	}
	return false
}

func (r *reader) read(v reflect.Value, can bool, read func([]byte) error) {
	b := r.bytes()
	switch {
	case r.err != nil:
	case !can:
		r.fail(fmt.Errorf("%s writes itself and does not read itself", v.Type()))
	default:
		// The method may keep what it is given, and the data is not ours.
		if err := read(append([]byte{}, b...)); err != nil {
			r.fail(err)
		}
	}
}

func (r *reader) kind(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.present())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		u := r.uint()
		if n := int64(u>>1) ^ -int64(u&1); v.OverflowInt(n) {
			r.fail(errRange)
		} else {
			v.SetInt(n)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := r.uint(); v.OverflowUint(n) {
			r.fail(errRange)
		} else {
			v.SetUint(n)
		}
	case reflect.Float32, reflect.Float64:
		v.SetFloat(r.float())
	case reflect.Complex64, reflect.Complex128:
		re := r.float()
		v.SetComplex(complex(re, r.float()))
	case reflect.String:
		v.SetString(string(r.bytes()))
	case reflect.Pointer:
		if r.present() {
			v.Set(reflect.New(v.Type().Elem()).Convert(v.Type()))
			r.value(v.Elem(), depth+1)
		}
	case reflect.Interface:
		r.held(v, depth)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				r.value(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		r.slice(v, depth)
	case reflect.Array:
		for i := range v.Len() {
			r.value(v.Index(i), depth+1)
		}
	case reflect.Map:
		r.mapping(v, depth)
	default:
		r.fail(fmt.Errorf("%s cannot be read", v.Type()))
	}
}

var errRange = errors.New("a number is out of range for its type")

// length reads the length of a slice or map, of which each element takes up a
// byte at least; not ok is nil, or an error.
func (r *reader) length() (n int, ok bool) {
	u := r.uint()
	if u == 0 {
		return 0, false
	}
	if u-1 > uint64(len(r.b)) {
		r.fail(errShort)
		return 0, false
	}
	return int(u - 1), true
}

func (r *reader) slice(v reflect.Value, depth int) {
	n, ok := r.length()
	if !ok {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	if v.Type().Elem().Kind() == reflect.Uint8 {
		copy(v.Bytes(), r.take(uint64(n)))
		return
	}
	for i := range n {
		if r.value(v.Index(i), depth+1); r.err != nil {
			return
		}
	}
}

func (r *reader) mapping(v reflect.Value, depth int) {
	n, ok := r.length()
	if !ok {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for range n {
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		r.value(key, depth+1)
		r.value(elem, depth+1)
		if r.err != nil {
			return
		}
		v.SetMapIndex(key, elem)
	}
}

func (r *reader) held(v reflect.Value, depth int) {
	switch n := r.uint(); {
	case n == 0:
		return
	case n == heldMessage:
		r.message(v)
		return
	case n-heldMessage-1 >= uint64(len(held)):
		r.fail(errors.New("the data is wrong at the type of what is in an interface"))
	default:
		value := reflect.New(held[n-heldMessage-1]).Elem()
		if r.value(value, depth+1); !value.Type().AssignableTo(v.Type()) {
			r.fail(fmt.Errorf("a %s does not fit into %s", value.Type(), v.Type()))
		} else if r.err == nil {
			v.Set(value)
		}
	}
}

// message reads the message that is in an interface.
func (r *reader) message(v reflect.Value) {
	name, data := string(r.bytes()), r.bytes()
	if r.err != nil {
		return
	}
	m, err := newMessage(name)
	if err == nil {
		err = unmarshal.Unmarshal(data, m)
	}
	switch {
	case err != nil:
		r.fail(err)
	case !reflect.TypeOf(m).AssignableTo(v.Type()):
		r.fail(fmt.Errorf("the message %q does not fit into %s", name, v.Type()))
	default:
		v.Set(reflect.ValueOf(m))
	}
}
