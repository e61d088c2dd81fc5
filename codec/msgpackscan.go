package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	errShort = errors.New("the data ends within a value")
	errDepth = fmt.Errorf("the data is nested more than %d levels deep", maxWireDepth)
)

// scanMsgpack looks once over data before the decoder does. The decoder
// believes the lengths it reads, so that five bytes make it allocate 4 GiB,
// and follows nested arrays until the stack is exhausted.
//
// It is not an exact check of the structure. A type with EncodeMsgpack may
// write several values where one is expected, so the number of values at the
// top is not looked at; it is enough that each value is complete.
//
// See https://github.com/msgpack/msgpack/blob/master/spec.md for the format.
//
// It returns where in data the contents of extensions begin, appended to
// extensions: see msgpackReader.
func scanMsgpack(data []byte, extensions []int) ([]int, error) {
	if len(data) == 0 {
		return extensions, errShort
	}
	s := msgpackScan{size: len(data), extensions: extensions}
	for len(data) > 0 {
		rest, err := s.skip(data, 0)
		if err != nil {
			return s.extensions, err
		}
		data = rest
	}
	return s.extensions, nil
}

type msgpackScan struct {
	size       int
	extensions []int
}

// skip returns what follows the first value of b.
func (s *msgpackScan) skip(b []byte, depth int) ([]byte, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	if depth > maxWireDepth {
		return nil, errDepth
	}
	c := b[0]
	b = b[1:]
	switch {
	case c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3:
		return b, nil
	case c <= 0x8f:
		return s.skipValues(b, 2*uint64(c&0x0f), depth)
	case c <= 0x9f:
		return s.skipValues(b, uint64(c&0x0f), depth)
	case c <= 0xbf:
		return skipBytes(b, uint64(c&0x1f))
	}
	if size := uint64(fixedSize[c-0xc0]); size > 0 {
		if c >= 0xd4 && c <= 0xd8 {
			return s.skipExtension(b, size)
		}
		return skipBytes(b, size)
	}
	n, b, err := readLength(b, lengthSize[c-0xc0])
	switch {
	case err != nil:
		return nil, err
	case c == 0xdc || c == 0xdd:
		return s.skipValues(b, n, depth)
	case c == 0xde || c == 0xdf:
		return s.skipValues(b, 2*n, depth)
	case 0xc7 <= c && c <= 0xc9:
		return s.skipExtension(b, n+1)
	}
	return skipBytes(b, n)
}

func (s *msgpackScan) skipValues(b []byte, n uint64, depth int) ([]byte, error) {
	if n > uint64(len(b)) { // a value is a byte at least
		return nil, errShort
	}
	var err error
	for range n {
		if b, err = s.skip(b, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// skipExtension skips the type of an extension, which is a byte, and contents.
func (s *msgpackScan) skipExtension(b []byte, n uint64) ([]byte, error) {
	if n > 1 {
		s.extensions = append(s.extensions, s.size-len(b)+1)
	}
	return skipBytes(b, n)
}

func skipBytes(b []byte, n uint64) ([]byte, error) {
	if n > uint64(len(b)) {
		return nil, errShort
	}
	return b[n:], nil
}

// readLength reads a length, which is compared with the bytes that are left before it
// becomes an int: where that has 32 bits, 0xffffffff would be -1, which package msgpack
// takes for nil.
func readLength(b []byte, size uint8) (uint64, []byte, error) {
	switch {
	case size == 0:
		return 0, nil, errors.New("the data holds 0xc1, which is not a type of MessagePack")
	case len(b) < int(size):
		return 0, nil, errShort
	case size == 1:
		return uint64(b[0]), b[1:], nil
	case size == 2:
		return uint64(binary.BigEndian.Uint16(b)), b[2:], nil
	}
	return uint64(binary.BigEndian.Uint32(b)), b[4:], nil
}

// What follows the codes 0xc0 to 0xdf: a value of a fixed size, or a length.
var (
	fixedSize = [32]uint8{
		0x0a: 4, 0x0b: 8, // floats
		0x0c: 1, 0x0d: 2, 0x0e: 4, 0x0f: 8, // unsigned
		0x10: 1, 0x11: 2, 0x12: 4, 0x13: 8, // signed
		0x14: 2, 0x15: 3, 0x16: 5, 0x17: 9, 0x18: 17, // extensions, with their type
	}
	lengthSize = [32]uint8{
		0x04: 1, 0x05: 2, 0x06: 4, // bytes
		0x07: 1, 0x08: 2, 0x09: 4, // extensions
		0x19: 1, 0x1a: 2, 0x1b: 4, // strings
		0x1c: 2, 0x1d: 4, // arrays
		0x1e: 2, 0x1f: 4, // maps
	}
)
