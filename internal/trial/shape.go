package trial

import (
	"encoding"
	"encoding/gob"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/internal/messages"
)

// A Method is one way for a type to write and read itself.
type Method struct {
	Write, Read    string // names of the methods
	Writer, Reader reflect.Type
}

// The methods of the standard library's encoders.
var (
	JSON   = MethodOf[json.Marshaler, json.Unmarshaler]("MarshalJSON", "UnmarshalJSON")
	Text   = MethodOf[encoding.TextMarshaler, encoding.TextUnmarshaler]("MarshalText", "UnmarshalText")
	Binary = MethodOf[encoding.BinaryMarshaler, encoding.BinaryUnmarshaler]("MarshalBinary", "UnmarshalBinary")
	Gob    = MethodOf[gob.GobEncoder, gob.GobDecoder]("GobEncode", "GobDecode")
)

// usual are the methods that a codec may call of which nothing is known.
var usual = []Method{JSON, Text, Binary, Gob,
	MethodOf[interface{ MarshalMsgpack() ([]byte, error) }, interface{ UnmarshalMsgpack([]byte) error }]("MarshalMsgpack", "UnmarshalMsgpack"),
	MethodOf[interface{ MarshalCBOR() ([]byte, error) }, interface{ UnmarshalCBOR([]byte) error }]("MarshalCBOR", "UnmarshalCBOR"),
	MethodOf[interface{ MarshalYAML() (any, error) }, interface{ UnmarshalYAML(func(any) error) error }]("MarshalYAML", "UnmarshalYAML"),
	MethodOf[interface{ Marshal() ([]byte, error) }, interface{ Unmarshal([]byte) error }]("Marshal", "Unmarshal"),
}

// MethodOf returns the Method of two interfaces.
func MethodOf[W, R any](write, read string) Method {
	return Method{Write: write, Read: read, Writer: reflect.TypeFor[W](), Reader: reflect.TypeFor[R]()}
}

// Own returns which of the methods write t and which read it; -1 is none. A
// type has them if its pointer does.
func Own(t reflect.Type, methods []Method) (writer, reader int) {
	p := reflect.PointerTo(t)
	return slices.IndexFunc(methods, func(m Method) bool { return p.Implements(m.Writer) }),
		slices.IndexFunc(methods, func(m Method) bool { return p.Implements(m.Reader) })
}

var timeType = reflect.TypeFor[time.Time]()

// A shape is what is known of a type before it is tried.
type shape struct {
	known  bool          // its values need not be made up
	values []value       // of a known type
	self   bool          // the codec leaves its values to its methods
	halved string        // why these methods cannot bring a value back, or ""
	asks   bool          // see Guard.asks
	within []part        // the types that are met in its values first
	equal  reflect.Value // its method Equal, if it shows nothing of itself
}

func (g *Guard) shape(t reflect.Type) *shape {
	if s, ok := g.shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{values: knownValues(t), asks: g.asks(t), within: within(t), equal: equalMethod(t)}
	s.known = s.values != nil || messages.Is(t)
	if w, r := Own(t, g.rules.Methods); !s.known && (w >= 0 || r >= 0) {
		s.self = true
		if m := g.rules.Methods[max(w, r)]; w < 0 {
			s.halved = "reads itself with " + m.Read + " and does not write itself with " + m.Write + "; implement both or neither"
		} else if m := g.rules.Methods[w]; w != r {
			s.halved = "writes itself with " + m.Write + ", and " + g.Name() + " does not read it with " + m.Read + "; implement both or neither"
		}
	}
	g.shapes.Store(t, s)
	return s
}

// asks reports whether values of t leave a question open that their type does
// not answer: what an interface holds, whether a time can be written, whether
// the value contains itself.
func (g *Guard) asks(t reflect.Type) bool {
	return Contains(t, func(t reflect.Type, again bool) bool {
		return again || t.Kind() == reflect.Interface || t == timeType && g.rules.Time != nil
	})
}

// Contains reports whether t, or a type that can be met in values of t, is one
// of those. Again says that the type is met inside of itself.
func Contains(t reflect.Type, is func(t reflect.Type, again bool) bool) bool {
	inside := map[reflect.Type]bool{} // false for the types that have been left
	var in func(part) bool
	in = func(p part) bool {
		again, seen := inside[p.typ]
		if is(p.typ, again) {
			return true
		} else if seen {
			return false
		}
		inside[p.typ] = true
		defer func() { inside[p.typ] = false }()
		return slices.ContainsFunc(within(p.typ), in)
	}
	return in(part{typ: t})
}

// A part is a type that can be met in values of another, and where.
type part struct {
	typ  reflect.Type
	path string
	lost bool // in a field tagged memo:"-"
}

// within lists the types that are met in values of t first.
func within(t reflect.Type) (parts []part) {
	switch t.Kind() {
	case reflect.Map:
		return []part{{t.Key(), "[key]", false}, {t.Elem(), "[]", false}}
	case reflect.Slice, reflect.Array:
		return []part{{t.Elem(), "[]", false}}
	case reflect.Pointer:
		return []part{{t.Elem(), "", false}}
	case reflect.Struct:
		for f := range t.Fields() {
			parts = append(parts, part{f.Type, f.Name, mayBeLost(f)})
		}
	}
	return parts
}

// parts lists the types in values of t, each where it is met first, the outer
// ones before those inside of them. It does not look into types that write
// themselves.
func (g *Guard) parts(t reflect.Type) (parts []part) {
	seen := map[part]bool{}
	var add func(part)
	add = func(p part) {
		if at := (part{p.typ, "", p.lost}); !seen[at] {
			seen[at] = true
			parts = append(parts, p)
			s := g.shape(p.typ)
			for _, in := range s.within {
				if in.path != "_" && !s.known && !s.self {
					add(part{in.typ, join(p.path, in.path), p.lost || in.lost})
				}
			}
		}
	}
	add(part{typ: t})
	return parts
}

// mayBeLost reports whether the field's owner gave it up.
func mayBeLost(f reflect.StructField) bool { return f.Tag.Get("memo") == "-" }

func join(path, name string) string {
	if path == "" || name == "" || name[0] == '[' {
		return path + name
	}
	return path + "." + name
}
