package memo

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/messages"
)

// A Keyer names itself. An argument, or a part of one, that has this method is
// represented in keys by the string it returns instead of by its fields.
//
// A MarshalText (package encoding) counts in the same way if the type belongs to the
// module that the program was built in. Types of the standard library and of other
// modules go by their fields, except those few whose texts are known to differ for
// different values, such as netip.Addr, big.Int and uuid.UUID.
//
// Two values of one type must return the same string exactly when a memoized
// function may treat them as the same argument. MemoKey is called on every
// call of the function, possibly by several goroutines at once; it is not
// called on a nil pointer, which has a key of its own.
//
// What a Keyer holds is not copied for the function, which may still be running when
// the call has returned: the caller must not change it after that.
type Keyer interface {
	MemoKey() string
}

// A KeyError reports an argument that could not be turned into a key when the
// function was called. The function has not run.
//
// Types that can never be keys are refused earlier, by a panic of [New]. What
// is left for a call to find out is what hides in the values: a cycle or a
// nesting more than 100 deep; a value inside an
// interface whose type cannot be a key; more than 16 MiB of argument; an error
// of the argument's own MarshalText.
type KeyError struct {
	// Func is the function's name.
	Func string
	// Path leads to the offending part, such as "Filter.Hook"; it is empty
	// for the argument itself.
	Path string
	// Err says what is wrong with it.
	Err error
}

func (e *KeyError) Error() string {
	where := "argument"
	if e.Path != "" {
		where += " " + e.Path
	}
	return "memo: " + e.Func + ": " + where + ": " + e.Err.Error()
}

// Unwrap returns e.Err.
func (e *KeyError) Unwrap() error { return e.Err }

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
	errDepth = errors.New("is a cycle or nested more than 100 deep, and so has no key; give KeyFunc")
	errSize  = errors.New("unfolds into more than 16 MiB, too much for a key; give KeyFunc")
)

// appendKey appends the canonical form of the value at p to b.
//
// The form is injective for values of one type: what has a variable size says
// its size first, what has alternatives says which one it is, and everything
// else has a size that the type fixes. So no two different values share a
// form, whatever their contents.
//
// p may point into the caller's stack. Nothing here keeps it, and what runs
// code of the user's gets a copy on the heap; see [plan.value].
func appendKey(b []byte, pl *plan, p unsafe.Pointer, depth int) ([]byte, error) {
	if depth > maxDepth {
		return b, errDepth
	}
	if len(b) > maxKeyBytes {
		return b, errSize
	}
	if n := pl.block; n > 0 {
		return append(room(b, n), unsafe.Slice((*byte)(p), n)...), nil
	}
	switch pl.op {
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
	case opString:
		return appendString(b, *(*string)(p)), nil
	case opTime:
		return appendTime(b, p), nil
	case opStruct:
		for i := range pl.fields {
			f := &pl.fields[i]
			var err error
			if b, err = appendKey(b, f.plan, unsafe.Add(p, f.offset), depth); err != nil {
				return b, pathError(f.name, err)
			}
		}
		return b, nil
	case opArray:
		return appendElems(b, pl, p, pl.length, depth)
	case opNilable:
		if *(*unsafe.Pointer)(p) == nil {
			return append(room(b, 1), 0), nil
		}
		return appendKey(append(room(b, 1), 1), pl.elem, p, depth)
	case opPointer:
		target := *(*unsafe.Pointer)(p)
		if target == nil {
			return append(room(b, 1), 0), nil
		}
		return appendKey(append(room(b, 1), 1), pl.elem, target, depth+1)
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

func appendElems(b []byte, pl *plan, p unsafe.Pointer, n, depth int) ([]byte, error) {
	switch size := pl.elem.block; {
	case n == 0 || pl.elem.op == opNothing:
		return b, nil
	case size > 0 && n > maxKeyBytes/size:
		return b, errSize
	case size > 0:
		return append(room(b, n*size), unsafe.Slice((*byte)(p), n*size)...), nil
	}
	for i := range n {
		var err error
		if b, err = appendKey(b, pl.elem, unsafe.Add(p, uintptr(i)*pl.stride), depth); err != nil {
			return b, pathError(fmt.Sprintf("[%d]", i), err)
		}
	}
	return b, nil
}

// appendMap appends the entries in the order of their canonical forms. An
// entry's form has no other entry's form as a prefix, so joining them loses
// nothing.
func appendMap(b []byte, pl *plan, p unsafe.Pointer, depth int) ([]byte, error) {
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
		e, err := appendKey(nil, pl.key, k.UnsafePointer(), depth)
		if err == nil {
			e, err = appendKey(e, pl.elem, v.UnsafePointer(), depth)
		}
		if err != nil {
			return b, pathError(keyStep(k.Elem()), err)
		}
		entries = append(entries, string(e))
		release(e)
		if total += len(entries[len(entries)-1]); total > maxKeyBytes {
			return b, errSize
		}
	}
	slices.Sort(entries)
	b = appendLen(b, uint64(len(entries))+1)
	for _, e := range entries {
		b = append(room(b, len(e)), e...)
	}
	return b, nil
}

// keyStep names the entry of a map that has the key k. A pointer is not followed:
// it may lead to the very cycle that is to be reported, which fmt would follow
// until the stack is full.
func keyStep(k reflect.Value) string {
	if k.Kind() == reflect.Pointer {
		return "[" + k.Type().String() + "]"
	}
	return fmt.Sprintf("[%v]", k)
}

func appendInterface(b []byte, pl *plan, p unsafe.Pointer, depth int) ([]byte, error) {
	held := reflect.NewAt(pl.typ, noescape(p)).Elem().Elem()
	if !held.IsValid() {
		return append(room(b, 1), 0), nil
	}
	inner, err := planOf(held.Type())
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
	return appendKey(b, inner, value.UnsafePointer(), depth)
}

// own returns what the value at p says of itself.
func (pl *plan) own(p unsafe.Pointer) (string, error) {
	v := pl.value(p).Interface()
	if pl.op == opKeyer {
		return v.(Keyer).MemoKey(), nil
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
func (pl *plan) value(p unsafe.Pointer) reflect.Value {
	v := reflect.NewAt(pl.typ, noescape(p)).Elem()
	if pl.typ.Kind() == reflect.Pointer {
		return v
	}
	c := reflect.New(pl.typ)
	c.Elem().Set(v)
	return c
}

// A pathed error has been raised below the named part of an argument.
type pathed struct {
	path string
	err  error
}

func (e *pathed) Error() string { return e.path + " " + e.err.Error() }
func (e *pathed) Unwrap() error { return e.err }

// pathError puts one more step in front of an error's path.
func pathError(step string, err error) error {
	var below *pathed
	if !errors.As(err, &below) {
		return &pathed{step, err}
	}
	rest := below.path
	if len(rest) > 100 { // a cycle's path says nothing new
		rest = strings.ToValidUTF8(rest[:100], "") + "…"
	}
	return &pathed{joinPath(step, rest), below.err}
}

func joinPath(step, rest string) string {
	if step == "" || rest == "" || rest[0] == '[' {
		return step + rest
	}
	return step + "." + rest
}

// keySize is how much of a key is built on the stack. Longer ones take a buffer
// from a pool, which up to largeSize is no allocation.
const (
	keySize    = 64
	pooledSize = 8 << 10
	largeSize  = 256 << 10
)

var (
	keyBuffers   = sync.Pool{New: func() any { return new([pooledSize]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

// room returns b with space for n more bytes.
func room(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return grow(b, n)
}

func grow(b []byte, n int) []byte {
	var bigger []byte
	switch {
	case len(b)+n <= pooledSize:
		bigger = keyBuffers.Get().(*[pooledSize]byte)[:len(b)]
	case len(b)+n <= largeSize:
		bigger = largeBuffers.Get().(*[largeSize]byte)[:len(b)]
	default:
		bigger = make([]byte, len(b), max(2*cap(b), len(b)+n))
	}
	copy(bigger, b)
	release(b)
	return bigger
}

// release gives a buffer that room returned back to the pool, if it came from
// there. No string that was made from the buffer may be used afterwards.
func release(b []byte) {
	if cap(b) == pooledSize || cap(b) == largeSize {
		putBack(b)
	}
}

// putBack gives b, which is on the heap though escape analysis cannot know, back
// to its pool.
func putBack(b []byte) {
	p := noescape(unsafe.Pointer(unsafe.SliceData(b)))
	if cap(b) == pooledSize {
		keyBuffers.Put((*[pooledSize]byte)(p))
	} else {
		largeBuffers.Put((*[largeSize]byte)(p))
	}
}

// noescape returns p, hidden from escape analysis, so that an argument does not
// have to live on the heap for its key to be built. It is sound where whoever is
// given the result does not keep it beyond the call.
//
// While the address is not held as a pointer, the stack must not move: nosplit
// leaves no point in here at which it could, and noinline keeps it that way.
//
//go:nosplit
//go:noinline
func noescape(p unsafe.Pointer) unsafe.Pointer {
	x := uintptr(p)
	return *(*unsafe.Pointer)(unsafe.Pointer(&x))
}

// A keyBuffer is where a key is built, on the caller's stack.
type keyBuffer [keySize]byte

// open returns the empty buffer. Escape analysis takes a recursive function that
// returns what it was given for one that keeps it; [appendKey] does not.
func (k *keyBuffer) open() []byte {
	return (*keyBuffer)(noescape(unsafe.Pointer(k)))[:0]
}

// transient returns s, hidden from escape analysis in the same way.
func transient(s string) string {
	return unsafe.String((*byte)(noescape(unsafe.Pointer(unsafe.StringData(s)))), len(s))
}
