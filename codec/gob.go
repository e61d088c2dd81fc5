package codec

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

type gobCodec struct{}

func (gobCodec) Name() string { return "gob" }

func (gobCodec) Check(t reflect.Type) error { return gobDialect.planFor(t).err }

// What a gob cannot say about the outermost value is said by a byte in front:
// a gob holds no nil, and reads an empty slice back as nil and a nil map as an
// empty one.
const (
	gobNil   = 0 // a nil pointer, slice, map or interface; nothing follows
	gobValue = 1 // a gob follows
	gobEmpty = 2 // a slice of no elements that is not nil; nothing follows
)

func (gobCodec) Append(dst []byte, v any) (out []byte, err error) {
	value, err := target("gob", "Append", v)
	if err != nil {
		return dst, err
	}
	plan := gobDialect.planFor(value.Type())
	if plan.err != nil {
		return dst, fmt.Errorf("memo: codec: gob: %w", plan.err)
	}
	defer func() {
		if err != nil {
			out = dst
		}
	}()
	defer catch("gob", "Append", &err)
	switch header := gobHeader(value); header {
	case gobNil, gobEmpty:
		return append(dst, header), nil
	}
	if err := gobDialect.search(plan, value, watchInterface|watchPointer|watchDepth); err != nil {
		return dst, err
	}
	// An encoder describes each type once, to one reader. Every value here is
	// read on its own, so each needs an encoder that has not yet described any.
	w := appendTo{append(dst, gobValue)}
	if err := gob.NewEncoder(&w).Encode(innermost(value)); err != nil {
		return dst, fmt.Errorf("memo: codec: gob: %w", err)
	}
	return w.b, nil
}

func gobHeader(v reflect.Value) byte {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Interface, reflect.Slice:
		if v.IsNil() {
			return gobNil
		}
	}
	if v.Kind() == reflect.Slice && v.Len() == 0 && gobPlain(v.Type()) {
		return gobEmpty
	}
	return gobValue
}

// gobPlain reports whether the type does not write itself.
func gobPlain(t reflect.Type) bool {
	w, r := gobOwn(t, true)
	return w < 0 && r < 0
}

func (gobCodec) Decode(data []byte, v any) (err error) {
	value, err := target("gob", "Decode", v)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errors.New("memo: codec: gob: there is no data")
	}
	defer catch("gob", "Decode", &err)
	value.SetZero()
	header, data := data[0], data[1:]
	switch {
	case header > gobEmpty:
		return fmt.Errorf("memo: codec: gob: the data begins with the unknown byte %#x", header)
	case header != gobValue && len(data) > 0:
		return fmt.Errorf("memo: codec: gob: %d bytes are left over after the value", len(data))
	case header == gobNil:
		return gobSetNil(value)
	case header == gobEmpty:
		if value.Kind() != reflect.Slice {
			return fmt.Errorf("memo: codec: gob: the data is an empty slice, and %s is none", value.Type())
		}
		value.Set(reflect.MakeSlice(value.Type(), 0, 0))
		return nil
	}
	if err := scanGob(data); err != nil {
		return fmt.Errorf("memo: codec: gob: %w", err)
	}
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(innermost(value)); err != nil {
		return fmt.Errorf("memo: codec: gob: %w", err)
	}
	return nil
}

// innermost returns the last pointer on the way to what v holds, allocating
// where there is none. To a gob it is all the same; but given a pointer to a
// pointer to a type with GobEncode, encoding/gob follows one pointer too many
// and panics.
func innermost(v reflect.Value) any {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v.Addr().Interface()
}

func gobSetNil(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Interface, reflect.Slice:
		return nil // it has been set to zero
	}
	return fmt.Errorf("memo: codec: gob: the data is nil, which %s cannot be", v.Type())
}

// gobPointee refuses pointers that come back as nil. A gob knows no pointers:
// it holds what they point to, and leaves a field out when that is zero.
func gobPointee(n *node, v reflect.Value, field bool) string {
	e := v.Elem()
	if n.elem.self {
		return "" // the method is called on the pointer, whatever it points to
	}
	if n.elem.kind == reflect.Pointer {
		if e.IsNil() {
			return "is a pointer to a nil pointer, which gob cannot hold; use another codec"
		}
		// The innermost pointer decides, wherever the outer ones are.
		return gobPointee(n.elem, e, field)
	}
	if field && gobLeavesOut(e) {
		return fmt.Sprintf("is a pointer to a zero %s, which would come back as nil; use a value with a flag beside it, or another codec", n.elem.typ)
	}
	return ""
}

// gobAbsent refuses nil among pointers, which package gob refuses as well unless
// their type writes itself: then it may be taken for a value, as *big.Int does.
func gobAbsent(n *node) string {
	return fmt.Sprintf("is a nil %s, which gob cannot hold; use another codec", n.typ)
}

// gobLeavesOut follows encOpFor and the functions for scalars in encoding/gob:
// structs and arrays are sent whatever they hold.
func gobLeavesOut(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct, reflect.Array:
		return false
	case reflect.Slice:
		return v.Len() == 0
	}
	return v.IsZero()
}

// gobInside looks into what an interface holds: its type is not known from
// the outside, so it is checked here.
func gobInside(w *walk, v reflect.Value) error {
	p, ok := gobHeld.Load(v.Type())
	if !ok {
		p, _ = gobHeld.LoadOrStore(v.Type(), w.compile(v.Type(), false))
	}
	plan := p.(*plan)
	if plan.err != nil {
		if err := w.refuse("holds " + v.Type().String() + " in an interface: " + plan.err.Error()); err != nil {
			return err
		}
	}
	if err := w.refuse(gobReturns(v.Type())); err != nil {
		return err
	}
	return w.value(plan.root, v, false)
}

var (
	gobHeld     sync.Map // reflect.Type → *plan, of values in interfaces
	gobFaithful sync.Map // reflect.Type → struct{}, see gobReturns
)

// gobReturns refuses a type that gob reads back as another one. The name that
// a value in an interface is sent under stands for T and *T alike, and what
// comes back is whichever of the two was registered. Package gob does not tell
// which, so it is tried once, with a zero value.
func gobReturns(t reflect.Type) string {
	if _, ok := gobFaithful.Load(t); ok {
		return ""
	}
	zero := reflect.New(t).Elem()
	if t.Kind() == reflect.Pointer {
		zero = reflect.New(t.Elem())
	}
	in, out := zero.Interface(), any(nil)
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&in); err != nil {
		return fmt.Sprintf("holds %s in an interface: %v", t, err)
	}
	if err := gob.NewDecoder(&b).Decode(&out); err != nil {
		return fmt.Sprintf("holds %s in an interface: %v", t, err)
	}
	if got := reflect.TypeOf(out); got != t {
		return fmt.Sprintf("holds %s in an interface, which would come back as %s, the type given to gob.Register", t, got)
	}
	gobFaithful.Store(t, struct{}{})
	return ""
}

var gobMethods = []selfMethod{{
	write: "GobEncode", read: "GobDecode",
	writer: reflect.TypeFor[gob.GobEncoder](), reader: reflect.TypeFor[gob.GobDecoder](),
	find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("GobEncode") },
}, binaryMethod}

var gobDialect = &dialect{
	name:            "gob",
	methods:         gobMethods,
	writes:          func(k reflect.Kind) bool { return k <= reflect.Complex128 },
	own:             gobOwn,
	members:         gobMembers,
	key:             func(reflect.Type) string { return "" },
	implementations: true,
	fieldlessFails:  true,
	inside:          gobInside,
	pointee:         gobPointee,
	absent:          gobAbsent,
}

// gobOwn follows validUserType. Text methods do not count: gob leaves them out
// on purpose (golang.org/issue/6760).
func gobOwn(t reflect.Type, addressable bool) (w, r int) {
	p := reflect.PointerTo(t)
	in := t
	if addressable {
		in = p
	}
	return pick(gobMethods, in, writerOf), pick(gobMethods, p, readerOf)
}

func gobMembers(t reflect.Type) []member {
	var members []member
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Name == "_" {
			continue
		}
		m := member{path: sf.Name, index: sf.Index, typ: sf.Type, exempt: mayBeLost(sf)}
		base := pointee(sf.Type)
		switch {
		case !sf.IsExported():
			m.lost = unexported("gob")
		case base != nil && (base.Kind() == reflect.Chan || base.Kind() == reflect.Func):
			m.lost = `cannot be written by gob, which leaves it out; tag it memo:"-" if it may be lost`
		}
		members = append(members, m)
	}
	return members
}
