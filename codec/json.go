package codec

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"
)

type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Check(t reflect.Type) error { return jsonDialect.planFor(t).err }

// A jsonWriter keeps an encoder, whose settings and indirection cost more than
// writing a small value does.
type jsonWriter struct {
	appendTo
	enc *json.Encoder
}

var jsonWriters = sync.Pool{New: func() any {
	w := new(jsonWriter)
	w.enc = json.NewEncoder(w)
	// Escaping <, > and & protects pages that JSON is pasted into. These bytes
	// go to a store, where it would only make them longer.
	w.enc.SetEscapeHTML(false)
	return w
}}

// replacement is what encoding/json writes for bytes that are not UTF-8. (It
// writes U+FFFD itself unescaped, so a value without it has lost nothing.)
var replacement = []byte(`\ufffd`)

func (jsonCodec) Append(dst []byte, v any) (out []byte, err error) {
	value, err := target("json", "Append", v)
	if err != nil {
		return dst, err
	}
	plan := jsonDialect.planFor(value.Type())
	if plan.err != nil {
		return dst, fmt.Errorf("memo: codec: json: %w", plan.err)
	}
	defer func() {
		if err != nil {
			out = dst
		}
	}()
	defer catch("json", "Append", &err)
	if err := jsonWalk(plan, value, watchInterface|watchPointer|watchTime|watchNumber|watchKey|watchDepth); err != nil {
		return dst, err
	}
	w := jsonWriters.Get().(*jsonWriter)
	w.b = dst
	if err := w.enc.Encode(v); err != nil {
		return dst, fmt.Errorf("memo: codec: json: %w", err)
	}
	out = w.b[:len(w.b)-1] // Encode ends with a newline
	w.b = nil
	jsonWriters.Put(w)
	if bytes.Contains(out[len(dst):], replacement) {
		if err := jsonWalk(plan, value, watchString); err != nil {
			return dst, err
		}
	}
	return out, nil
}

func (jsonCodec) Decode(data []byte, v any) (err error) {
	value, err := target("json", "Decode", v)
	if err != nil {
		return err
	}
	defer catch("json", "Decode", &err)
	value.SetZero()
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("memo: codec: json: %w", err)
	}
	return nil
}

func jsonWalk(p *plan, v reflect.Value, look watch) error {
	// Interfaces can hold strings whatever the type says.
	if look&watchString != 0 {
		look |= watchInterface | watchDepth
	}
	return jsonDialect.search(p, v, look)
}

// jsonInstant refuses what RFC 3339 cannot say. Package time writes the local
// clock to the second and the offset to the minute, so an offset such as the
// +0:09:21 of Paris before 1911 moves the instant.
func jsonInstant(t time.Time) string {
	if _, offset := t.Zone(); offset%60 != 0 {
		return "is a time whose zone is not whole minutes from UTC, which JSON would move by the seconds; convert it to UTC"
	}
	return ""
}

// jsonInside allows in an interface what encoding/json puts there.
func jsonInside(w *walk, v reflect.Value) error {
	became := ""
	switch v.Type() {
	case boolType, float64Type:
		return nil
	case stringType:
		return w.text(stringNode, v)
	case anySliceType, anyMapType:
		if !v.IsNil() {
			return w.value(looseNodes[v.Type()], v, false)
		}
		became = "nil"
	default:
		became = jsonBecomes(v.Type())
	}
	return w.refuse(fmt.Sprintf("holds %s in an interface, which would come back as %s; use a concrete type or another codec", describe(v), became))
}

func jsonBecomes(t reflect.Type) string {
	if t.Implements(jsonMethods[0].writer) || t.Implements(jsonMethods[1].writer) {
		return "what its JSON looks like"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.String:
		return "string"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string"
		}
		return "[]any"
	case reflect.Array:
		return "[]any"
	case reflect.Struct, reflect.Map:
		return "map[string]any"
	case reflect.Pointer:
		return "what it points to"
	}
	return "float64"
}

func describe(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		if v.IsNil() {
			return "a nil " + v.Type().String()
		}
	}
	return v.Type().String()
}

var (
	boolType     = reflect.TypeFor[bool]()
	float64Type  = reflect.TypeFor[float64]()
	stringType   = reflect.TypeFor[string]()
	anyType      = reflect.TypeFor[any]()
	anySliceType = reflect.TypeFor[[]any]()
	anyMapType   = reflect.TypeFor[map[string]any]()
	numberType   = reflect.TypeFor[json.Number]()

	stringNode = &node{typ: stringType, kind: reflect.String, here: watchString, below: watchString}
	looseNodes = loose()
)

// loose returns the nodes of the two containers that decoders make on their
// own for an interface.
func loose() map[reflect.Type]*node {
	const below = watchInterface | watchDepth | watchString
	held := &node{typ: anyType, kind: reflect.Interface, here: watchInterface, below: below}
	return map[reflect.Type]*node{
		anySliceType: {typ: anySliceType, kind: reflect.Slice, elem: held, below: below},
		anyMapType:   {typ: anyMapType, kind: reflect.Map, key: stringNode, elem: held, below: below},
	}
}

var jsonMethods = []selfMethod{{
	write: "MarshalJSON", read: "UnmarshalJSON",
	writer: reflect.TypeFor[json.Marshaler](), reader: reflect.TypeFor[json.Unmarshaler](),
	find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalJSON") },
}, textMethod}

var textMethod = selfMethod{
	write: "MarshalText", read: "UnmarshalText",
	writer: reflect.TypeFor[encoding.TextMarshaler](), reader: reflect.TypeFor[encoding.TextUnmarshaler](),
	find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalText") },
}

var jsonDialect = &dialect{
	name:     "json",
	methods:  jsonMethods,
	writes:   func(k reflect.Kind) bool { return k <= reflect.Float64 },
	own:      jsonOwn,
	members:  jsonMembers,
	key:      jsonKey,
	textKeys: true,
	inside:   jsonInside,
	pointee:  nilPointee,
	instant:  jsonInstant,
}

// jsonOwn follows encoding/json: the methods of the pointer count where the
// value is addressable, and JSON methods go before text methods.
func jsonOwn(t reflect.Type, addressable bool) (w, r int) {
	p := reflect.PointerTo(t)
	in := t
	if addressable {
		in = p
	}
	return pick(jsonMethods, in, writerOf), pick(jsonMethods, p, readerOf)
}

func jsonKey(t reflect.Type) string {
	writes, reads := t.Implements(textMethod.writer), reflect.PointerTo(t).Implements(textMethod.reader)
	switch k := t.Kind(); {
	case k == reflect.String:
		return ""
	case writes && reads:
		return ""
	case writes || reads:
		return "is a map whose keys have only one of MarshalText and UnmarshalText; implement both or neither"
	case reflect.Int <= k && k <= reflect.Uintptr:
		return ""
	}
	return fmt.Sprintf("is a map keyed by %s, and json has only strings and integers for keys; implement MarshalText and UnmarshalText or use another codec", t)
}
