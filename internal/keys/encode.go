package keys

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/messages"
)

const (
	// maxDepth bounds the nesting of pointers, slices, maps and interfaces in an
	// argument; an interface and a pointer, slice or map in it count once.
	// A cycle has no end, so it meets the same bound.
	maxDepth = 100

	// maxKeyBytes bounds the work that one argument can cause: pointers that
	// share their targets can unfold into exponentially many values without
	// ever nesting deeply.
	maxKeyBytes = 16 << 20
)

var (
	ErrDepth = errors.New("is a cycle or nested more than 100 deep, and so has no key; give KeyFunc")
	ErrSize  = errors.New("unfolds into more than 16 MiB, too much for a key; give KeyFunc")
)

// Append appends the canonical form of the value at p to b.
//
// The form is injective for values of one type: what has a variable size says
// its size first, what has alternatives says which one it is, and everything
// else has a size that the type fixes. So no two different values share a
// form, whatever their contents.
//
// p may point into the caller's stack. Nothing here keeps it, and what runs
// code of the user's gets a copy on the heap; see [plan.value].
func Append(b []byte, pl *Plan, p unsafe.Pointer, depth int) ([]byte, error) {
	if depth > maxDepth {
		return b, ErrDepth
	}
	if len(b) > maxKeyBytes {
		return b, ErrSize
	}
	if n := pl.Block; n > 0 {
		return append(room(b, n), unsafe.Slice((*byte)(p), n)...), nil
	}
	switch pl.Op {
	case opNothing:
		return b, nil
	case op8:
		return append(room(b, 1), *(*byte)(p)), nil
	case op16:
		return binary.LittleEndian.AppendUint16(room(b, 2), *(*uint16)(p)), nil
	case op32:
		return binary.LittleEndian.AppendUint32(room(b, 4), *(*uint32)(p)), nil
	case op64:
		return binary.LittleEndian.AppendUint64(room(b, 8), *(*uint64)(p)), nil
	case opInt:
		return binary.LittleEndian.AppendUint64(room(b, 8), uint64(*(*int)(p))), nil
	case opUint:
		return binary.LittleEndian.AppendUint64(room(b, 8), uint64(*(*uint)(p))), nil
	case opFloat32:
		return appendFloat(b, float64(*(*float32)(p))), nil
	case opFloat64:
		return appendFloat(b, *(*float64)(p)), nil
	case OpString:
		return appendString(b, *(*string)(p)), nil
	case opTime:
		return appendTime(b, p), nil
	case opStruct:
		for i := range pl.fields {
			f := &pl.fields[i]
			var err error
			if b, err = Append(b, f.plan, unsafe.Add(p, f.offset), depth); err != nil {
				return b, WithStep(f.name, err)
			}
		}
		return b, nil
	case opArray:
		return appendElems(b, pl, p, pl.length, depth)
	case opNilable:
		if *(*unsafe.Pointer)(p) == nil {
			return append(room(b, 1), 0), nil
		}
		return Append(append(room(b, 1), 1), pl.elem, p, depth)
	case opPointer:
		target := *(*unsafe.Pointer)(p)
		if target == nil {
			return append(room(b, 1), 0), nil
		}
		return Append(append(room(b, 1), 1), pl.elem, target, depth+1)
	case opSlice:
		s := *(*[]struct{})(p) // any slice has this header; elements are reached through its pointer
		if s == nil {
			return append(room(b, 1), 0), nil
		}
		b = appendLen(b, uint64(len(s))+1)
		return appendElems(b, pl, unsafe.Pointer(unsafe.SliceData(s)), len(s), depth+1)
	case opMap:
		return appendMap(b, pl, p, depth+1)
	case opInterface:
		return appendInterface(b, pl, p, depth)
	case opRule:
		return pl.rule(b, noescape(p)), nil
	case opKeyer, opText:
		s, err := pl.own(p)
		return appendString(b, s), err
	case opMessage:
		s, err := messages.Supported().AppendKey(nil, pl.value(p).Interface())
		return appendString(b, string(s)), err
	}
	panic("memo: unknown key operation") // unreachable: compile makes no other
}

func appendLen(b []byte, n uint64) []byte {
	return binary.AppendUvarint(room(b, binary.MaxVarintLen64), n)
}

func appendString(b []byte, s string) []byte {
	b = appendLen(b, uint64(len(s)))
	return append(room(b, len(s)), s...)
}

// appendFloat appends f by its bits, so that 0 and -0 differ, with one form for
// all NaNs: a NaN argument would never be found again otherwise.
func appendFloat(b []byte, f float64) []byte {
	bits := math.Float64bits(f)
	if f != f {
		bits = math.Float64bits(math.NaN())
	}
	return binary.LittleEndian.AppendUint64(room(b, 8), bits)
}

func appendElems(b []byte, pl *Plan, p unsafe.Pointer, n, depth int) ([]byte, error) {
	switch size := pl.elem.Block; {
	case n == 0 || pl.elem.Op == opNothing:
		return b, nil
	case size > 0 && n > maxKeyBytes/size:
		return b, ErrSize
	case size > 0:
		return append(room(b, n*size), unsafe.Slice((*byte)(p), n*size)...), nil
	}
	for i := range n {
		var err error
		if b, err = Append(b, pl.elem, unsafe.Add(p, uintptr(i)*pl.stride), depth); err != nil {
			return b, WithStep(fmt.Sprintf("[%d]", i), err)
		}
	}
	return b, nil
}

// appendMap appends the entries in the order of their canonical forms. An
// entry's form has no other entry's form as a prefix, so joining them loses
// nothing.
func appendMap(b []byte, pl *Plan, p unsafe.Pointer, depth int) ([]byte, error) {
	m := reflect.NewAt(pl.typ, noescape(p)).Elem()
	if m.IsNil() {
		return append(room(b, 1), 0), nil
	}
	entries := make([]string, 0, m.Len())
	total := len(b)
	k, v := reflect.New(pl.typ.Key()), reflect.New(pl.typ.Elem())
	for it := m.MapRange(); it.Next(); {
		k.Elem().SetIterKey(it)
		v.Elem().SetIterValue(it)
		e, err := Append(nil, pl.key, k.UnsafePointer(), depth)
		if err == nil {
			e, err = Append(e, pl.elem, v.UnsafePointer(), depth)
		}
		if err != nil {
			return b, WithStep(KeyStep(k.Elem()), err)
		}
		entries = append(entries, string(e))
		Release(e)
		if total += len(entries[len(entries)-1]); total > maxKeyBytes {
			return b, ErrSize
		}
	}
	slices.Sort(entries)
	b = appendLen(b, uint64(len(entries))+1)
	for _, e := range entries {
		b = append(room(b, len(e)), e...)
	}
	return b, nil
}

// KeyStep names the entry of a map that has the key k. A pointer is not followed:
// it may lead to the very cycle that is to be reported, which fmt would follow
// until the stack is full.
func KeyStep(k reflect.Value) string {
	if k.Kind() == reflect.Pointer {
		return "[" + k.Type().String() + "]"
	}
	return fmt.Sprintf("[%v]", k)
}

func appendInterface(b []byte, pl *Plan, p unsafe.Pointer, depth int) ([]byte, error) {
	held := reflect.NewAt(pl.typ, noescape(p)).Elem().Elem()
	if !held.IsValid() {
		return append(room(b, 1), 0), nil
	}
	inner, err := For(held.Type())
	if err != nil {
		return b, err
	}
	value := reflect.New(held.Type())
	value.Elem().Set(held)
	switch held.Kind() {
	case reflect.Struct, reflect.Array: // which may hold interfaces; the rest counts itself, or ends here
		depth++
	}
	b = append(room(b, 1), 1)
	b = appendString(b, typeName(held.Type()))
	return Append(b, inner, value.UnsafePointer(), depth)
}

// own returns what the value at p says of itself.
func (pl *Plan) own(p unsafe.Pointer) (string, error) {
	v := pl.value(p).Interface()
	if pl.Op == opKeyer {
		return v.(namesItself).MemoKey(), nil
	}
	text, err := v.(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return "", fmt.Errorf("MarshalText failed: %w", err)
	}
	return string(text), nil
}

// value returns the value at p for code of the user's to be called on. A
// pointer is handed on as it is; anything else is copied to the heap, since p
// may point into a stack and methods may keep their receiver.
func (pl *Plan) value(p unsafe.Pointer) reflect.Value {
	v := reflect.NewAt(pl.typ, noescape(p)).Elem()
	if pl.typ.Kind() == reflect.Pointer {
		return v
	}
	c := reflect.New(pl.typ)
	c.Elem().Set(v)
	return c
}
