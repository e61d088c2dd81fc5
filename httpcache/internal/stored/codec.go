package stored

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// recordCodec writes records to a shared store: a byte each for the version and
// the kind, then numbers as varints and texts with their length in front, the
// body last. It is smaller and faster than a general one, and it does not copy
// the body more than once.
//
// memo.Codec can put another in its place, such as one that compresses.
type Codec struct{}

const codecVersion = 2

func (Codec) Name() string { return "httpcache" }

func (Codec) Append(dst []byte, v any) ([]byte, error) {
	p, ok := v.(**Record)
	if !ok || *p == nil {
		return dst, fmt.Errorf("memo: httpcache: the codec is for responses, not %T", v)
	}
	r := *p
	dst = append(dst, codecVersion, byte(r.Kind))
	dst = appendStrings(dst, r.Names)
	dst = appendString(dst, r.Generation)
	if r.Kind != Response {
		return dst, nil
	}
	dst = binary.AppendUvarint(dst, uint64(r.Status))
	for _, n := range []int64{r.Born, r.Life, r.Made} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = binary.AppendUvarint(appendString(dst, r.Log), r.Seq)
	dst = appendStrings(dst, r.Targets)
	dst = append(dst, bits(r.Shared, r.OwnETag, r.Given, r.Assumed))
	dst = appendHeader(dst, r.Header)
	dst = appendHeader(dst, r.Trailer)
	return append(dst, r.Body...), nil
}

// bits packs flags, the first in the lowest bit.
func bits(flags ...bool) (b byte) {
	for i, set := range flags {
		if set {
			b |= 1 << i
		}
	}
	return b
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return dst
}

// appendHeader writes the fields sorted, so that equal responses have equal bytes.
func appendHeader(dst []byte, h http.Header) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(h)))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		dst = appendString(dst, name)
		dst = appendStrings(dst, h[name])
	}
	return dst
}

func (Codec) Decode(data []byte, v any) error {
	p, ok := v.(**Record)
	if !ok {
		return fmt.Errorf("memo: httpcache: the codec is for responses, not %T", v)
	}
	d := decoder{rest: data}
	r := d.record()
	if d.bad {
		return errors.New("memo: httpcache: the stored bytes are no response of this version")
	}
	*p = r
	return nil
}

// A decoder reads what Append wrote. When the bytes end too early, or are wrong,
// it is bad from then on and returns zeros. It allocates no more than a few times
// what it has left to read.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) record() *Record {
	if d.byte() != codecVersion {
		d.bad = true
	}
	r := &Record{Kind: kind(d.byte())}
	r.Names, r.Generation = d.strings(), d.string()
	switch r.Kind {
	case Index, Pass:
		d.bad = d.bad || len(d.rest) > 0
		return r
	case Response:
	default:
		d.bad = true
		return r
	}
	status := d.uvarint()
	d.bad = d.bad || status < 200 || status > 999 // before it is an int, which may have 32 bits
	r.Status = int(status)
	r.Born, r.Life, r.Made = d.varint(), d.varint(), d.varint()
	r.Log, r.Seq = d.string(), d.uvarint()
	r.Targets = d.strings()
	flags := d.byte()
	r.Shared, r.OwnETag, r.Given, r.Assumed = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0
	r.Header, r.Trailer = d.header(), d.header()
	r.Body = slices.Clone(d.rest)
	if r.Header == nil {
		d.bad = true
	}
	return r
}

func (d *decoder) byte() (b byte) {
	if len(d.rest) == 0 {
		d.bad = true
		return 0
	}
	b, d.rest = d.rest[0], d.rest[1:]
	return b
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// length reads a number of things of at least one byte each.
func (d *decoder) length() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.length()
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) strings() []string {
	n := d.length()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

func (d *decoder) header() http.Header {
	n := d.length()
	if n == 0 {
		return nil
	}
	h := make(http.Header, n)
	for range n {
		name := d.string()
		h[name] = d.strings()
	}
	return h
}
