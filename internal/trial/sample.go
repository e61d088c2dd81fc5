package trial

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/messages"
)

// A maker makes sample values. It fills every field, unexported ones too, for
// the loss of a zero goes unseen. What it makes is the same every time.
type maker struct {
	guard  *Guard
	own    map[reflect.Type][]value // good values of types that write themselves
	vary   reflect.Type             // this type is set to
	by     value                    // that, wherever it occurs
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

// values returns what t is set to where it is not made up.
func (m *maker) values(t reflect.Type) (vs []value, ok bool) {
	if s := m.guard.shape(t); s.known {
		return s.values, true
	}
	vs, ok = m.own[t]
	return vs, ok
}

// variants returns how values of t are varied, one after the other.
func (m *maker) variants(t reflect.Type) []value {
	if vs, ok := m.values(t); ok {
		return vs[min(1, len(vs)):]
	}
	return awkward(t)
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
	vs, ok := m.values(t)
	switch s := messages.Supported(); {
	case t == m.vary:
		v.Set(m.by.Value)
	case len(vs) > 0:
		v.Set(vs[0].Value)
	case messages.Is(t) && s != nil:
		s.Fill(v.Addr().Interface())
	case !ok:
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
	switch k := v.Kind(); k {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(float64(n), 0.5))
	case reflect.String, reflect.Interface:
		if hasValues(t) {
			v.Set(reflect.ValueOf(fmt.Sprintf("text%d", n)).Convert(t))
		}
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		m.fill(p.Elem())
		v.Set(p.Convert(t))
	case reflect.Slice:
		n := 0
		if m.fills(t.Elem()) {
			n = 2
		}
		v.Set(reflect.MakeSlice(t, n, n))
		for i := range n {
			m.fill(v.Index(i))
		}
	case reflect.Array:
		for i := range min(v.Len(), 16) {
			m.fill(v.Index(i))
		}
	case reflect.Map:
		m.entries(v)
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
	default:
		if k <= reflect.Float64 {
			v.Set(reflect.ValueOf(float64(n) + 0.5).Convert(t))
		}
	}
}

func (m *maker) entries(v reflect.Value) {
	t := v.Type()
	v.Set(reflect.MakeMap(t))
	for range 2 {
		if !m.fills(t.Key()) || !m.fills(t.Elem()) {
			return
		}
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
	for f, at := range v.Fields() {
		if f.Name != "_" && !mayBeLost(f) {
			m.fill(settable(at))
		}
	}
}

// settable returns v, which can be addressed, as if it were exported.
func settable(v reflect.Value) reflect.Value {
	if v.CanSet() {
		return v
	}
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

// states returns values of a type that writes itself, the zero value first.
// Many are not possible values of the type: its methods refuse those. Numbers
// are small, because methods count up to them and allocate by them.
func (g *Guard) states(t reflect.Type) []reflect.Value {
	states := []reflect.Value{reflect.Zero(t)}
	switch k := t.Kind(); {
	case reflect.Int <= k && k <= reflect.Float64:
		for n := range 17 {
			states = append(states, reflect.ValueOf(n+1).Convert(t))
		}
	case k == reflect.String:
		for _, s := range texts {
			states = append(states, reflect.ValueOf(s).Convert(t))
		}
	default:
		add := func(made int) (*maker, reflect.Value) {
			v := reflect.New(t).Elem()
			states = append(states, v)
			return &maker{guard: g, small: true, made: made, inside: map[reflect.Type]int{t: 1}}, v
		}
		m, v := add(0)
		m.kind(v)
		// Each field alone, and with a flag: a type such as sql.NullString holds a
		// value only if its flag is set.
		for i := 0; k == reflect.Struct && i < t.NumField(); i++ {
			for flag := range t.NumField() {
				if len(states) <= maxStates && (flag == i || t.Field(flag).Type.Kind() == reflect.Bool) {
					m, v := add(i)
					if flag != i {
						settable(v.Field(flag)).SetBool(true)
					}
					m.fill(settable(v.Field(i)))
				}
			}
		}
	}
	return append(states, readStates(t)...)
}

// readStates returns what the type's own methods make of some texts.
func readStates(t reflect.Type) (states []reflect.Value) {
	for _, text := range texts {
		for _, read := range []func(any) error{
			func(v any) error { return v.(encoding.TextUnmarshaler).UnmarshalText([]byte(text)) },
			func(v any) error { return v.(json.Unmarshaler).UnmarshalJSON([]byte(text)) },
		} {
			v, done := reflect.New(t), false
			if inTime(func() {
				defer func() { _ = recover() }() // of a type without the method, too
				done = read(v.Interface()) == nil
			}) && done && len(states) < maxStates {
				states = append(states, v.Elem())
			}
		}
	}
	return states
}
