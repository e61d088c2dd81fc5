package codec

import (
	"errors"
	"fmt"
)

// scanGob looks once over data before encoding/gob does, which by its own
// documentation "is not designed to be hardened against adversarial inputs":
// it makes a map as large as a length in the input says, and follows nested
// values until the stack is exhausted.
//
// The grammar is in the package comment of encoding/gob. The stream must be
// one value, preceded by the descriptions of its types.
func scanGob(data []byte) error {
	s := gobScan{types: map[int64]gobType{}, stream: gobReader{b: data}}
	for {
		var message gobReader
		s.next(&message)
		id := message.int()
		if id < 0 {
			s.describe(&message, -id)
		} else {
			s.top(&message, id, 0)
		}
		switch {
		case message.err != nil:
			return message.err
		case len(message.b) > 0:
			return fmt.Errorf("%d bytes are left over in a message", len(message.b))
		case id >= 0 && len(s.stream.b) > 0:
			return fmt.Errorf("%d bytes are left over after the value", len(s.stream.b))
		case id >= 0:
			return nil
		}
	}
}

type gobKind uint8

const (
	gobArray gobKind = iota + 1
	gobSlice
	gobStruct
	gobMap
	gobOpaque
)

// A gobType is a type as the stream describes it.
type gobType struct {
	kind      gobKind
	elem, key int64
	fields    []int64
}

// A gobScan is a stream on its way through the scan.
type gobScan struct {
	types  map[int64]gobType
	stream gobReader // what follows the current message
}

// next makes r read the next message.
func (s *gobScan) next(r *gobReader) {
	b := s.stream.take(s.stream.length())
	if s.stream.err != nil {
		r.failWith(s.stream.err)
		return
	}
	r.b = b
}

// top scans a value that is not part of another: a field number of zero goes
// before it unless it is a struct.
func (s *gobScan) top(r *gobReader, id int64, depth int) {
	if s.types[id].kind != gobStruct && r.uint() != 0 {
		r.fail("the field number before a value that is not a struct")
	}
	s.value(r, id, depth)
}

func (s *gobScan) value(r *gobReader, id int64, depth int) {
	if depth > maxWireDepth {
		r.failWith(errDepth)
	}
	if r.err != nil {
		return
	}
	switch id {
	case 1, 2, 3, 4: // bool, int, uint, float
		r.uint()
		return
	case 5, 6: // bytes, string
		r.take(r.length())
		return
	case 7: // complex
		r.uint()
		r.uint()
		return
	case 8:
		s.dynamic(r, depth)
		return
	}
	// A number of values need not be compared with the bytes that are left:
	// each value takes up a byte at least, so the loops end with the data.
	t := s.types[id]
	switch t.kind {
	case gobArray, gobSlice:
		for n := r.uint(); n > 0 && r.err == nil; n-- {
			s.value(r, t.elem, depth+1)
		}
	case gobMap:
		for n := r.uint(); n > 0 && r.err == nil; n-- {
			s.value(r, t.key, depth+1)
			s.value(r, t.elem, depth+1)
		}
	case gobStruct:
		r.fields(func(i int) {
			if i >= len(t.fields) {
				r.fail("a field number")
				return
			}
			s.value(r, t.fields[i], depth+1)
		})
	case gobOpaque:
		r.take(r.length())
	default:
		r.fail("a type that is not described")
	}
}

// dynamic scans the value of an interface: the name of its type, descriptions
// of types that were not needed before, the type, a length, the value. When a
// description is the first thing that the encoder flushes, the message ends
// with it and the value goes on in the next one.
func (s *gobScan) dynamic(r *gobReader, depth int) {
	n := r.length()
	if n == 0 {
		return
	}
	r.take(n)
	id := s.typeOf(r)
	r.uint()
	s.top(r, id, depth+1)
}

// typeOf follows decodeTypeSequence in encoding/gob.
func (s *gobScan) typeOf(r *gobReader) int64 {
	for r.err == nil {
		if len(r.b) == 0 {
			s.next(r)
		}
		id := r.int()
		if id >= 0 {
			return id
		}
		s.describe(r, -id)
		if len(r.b) > 0 {
			r.uint()
		}
	}
	return 0
}

// describe reads the wireType of encoding/gob: a struct of pointers of which
// one is set, each to a struct that begins with a name and an identifier.
func (s *gobScan) describe(r *gobReader, id int64) {
	var t gobType
	r.fields(func(kind int) {
		switch kind {
		case 0:
			t.kind = gobArray
		case 1:
			t.kind = gobSlice
		case 2:
			t.kind = gobStruct
		case 3:
			t.kind = gobMap
		case 4, 5, 6:
			t.kind = gobOpaque
		default:
			r.fail("a kind of type")
			return
		}
		r.fields(func(i int) { t.describe(r, i) })
	})
	if _, known := s.types[id]; known || id < 64 {
		r.fail("a type that is described twice")
	}
	s.types[id] = t
}

func (t *gobType) describe(r *gobReader, field int) {
	switch {
	case field == 0:
		r.fields(func(i int) {
			switch i {
			case 0:
				r.take(r.length())
			case 1:
				r.int()
			default:
				r.fail("a field number")
			}
		})
	case t.kind == gobStruct && field == 1:
		for n := r.length(); n > 0 && r.err == nil; n-- {
			t.fields = append(t.fields, r.structField())
		}
	case t.kind == gobMap && field == 1:
		t.key = r.int()
	case t.kind == gobMap && field == 2, field == 1 && t.kind <= gobSlice:
		t.elem = r.int()
	case t.kind == gobArray && field == 2:
		r.int() // the decoder compares it with the type it decodes into
	default:
		r.fail("a field number")
	}
}

// A gobReader takes the elements of the format off the front of b. After an
// error it returns zeros, so callers check where they could loop.
type gobReader struct {
	b   []byte
	err error
}

func (r *gobReader) failWith(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *gobReader) fail(what string) { r.failWith(errors.New("the data is wrong at " + what)) }

// uint is one byte up to 127, or else the negated count of the bytes that
// follow, most significant first.
func (r *gobReader) uint() uint64 {
	if len(r.b) == 0 {
		r.failWith(errShort)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	if c <= 0x7f {
		return uint64(c)
	}
	n := -int(int8(c))
	if n > 8 {
		r.fail("the length of an integer")
		return 0
	}
	var x uint64
	for _, c := range r.take(n) {
		x = x<<8 | uint64(c)
	}
	return x
}

func (r *gobReader) int() int64 {
	u := r.uint()
	if u&1 != 0 {
		return ^int64(u >> 1)
	}
	return int64(u >> 1)
}

// length is a count of things of which each takes up a byte at least.
func (r *gobReader) length() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.failWith(errShort)
		return 0
	}
	return int(n)
}

func (r *gobReader) take(n int) []byte {
	if n > len(r.b) {
		r.failWith(errShort)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// fields calls each with the numbers of the fields that are present.
func (r *gobReader) fields(each func(int)) {
	for number := -1; r.err == nil; {
		delta := r.uint()
		if delta == 0 {
			return // the end of the struct, or an error
		}
		if delta > 1<<16 {
			r.fail("a field number")
			return
		}
		number += int(delta)
		each(number)
	}
}

// structField reads a name and a type, and returns the type.
func (r *gobReader) structField() (id int64) {
	r.fields(func(i int) {
		switch i {
		case 0:
			r.take(r.length())
		case 1:
			id = r.int()
		default:
			r.fail("a field number")
		}
	})
	return id
}
