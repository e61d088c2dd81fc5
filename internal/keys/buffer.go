package keys

import (
	"sync"
	"unsafe"
)

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
	Release(b)
	return bigger
}

// Release gives a buffer that room returned back to the pool, if it came from
// there. No string that was made from the buffer may be used afterwards.
func Release(b []byte) {
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

// A Buffer is where a key is built, on the caller's stack.
type Buffer [keySize]byte

// Open returns the empty buffer. Escape analysis takes a recursive function that
// returns what it was given for one that keeps it; [appendKey] does not.
func (k *Buffer) Open() []byte {
	return (*Buffer)(noescape(unsafe.Pointer(k)))[:0]
}

// Transient returns s, hidden from escape analysis in the same way.
func Transient(s string) string {
	return unsafe.String((*byte)(noescape(unsafe.Pointer(unsafe.StringData(s)))), len(s))
}
