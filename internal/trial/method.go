package trial

import (
	"encoding"
	"encoding/gob"
	"encoding/json"
	"reflect"

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

// methods returns what the codec calls.
func (g *Guard) methods() []Method {
	if g.rules.Methods == nil {
		return usual
	}
	return g.rules.Methods
}

// own returns which of the codec's methods write t and which read it; -1 is
// none. A type has them if its pointer does.
func (g *Guard) own(t reflect.Type) (writer, reader int) {
	writer, reader = -1, -1
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || messages.Is(t) {
		return
	}
	p := reflect.PointerTo(t)
	for i, m := range g.methods() {
		if writer < 0 && p.Implements(m.Writer) {
			writer = i
		}
		if reader < 0 && p.Implements(m.Reader) {
			reader = i
		}
	}
	return
}

// writesItself reports whether the codec leaves values of t to its methods.
func (g *Guard) writesItself(t reflect.Type) bool {
	if known, ok := g.selves.Load(t); ok {
		return known.(bool)
	}
	writer, reader := g.own(t)
	g.selves.Store(t, writer >= 0 || reader >= 0)
	return writer >= 0 || reader >= 0
}

// halved says that t writes itself in a way in which it does not read itself,
// or "".
func (g *Guard) halved(t reflect.Type) string {
	writer, reader := g.own(t)
	switch {
	case writer == reader:
		return ""
	case writer < 0:
		m := g.methods()[reader]
		return "reads itself with " + m.Read + " and does not write itself with " + m.Write + "; implement both or neither"
	}
	m := g.methods()[writer]
	return "writes itself with " + m.Write + ", and " + g.Name() + " does not read it with " + m.Read + "; implement both or neither"
}
