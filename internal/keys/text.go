package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/seed-0226adef/memo/store"
)

const (
	// MaxLen is the length of the longest key that every store takes. A
	// shared key is printable ASCII without spaces, as every store takes it.
	MaxLen = store.MaxKeyLen

	// maxHead bounds what stands before the arguments, so that they always
	// have room for at least a hash; maxPrefix what of that is the prefix.
	maxHead   = 160
	maxPrefix = 80
)

// MaxDigits is how long the text of an integer can be.
const MaxDigits = len("-9223372036854775808")

// Prefix returns what all shared keys with a prefix begin with.
func Prefix(prefix string) string {
	b := AppendEscaped(nil, prefix)
	if len(b) > maxPrefix {
		b = AppendHash(b[:0], string(b))
	}
	return string(append(b, ':'))
}

// Head returns what stands before the arguments. prefix is a sharedPrefix.
func Head(prefix, name, version, epoch string) string {
	head := append(make([]byte, 0, MaxLen), prefix...)
	for _, part := range [...]string{name, version, epoch} {
		head = append(AppendEscaped(head, part), ':')
	}
	if len(head) > maxHead {
		head = append(AppendHash(head[:len(prefix)], string(head[len(prefix):])), ':')
	}
	return string(head)
}

func AppendEscaped(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ':' || c == '%' || c == '#' {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

func AppendHash(b []byte, s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return hex.AppendEncode(append(b, '#'), sum[:])
}

// AppendArgs appends the last part of a shared key for the argument at p, whose
// canonical form is canonical.
func (pl *Plan) AppendArgs(b []byte, canonical string, p unsafe.Pointer) []byte {
	var buf [maxText]byte
	if text, ok := appendLegible(buf[:0], pl, p); ok {
		return append(b, text...)
	}
	return AppendHash(b, canonical)
}

// AppendText is appendArgs for a key that a KeyFunc returned.
func AppendText(b []byte, key string) []byte {
	if legible(key) {
		return append(b, key...)
	}
	return AppendHash(b, key)
}

// maxText is the longest legible form of an argument.
const maxText = MaxLen - maxHead

// appendLegible appends a form of the argument at p that people can read, if it
// has one. It is as injective as the canonical form: the type fixes how many
// commas there are, and no string with a comma or an exclamation mark in it is
// written this way.
func appendLegible(b []byte, pl *Plan, p unsafe.Pointer) ([]byte, bool) {
	ok := true
	switch pl.Op {
	case opNothing:
	case op8, op16, op32, op64, opInt, opUint:
		b = appendInteger(b, pl, p)
	case opFloat32:
		b = appendFloatText(b, float64(*(*float32)(p)), 32)
	case opFloat64:
		b = appendFloatText(b, *(*float64)(p), 64)
	case OpString:
		s := *(*string)(p)
		ok = legible(s)
		b = append(b, s[:min(len(s), maxText+1)]...)
	case opKeyer, opText:
		s, err := pl.own(p)
		ok = err == nil && legible(s)
		b = append(b, s[:min(len(s), maxText+1)]...)
	case opNilable:
		if *(*unsafe.Pointer)(p) == nil {
			return append(b, "!nil"...), true
		}
		return appendLegible(b, pl.elem, p)
	case opStruct:
		for i := range pl.fields {
			if i > 0 {
				b = append(b, ',')
			}
			f := &pl.fields[i]
			if b, ok = appendLegible(b, f.plan, unsafe.Add(p, f.offset)); !ok {
				return b, false
			}
		}
	case opPointer:
		// A pointer to a pointer would need more than one word for nil, and a
		// recursive type has no fixed number of commas.
		target := *(*unsafe.Pointer)(p)
		switch {
		case !pl.elem.flat():
			return b, false
		case target == nil:
			return append(b, "!nil"...), true
		}
		return appendLegible(b, pl.elem, target)
	default:
		return b, false
	}
	return b, ok && len(b) <= maxText
}

// flat reports whether every value of the plan's type has the same number of
// parts.
func (pl *Plan) flat() bool {
	if pl.Op == opStruct {
		for i := range pl.fields {
			if !pl.fields[i].plan.flat() {
				return false
			}
		}
		return true
	}
	return pl.Op <= OpString || pl.Op == opKeyer || pl.Op == opText
}

func appendInteger(b []byte, pl *Plan, p unsafe.Pointer) []byte {
	switch pl.typ.Kind().String()[0] {
	case 'b':
		return strconv.AppendBool(b, *(*bool)(p))
	case 'i':
		return strconv.AppendInt(b, signed(pl, p), 10)
	}
	return strconv.AppendUint(b, unsigned(pl, p), 10)
}

func signed(pl *Plan, p unsafe.Pointer) int64 {
	switch pl.Op {
	case op8:
		return int64(*(*int8)(p))
	case op16:
		return int64(*(*int16)(p))
	case op32:
		return int64(*(*int32)(p))
	case op64:
		return *(*int64)(p)
	}
	return int64(*(*int)(p))
}

func unsigned(pl *Plan, p unsafe.Pointer) uint64 {
	switch pl.Op {
	case op8:
		return uint64(*(*uint8)(p))
	case op16:
		return uint64(*(*uint16)(p))
	case op32:
		return uint64(*(*uint32)(p))
	case op64:
		return *(*uint64)(p)
	}
	return uint64(*(*uint)(p))
}

func appendFloatText(b []byte, f float64, bits int) []byte {
	if f != f {
		f = math.NaN()
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}

// legible reports whether s may stand in a shared key as it is.
func legible(s string) bool {
	return len(s) <= maxText && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || r == ',' || r == '!' || r == '#'
	}) < 0
}
