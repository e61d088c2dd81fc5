package trial

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/messages"
)

// A maker makes sample values. It fills every field, unexported ones too, for
// the loss of a zero goes unseen. What it makes is the same every time.
type maker struct {
	own    map[reflect.Type][]reflect.Value // good values of types that write themselves
	vary   reflect.Type                     // this type is set by
	by     variant                          // that, wherever it occurs
	made   int
	small  bool // numbers are 1: in types that write themselves most others mean nothing
	spent  bool // the type has more parts than are filled
	inside map[reflect.Type]int
}

// sample returns a pointer to a filled value of t.
func (m *maker) sample(t reflect.Type) reflect.Value {
	m.made, m.inside = 0, map[reflect.Type]int{}
	p := reflect.New(t)
	m.fill(p.Elem())
	return p
}

// fill sets v, which is zero.
func (m *maker) fill(v reflect.Value) {
	t := v.Type()
	if m.made++; m.made > maxParts || m.inside[t] > 1 {
		m.spent = m.spent || m.made > maxParts
		return
	}
	m.inside[t]++
	defer func() { m.inside[t]-- }()
	good, own := m.own[t]
	switch {
	case t == m.vary:
		m.by.set(v)
	case knownTypes()[t] != nil:
		knownTypes()[t][0].set(v)
	case messages.Is(t):
		if s := messages.Supported(); s != nil {
			s.Fill(v.Addr().Interface())
		}
	case isIP(t):
		addresses[0].set(v)
	case own && len(good) == 0: // no value of it is known to be good
	case own:
		v.Set(good[0])
	default:
		m.kind(v)
	}
}

// kind fills v by its kind. Numbers and strings differ from place to place, so
// that one which comes back in another's place is seen.
func (m *maker) kind(v reflect.Value) {
	t, n := v.Type(), m.made%100+1
	if m.small {
		n = 1
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(uint64(n))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(n) + 0.5)
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(float64(n), 0.5))
	case reflect.String:
		v.SetString(fmt.Sprintf("text%d", n))
	case reflect.Interface:
		if t.NumMethod() == 0 {
			v.Set(reflect.ValueOf(fmt.Sprintf("text%d", n)))
		}
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		m.fill(p.Elem())
		v.Set(p.Convert(t))
	case reflect.Slice:
		if v.Set(reflect.MakeSlice(t, 0, 0)); !m.fills(t.Elem()) {
			return
		}
		v.Set(reflect.MakeSlice(t, 2, 2))
		m.fill(v.Index(0))
		m.fill(v.Index(1))
	case reflect.Array:
		for i := range min(v.Len(), 16) {
			m.fill(v.Index(i))
		}
	case reflect.Map:
		m.mapping(v)
	case reflect.Struct:
		m.fields(v)
	case reflect.Chan:
		if t.ChanDir() == reflect.BothDir {
			v.Set(reflect.MakeChan(t, 1))
		}
	case reflect.Func:
		v.Set(reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value { panic("memo: a function made up to try a codec") }))
	case reflect.UnsafePointer:
		v.SetPointer(unsafe.Pointer(new(int)))
	}
}

func (m *maker) mapping(v reflect.Value) {
	t := v.Type()
	v.Set(reflect.MakeMap(t))
	if !m.fills(t.Key()) || !m.fills(t.Elem()) {
		return
	}
	for range 2 {
		key, elem := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		m.fill(key)
		m.fill(elem)
		if !key.Comparable() {
			return
		}
		v.SetMapIndex(key, elem)
		if !key.Equal(key) {
			return // of several NaN, none can be told from the others
		}
	}
}

// fills reports whether fill would set a t here. Where a recursive type ends, a slice or a
// map of it is empty: nil among its elements would be a sample of something else.
func (m *maker) fills(t reflect.Type) bool {
	for ; t.Kind() == reflect.Pointer && m.inside[t] <= 1; t = t.Elem() {
	}
	return hasValues(t) && m.inside[t] <= 1
}

// hasValues reports whether a value of t can be made up: of an interface with
// methods none can.
func hasValues(t reflect.Type) bool { return t.Kind() != reflect.Interface || t.NumMethod() == 0 }

func (m *maker) fields(v reflect.Value) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name != "_" && !mayBeLost(f) {
			m.fill(settable(v.Field(i)))
		}
	}
}

// settable returns v as if it were exported. Only values that can be addressed
// are passed here.
func settable(v reflect.Value) reflect.Value {
	if v.CanSet() || !v.CanAddr() {
		return v
	}
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

// variants returns how values of t are varied, one after the other.
func (m *maker) variants(t reflect.Type) []variant {
	if vs := knownTypes()[t]; vs != nil {
		return vs[1:]
	}
	if isIP(t) {
		return addresses[1:]
	}
	if good, own := m.own[t]; own {
		var vs []variant
		for _, g := range good {
			vs = append(vs, variant{set: func(v reflect.Value) { v.Set(g) }})
		}
		return vs
	}
	return awkward(t.Kind())
}
