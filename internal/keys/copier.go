package keys

import (
	"reflect"
	"strings"
	"sync"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/messages"
)

// A Copier says what of a type's values has to be copied for an execution, which may
// outlive the call that brought them: whatever the caller can change afterwards and
// the key covers. Like a plan it is compiled once per type. nil stands for a type of
// whose values nothing has to be copied, such as a number.
//
// What a key does not look into is handed on as it is: the caller and fn see the
// same, as they would without memo. That is what a [Keyer] holds, what is tagged
// memo:"-", and a type whose own text is its key that holds pointers, maps or
// interfaces, which may mean more than that they lead to.
type Copier struct {
	typ    reflect.Type
	elem   *Copier // of a pointer, slice, array or map; nil if a plain copy will do
	key    *Copier // of a map
	fields []copierField

	message bool // a pointer to a protobuf message, which is cloned as such
}

type copierField struct {
	offset uintptr
	copier *Copier
}

// copiers holds what copierOf found: *copier, which may be nil, by reflect.Type.
var copiers sync.Map

func copierFor(t reflect.Type) *Copier {
	if found, ok := copiers.Load(t); ok {
		return found.(*Copier)
	}
	c := copierCompiler{}.compile(t)
	copiers.Store(t, c)
	return c
}

// CopierOf returns the copier of a function's argument. What a [KeyFunc] looks
// at is not known, except where there is nothing but a string.
func CopierOf(t reflect.Type, keyed bool) *Copier {
	if keyed && t.Kind() != reflect.String {
		return nil
	}
	return copierFor(t)
}

// A copierCompiler holds the copiers that are being made, so that recursive types end.
type copierCompiler map[reflect.Type]*Copier

func (cc copierCompiler) compile(t reflect.Type) *Copier {
	if c, ok := cc[t]; ok {
		return c
	}
	if t.Kind() == reflect.String {
		return &Copier{typ: t} // whatever its methods say
	}
	if IsPointer(t) && messages.Is(t.Elem()) && messages.Supported() != nil {
		return &Copier{typ: t, message: true}
	}
	if opaque(t) || refused(t) {
		return nil
	}
	c := &Copier{typ: t}
	cc[t] = c
	switch t.Kind() {
	case reflect.Struct:
		c.fields = cc.structFields(t)
		if c.fields == nil {
			c = nil
		}
	case reflect.Array:
		if c.elem = cc.compile(t.Elem()); c.elem == nil || t.Len() == 0 {
			c = nil
		}
	case reflect.Pointer, reflect.Slice:
		c.elem = cc.compile(t.Elem())
	case reflect.Map:
		c.key, c.elem = cc.compile(t.Key()), cc.compile(t.Elem())
	case reflect.Interface:
	default:
		c = nil
	}
	cc[t] = c
	return c
}

func (cc copierCompiler) structFields(t reflect.Type) (fields []copierField) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("memo") == "-" {
			continue
		}
		if c := cc.compile(f.Type); c != nil {
			fields = append(fields, copierField{f.Offset, c})
		}
	}
	return fields
}

// opaque reports whether values of t are handed on as they are.
func opaque(t reflect.Type) bool {
	base := t
	if IsPointer(t) {
		base = t.Elem()
	}
	switch {
	case hasIdentity(base) || IsPointer(t) && holdsLock(base):
		return true
	case t.Kind() == reflect.Interface:
		return false
	case Honours(base, keyerType):
		return true
	}
	return OwnPackage(base.PkgPath()) && goesByText(base) && !plainData(base)
}

// hasIdentity reports whether values of t mean something by where they are, or lead to
// what must not be copied: a [unique.Handle] and a [reflect.Type] are compared by
// address, as are two of the locations of package time, and a protobuf message leads
// to the description of its type.
func hasIdentity(t reflect.Type) bool {
	switch t.PkgPath() {
	case "unique", "internal/unique", "reflect", "internal/abi", "weak":
		return true
	case "time":
		return t.Name() == "Time" || t.Name() == "Location"
	}
	if t.Kind() == reflect.Interface {
		return false
	}
	_, isMessage := reflect.PointerTo(t).MethodByName("ProtoReflect")
	return isMessage
}

// holdsLock reports whether a value of t has a lock in it, in a field that is not part
// of the key. It may be locked while the value is copied.
func holdsLock(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return holdsLock(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsLock(t.Field(i).Type) {
				return true
			}
		}
	case reflect.Interface, reflect.Pointer, reflect.Func, reflect.Chan:
		return false
	}
	return refused(t)
}

// plainData reports whether values of t are numbers, strings, and slices and structs
// of those: a big.Int, a net.IP.
func plainData(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return plainData(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); refused(f.Type) || !plainData(f.Type) {
				return false
			}
		}
		return true
	case reflect.Pointer, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	}
	return true
}

// Own makes the value at p share nothing with what it was copied from.
func (c *Copier) Own(p unsafe.Pointer) {
	if c != nil {
		(&copying{}).own(c, p)
	}
}

// A copying is one copy of an argument.
type copying struct {
	made map[pointerTo]unsafe.Pointer // the copies, so that what is pointed to twice still is
}

type pointerTo struct {
	target unsafe.Pointer
	elem   reflect.Type
}

func (s *copying) own(c *Copier, p unsafe.Pointer) {
	switch c.typ.Kind() {
	case reflect.String:
		*(*string)(p) = strings.Clone(*(*string)(p))
	case reflect.Struct:
		for _, f := range c.fields {
			s.own(f.copier, unsafe.Add(p, f.offset))
		}
	case reflect.Array:
		s.elems(c, p, c.typ.Len())
	case reflect.Pointer:
		s.ownPointer(c, (*unsafe.Pointer)(p))
	case reflect.Slice:
		s.ownSlice(c, reflect.NewAt(c.typ, p).Elem())
	case reflect.Map:
		s.ownMap(c, reflect.NewAt(c.typ, p).Elem())
	case reflect.Interface:
		s.ownInterface(reflect.NewAt(c.typ, p).Elem())
	}
}

// elems makes the n elements at p own what they lead to.
func (s *copying) elems(c *Copier, p unsafe.Pointer, n int) {
	if c.elem == nil {
		return
	}
	for i := range n {
		s.own(c.elem, unsafe.Add(p, uintptr(i)*c.typ.Elem().Size()))
	}
}

func (s *copying) ownPointer(c *Copier, p *unsafe.Pointer) {
	if *p == nil {
		return
	}
	at := pointerTo{*p, c.typ.Elem()}
	if made, ok := s.made[at]; ok {
		*p = made
		return
	}
	target := c.copyOf(*p)
	if s.made == nil {
		s.made = map[pointerTo]unsafe.Pointer{}
	}
	*p = target.UnsafePointer()
	s.made[at] = *p
	if c.elem != nil {
		s.own(c.elem, *p)
	}
}

// copyOf returns a copy of what c's pointer leads to.
func (c *Copier) copyOf(p unsafe.Pointer) reflect.Value {
	value := reflect.NewAt(c.typ.Elem(), p)
	if c.message {
		return reflect.ValueOf(messages.Supported().Clone(value.Interface()))
	}
	target := reflect.New(c.typ.Elem())
	target.Elem().Set(value.Elem())
	return target
}

func (s *copying) ownSlice(c *Copier, v reflect.Value) {
	if v.IsNil() {
		return
	}
	made := reflect.MakeSlice(c.typ, v.Len(), v.Len())
	reflect.Copy(made, v)
	s.elems(c, made.UnsafePointer(), v.Len())
	v.Set(made)
}

func (s *copying) ownMap(c *Copier, v reflect.Value) {
	if v.IsNil() {
		return
	}
	made := reflect.MakeMapWithSize(c.typ, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, elem := reflect.New(c.typ.Key()), reflect.New(c.typ.Elem())
		key.Elem().SetIterKey(it)
		elem.Elem().SetIterValue(it)
		if c.key != nil {
			s.own(c.key, key.UnsafePointer())
		}
		if c.elem != nil {
			s.own(c.elem, elem.UnsafePointer())
		}
		made.SetMapIndex(key.Elem(), elem.Elem())
	}
	v.Set(made)
}

func (s *copying) ownInterface(v reflect.Value) {
	held := v.Elem()
	if !held.IsValid() {
		return
	}
	c := copierFor(held.Type())
	if c == nil {
		return
	}
	made := reflect.New(held.Type())
	made.Elem().Set(held)
	s.own(c, made.UnsafePointer())
	v.Set(made.Elem())
}
