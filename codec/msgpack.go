package codec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/seed-0226adef/memo/internal/trial"
)

// msgpackCodec is package msgpack, with what its bytes may claim bounded.
// MsgPack has a guard in front of it.
type msgpackCodec struct{}

func (msgpackCodec) Name() string { return "msgpack" }

var msgpackRules = trial.Rules{Methods: msgpackMethods, Refuse: msgpackRefuse}

var msgpackMethods = []trial.Method{
	trial.MethodOf[msgpack.CustomEncoder, msgpack.CustomDecoder]("EncodeMsgpack", "DecodeMsgpack"),
	trial.MethodOf[msgpack.Marshaler, msgpack.Unmarshaler]("MarshalMsgpack", "UnmarshalMsgpack"),
	trial.Binary, trial.Text,
}

// msgpackRefuse refuses what must not be tried.
//
//   - The option intern confuses nil with the empty string in an interface, and
//     its indices are extensions that are read byte by byte (see msgpackReader).
//   - Package msgpack brings an embedded pointer back as a new struct when it was
//     nil, and starts a goroutine for each such type that never ends.
func msgpackRefuse(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return refuseUnreadable("msgpack", t)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		_, rest, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
		options := strings.Split(rest, ",")
		switch {
		case slices.Contains(options, "intern"):
			return "has the field " + f.Name + ", which is tagged intern, and this codec does not support that; take the option away"
		case f.Anonymous && f.Type.Kind() == reflect.Pointer && isPlain(f.Type.Elem()) && !slices.Contains(options, "noinline"):
			return "embeds " + f.Type.String() + `, a pointer, and msgpack brings a nil one back as a pointer to a zero struct; tag it msgpack:",noinline" or use another codec`
		}
	}
	return refuseUnreadable("msgpack", t)
}

// isPlain reports whether package msgpack writes a struct field by field.
func isPlain(t reflect.Type) bool {
	writer, reader := trial.Own(t, msgpackMethods)
	return t.Kind() == reflect.Struct && t != timeType && writer < 0 && reader < 0
}

var timeType = reflect.TypeFor[time.Time]()

var msgpackUntyped sync.Map // reflect.Type → isUntyped

// isUntyped reports whether somewhere in values of t a decoder learns the type from
// the bytes alone.
func isUntyped(t reflect.Type) bool {
	if untyped, ok := msgpackUntyped.Load(t); ok {
		return untyped.(bool)
	}
	untyped := trial.Contains(t, func(t reflect.Type, _ bool) bool {
		writer, _ := trial.Own(t, msgpackMethods)
		return t.Kind() == reflect.Interface || writer >= 0 && t != timeType
	})
	msgpackUntyped.Store(t, untyped)
	return untyped
}

// The pools are ours and not those of package msgpack (GetEncoder and the
// like), so that no settings or half-finished state of other callers reach us.
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
// contents for the map, so that contents which were not scanned could claim
// any length. It reads them byte by byte; the contents of extensions
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

func (msgpackCodec) Append(dst []byte, v any) ([]byte, error) {
	w := msgpackWriters.Get().(*msgpackWriter)
	w.b = dst
	w.enc.Reset(w)
	// Compact integers lose their type, which matters only where a decoder learns
	// it from the bytes.
	w.enc.UseCompactInts(!isUntyped(reflect.TypeOf(v)))
	if err := w.enc.Encode(v); err != nil {
		return dst, fmt.Errorf("memo: codec: msgpack: %w", err)
	}
	out := w.b
	w.b = nil
	msgpackWriters.Put(w)
	return out, nil
}

func (msgpackCodec) Decode(data []byte, v any) (err error) {
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
