package codec

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

type msgpackCodec struct{}

func (msgpackCodec) Name() string { return "msgpack" }

func (msgpackCodec) Check(t reflect.Type) error { return msgpackDialect.planFor(t).err }

// The pools are ours and not those of package msgpack (GetEncoder and the
// like), so that nobody else's settings or half-finished state reach us.
var (
	msgpackWriters = sync.Pool{New: func() any {
		w := new(msgpackWriter)
		w.enc = msgpack.NewEncoder(w)
		return w
	}}
	msgpackReaders = sync.Pool{New: func() any {
		return &msgpackReader{dec: msgpack.NewDecoder(nil)}
	}}
)

type msgpackWriter struct {
	appendTo
	enc *msgpack.Encoder
}

// A msgpackReader keeps the decoder to what has been scanned. Where it expects
// a map, Decoder.DecodeMapLen skips the header of an extension and takes its
// contents for the map, so that contents which nobody has looked at could
// claim any length. It reads them byte by byte; the contents of extensions
// proper, such as times, are read as a whole. (So is what msgpack.RegisterExt
// registers. A decoder of msgpack.RegisterExtDecoder must use ReadFull.)
type msgpackReader struct {
	bytes.Reader
	dec        *msgpack.Decoder
	extensions []int // where their contents begin, ascending
	next       int   // the first of extensions that is not behind the reader
}

func (r *msgpackReader) ReadByte() (byte, error) {
	at := int(r.Size()) - r.Len()
	for r.next < len(r.extensions) && r.extensions[r.next] < at {
		r.next++
	}
	if r.next < len(r.extensions) && r.extensions[r.next] == at {
		return 0, errors.New("the data has an extension in place of a map")
	}
	return r.Reader.ReadByte()
}

// maxPooled is the largest input after which a decoder is used again: it
// keeps a buffer as long as the longest string it has read.
const maxPooled = 64 << 10

func (msgpackCodec) Append(dst []byte, v any) (out []byte, err error) {
	value, err := target("msgpack", "Append", v)
	if err != nil {
		return dst, err
	}
	plan := msgpackDialect.planFor(value.Type())
	if plan.err != nil {
		return dst, fmt.Errorf("memo: codec: msgpack: %w", plan.err)
	}
	defer func() {
		if err != nil {
			out = dst
		}
	}()
	defer catch("msgpack", "Append", &err)
	if err := msgpackDialect.search(plan, value, watchInterface|watchPointer|watchDepth); err != nil {
		return dst, err
	}
	w := msgpackWriters.Get().(*msgpackWriter)
	w.b = dst
	w.enc.Reset(w)
	// Compact integers lose their type, which only matters where a decoder
	// has nothing but the bytes to go by.
	w.enc.UseCompactInts(plan.root.below&(watchInterface|watchSelf) == 0)
	if err := w.enc.Encode(v); err != nil {
		return dst, fmt.Errorf("memo: codec: msgpack: %w", err)
	}
	out, w.b = w.b, nil
	msgpackWriters.Put(w)
	return out, nil
}

func (msgpackCodec) Decode(data []byte, v any) (err error) {
	value, err := target("msgpack", "Decode", v)
	if err != nil {
		return err
	}
	defer catch("msgpack", "Decode", &err)
	value.SetZero()
	r := msgpackReaders.Get().(*msgpackReader)
	if r.extensions, err = scanMsgpack(data, r.extensions[:0]); err != nil {
		msgpackReaders.Put(r)
		return fmt.Errorf("memo: codec: msgpack: %w", err)
	}
	r.next = 0
	r.Reader.Reset(data)
	r.dec.Reset(r)
	if err := r.dec.Decode(v); err != nil {
		// A decoder that has failed is not used again: one that failed while
		// it recorded a value for an Unmarshaler goes on recording.
		return fmt.Errorf("memo: codec: msgpack: %w", err)
	}
	if r.Len() > 0 {
		return fmt.Errorf("memo: codec: msgpack: %d bytes are left over after the value", r.Len())
	}
	r.Reader.Reset(nil)
	if len(data) <= maxPooled {
		msgpackReaders.Put(r)
	}
	return nil
}

// msgpackInside allows in an interface what the bytes alone can restore. That
// leaves out int and uint: their width is chosen by their value, so 5 would
// come back as int8.
func msgpackInside(w *walk, v reflect.Value) error {
	became := "another type"
	switch v.Type() {
	case boolType, float64Type, stringType, timeType,
		reflect.TypeFor[float32](),
		reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](),
		reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64]():
		return nil
	case bytesType:
		if !v.IsNil() {
			return nil
		}
		became = "nil"
	case anySliceType, anyMapType:
		if !v.IsNil() {
			return w.value(looseNodes[v.Type()], v, false)
		}
		became = "nil"
	default:
		became = msgpackBecomes(v.Type())
	}
	return w.refuse(fmt.Sprintf("holds %s in an interface, which would come back as %s; use a concrete type or another codec", describe(v), became))
}

func msgpackBecomes(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64:
		return t.Kind().String()
	case reflect.Int, reflect.Uint:
		return "whichever of int8 to uint64 is large enough"
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return t.Kind().String()
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "[]byte"
		}
		return "[]any"
	case reflect.Struct, reflect.Map:
		return "map[string]any"
	}
	return "what it points to"
}

var bytesType = reflect.TypeFor[[]byte]()

var msgpackMethods = []selfMethod{{
	write: "EncodeMsgpack", read: "DecodeMsgpack",
	writer: reflect.TypeFor[msgpack.CustomEncoder](), reader: reflect.TypeFor[msgpack.CustomDecoder](),
	find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("EncodeMsgpack") },
}, {
	write: "MarshalMsgpack", read: "UnmarshalMsgpack",
	writer: reflect.TypeFor[msgpack.Marshaler](), reader: reflect.TypeFor[msgpack.Unmarshaler](),
	find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalMsgpack") },
}, binaryMethod, textMethod}

var binaryMethod = selfMethod{
	write: "MarshalBinary", read: "UnmarshalBinary",
	writer: reflect.TypeFor[encoding.BinaryMarshaler](), reader: reflect.TypeFor[encoding.BinaryUnmarshaler](),
	find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalBinary") },
}

var msgpackDialect = &dialect{
	name:    "msgpack",
	methods: msgpackMethods,
	// Its table of encoders has a hole at uintptr, and calls it.
	writes:  func(k reflect.Kind) bool { return k <= reflect.Float64 && k != reflect.Uintptr },
	own:     msgpackOwn,
	members: msgpackMembers,
	key:     func(reflect.Type) string { return "" },
	inside:  msgpackInside,
	pointee: nilPointee,
}

// msgpackOwn follows getEncoder and getDecoder: every interface is tried on
// the type before the first is tried on its pointer.
func msgpackOwn(t reflect.Type, addressable bool) (w, r int) {
	p := reflect.PointerTo(t)
	if w = pick(msgpackMethods, t, writerOf); w < 0 && addressable {
		w = pick(msgpackMethods, p, writerOf)
	}
	if r = pick(msgpackMethods, t, readerOf); r < 0 {
		r = pick(msgpackMethods, p, readerOf)
	}
	if w < 0 && r < 0 && !addressable {
		// It fails on such a value, and own must not call that plain.
		if x := pick(msgpackMethods, p, writerOf); x >= 0 {
			return -1, x
		}
	}
	return w, r
}
