package keys

import (
	"encoding/binary"
	"math/big"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"unsafe"
)

// A keyRule appends the canonical form of the value at p of a type whose fields do not
// do for one, to b.
type keyRule func(b []byte, p unsafe.Pointer) []byte

// keyRules are those of the standard library's types whose equal values can have
// different fields, and whose text does not say everything. [time.Time] is not among
// them because it is so frequent that it has an operation of its own.
var keyRules = map[reflect.Type]keyRule{
	reflect.TypeFor[big.Float](): appendBigFloat,
}

// appendBigFloat appends a big.Float: its number exactly, and the precision and the
// modes that calculations with it take over.
func appendBigFloat(b []byte, p unsafe.Pointer) []byte {
	x := (*big.Float)(p)
	b = binary.LittleEndian.AppendUint64(room(b, 10), uint64(x.Prec()))
	b = append(b, byte(x.Mode()), byte(x.Acc()))
	return appendString(b, x.Text('p', 0))
}

// knownTexts are those types of other modules and of the standard library that go by
// their text, which is known to differ for different values. A [big.Int] or [big.Rat]
// has no other form that equal numbers share; the rest would do by their fields, but
// their texts are legible.
var knownTexts = map[string]bool{
	"log/slog.LevelVar": true,
	"math/big.Int":      true,
	"math/big.Rat":      true,
	"net/netip.Addr":    true,

	"github.com/gofrs/uuid.UUID":       true,
	"github.com/gofrs/uuid/v5.UUID":    true,
	"github.com/google/uuid.UUID":      true,
	"github.com/oklog/ulid.ULID":       true,
	"github.com/oklog/ulid/v2.ULID":    true,
	"github.com/segmentio/ksuid.KSUID": true,
}

// goesByText reports whether values of t are represented by what their MarshalText
// returns. Whoever writes that method in the program's own module decides what is the
// same argument. Elsewhere it was written to be read: the text of a netip.AddrPort
// without an address has no port, that of a regexp.Regexp does not say whether it
// is a POSIX one, and that of a uuid.NullUUID is "null" whatever is in it. So types of
// other modules go by their fields, but for the known ones.
func goesByText(t reflect.Type) bool {
	if path := t.PkgPath(); !OwnPackage(path) && !knownTexts[path+"."+t.Name()] {
		return false
	}
	return t != timeType && Honours(t, textType)
}

// OwnPackage reports whether the package of that path belongs to the program's own
// module. Without build information only package main does, and that of a type without
// a name is nobody's.
func OwnPackage(path string) bool {
	path = strings.TrimSuffix(path, "_test")
	switch main := MainModule(); {
	case path == "main" || path == "command-line-arguments":
		return true
	case main == "":
		return false
	default:
		return path == main || strings.HasPrefix(path, main+"/")
	}
}

// MainModule returns the path of the module that the program was built in, or "".
var MainModule = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Path
	}
	return ""
})
