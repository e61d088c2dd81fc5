package trial

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-0226adef/memo/internal/messages"
)

// A differ compares a value with what came back of it.
//
//   - Nil and empty are the same for slices and maps that are part of a value,
//     as are zero and negative zero, and all NaN.
//   - A struct without exported fields that has an Equal method is what that
//     says: times are the same instant.
//   - Fields tagged memo:"-" are passed over.
//   - In a type that writes itself, made-up values need not be possible ones.
//     There only what never comes back is lost: see evidence.
type differ struct {
	guard    *Guard
	evidence *evidence // nil compares everything exactly
	part     bool      // what is compared is part of a value
	hid      bool      // it is an unexported field
	inside   int       // of how many types that write themselves, if there is evidence
	seen     map[[2]uintptr]bool
}

// evidence collects, over many samples, what came back of types that write
// themselves.
type evidence struct {
	kept map[string]bool // whether it came back at least once, by path
	lost []*Refusal      // what came back as zero before it did
	open bool            // something came back as zero
}

func (d *differ) compare(a, b reflect.Value, path string) *Refusal {
	a, b = settable(a), settable(b)
	outermost := !d.part
	d.part = true
	switch k := a.Kind(); k {
	case reflect.Struct, reflect.Slice, reflect.Map, reflect.Array:
		s := d.guard.shape(a.Type())
		if s.self && d.evidence != nil {
			d.inside++
			defer func() { d.inside-- }()
		}
		same, ok := s.equals(a, b)
		switch {
		case ok && same:
			if d.inside > 0 { // all that is in it came back
				d.kinds(a, a, path)
				return d.leaf(a, b, path, true)
			}
			return nil
		case ok && d.inside == 0:
			return d.differs(a, b, path)
		case s.known && k == reflect.Struct:
			return d.known(a, b, path)
		case outermost && (k == reflect.Slice || k == reflect.Map) && a.IsNil() != b.IsNil():
			return d.leaf(a, b, path, false)
		}
	}
	return d.kinds(a, b, path)
}

func (d *differ) kinds(a, b reflect.Value, path string) *Refusal {
	same := false
	switch a.Kind() {
	case reflect.Struct:
		return d.fields(a, b, path)
	case reflect.Slice, reflect.Array:
		if a.Len() == b.Len() {
			return d.elements(a, b, path)
		}
	case reflect.Map:
		if a.Len() == b.Len() {
			return d.entries(a, b, path)
		}
	case reflect.Pointer, reflect.Interface:
		if !a.IsNil() && !b.IsNil() {
			return d.behind(a, b, path)
		}
		same = a.IsNil() && b.IsNil()
	case reflect.Float32, reflect.Float64:
		same = sameFloat(a.Float(), b.Float())
	case reflect.Complex64, reflect.Complex128:
		x, y := a.Complex(), b.Complex()
		same = sameFloat(real(x), real(y)) && sameFloat(imag(x), imag(y))
	case reflect.Func:
		same = a.Pointer() == b.Pointer()
	default:
		same = a.Equal(b)
	}
	return d.leaf(a, b, path, same)
}

func sameFloat(a, b float64) bool { return a == b || a != a && b != b }

// leaf returns the difference between a and b, or takes it for evidence.
func (d *differ) leaf(a, b reflect.Value, path string, same bool) *Refusal {
	switch e := d.evidence; {
	case d.inside == 0 && !same:
		return d.differs(a, b, path)
	case d.inside == 0:
	case !b.IsZero():
		e.kept[path] = true
	case !same:
		e.open = true
		if _, known := e.kept[path]; !known {
			e.kept[path] = false
			e.lost = append(e.lost, d.differs(a, b, path))
		}
	}
	return nil
}

func (d *differ) fields(a, b reflect.Value, path string) *Refusal {
	for f, x := range a.Fields() {
		y := b.Field(f.Index[0])
		if f.Name == "_" || mayBeLost(f) || omitted(f, x, y) {
			continue
		}
		d.hid = !f.IsExported()
		if r := d.compare(x, y, join(path, f.Name)); r != nil {
			return r
		}
	}
	return nil
}

// omitted reports whether the field was left out because its owner said so:
// omitzero asks the value's own IsZero.
func omitted(f reflect.StructField, a, b reflect.Value) bool {
	if !b.IsZero() || isNil(a) || !strings.Contains(string(f.Tag), ",omit") {
		return false
	}
	z, ok := settable(a).Interface().(interface{ IsZero() bool })
	return ok && z.IsZero()
}

// known compares values of a type of the standard library, whose fields mean
// nothing to its users, or two messages: the difference is one of the value.
func (d *differ) known(a, b reflect.Value, path string) *Refusal {
	x, y := a.Addr().Interface(), b.Addr().Interface()
	if messages.Is(a.Type()) {
		s := messages.Supported()
		return d.leaf(a, b, path, s == nil || s.Equal(x, y))
	}
	if x, ok := x.(*big.Rat); ok && x.Cmp(y.(*big.Rat)) == 0 {
		return nil // a number has several forms
	}
	inner := differ{guard: d.guard, part: true}
	r := inner.fields(a, b, "")
	if r == nil || d.inside > 0 {
		return d.leaf(a, b, path, r == nil)
	}
	return d.refuse(a, path, fmt.Sprintf("%v (%s %s)", x, r.Path, r.was), fmt.Sprintf("%v (%s %s)", y, r.Path, r.got), false)
}

func (d *differ) behind(a, b reflect.Value, path string) *Refusal {
	if a.Kind() == reflect.Interface {
		x, y := a.Elem(), b.Elem()
		if x.Type() != y.Type() {
			r := d.refuse(a, path, typeName(x), typeName(y), false)
			r.Why = "would come back as " + r.got + "; use a concrete type or another codec"
			return r
		}
		return d.compare(addressable(x), addressable(y), path)
	}
	at := [2]uintptr{a.Pointer(), b.Pointer()}
	if d.seen[at] {
		return nil
	}
	if d.seen == nil {
		d.seen = map[[2]uintptr]bool{}
	}
	d.seen[at] = true
	d.leaf(a, b, path, true)
	return d.compare(a.Elem(), b.Elem(), path)
}

// addressable returns a copy of v that can be addressed, and so looked into.
func addressable(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// elements compares element by element. In samples each of them stands for all, so
// no path has an index.
func (d *differ) elements(a, b reflect.Value, path string) *Refusal {
	at := path + "[]"
	d.leaf(a, b, path, true)
	for i := range a.Len() {
		if r := d.compare(a.Index(i), b.Index(i), at); r != nil {
			return d.index(r, at, fmt.Sprint(i))
		}
	}
	return nil
}

// entries compares entry by entry: of samples in an order that is the same every
// time, so that the difference found first is.
func (d *differ) entries(a, b reflect.Value, path string) *Refusal {
	keys := a.MapKeys()
	if d.evidence != nil {
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(show(a), show(b)) })
	}
	at := path + "[]"
	d.leaf(a, b, path, true)
	for _, key := range keys {
		want, got := d.entry(a, key), d.entry(b, key)
		if !got.IsValid() && d.inside > 0 {
			return d.leaf(a, b, path, false)
		} else if !got.IsValid() {
			return d.index(d.refuse(key, at, "the key "+show(key), "another", false), at, show(key))
		}
		if r := d.compare(addressable(want), addressable(got), at); r != nil {
			return d.index(r, at, show(key))
		}
	}
	return nil
}

// index returns r, whose path begins with at, which ends in [], with an index in
// the brackets unless it is of a sample.
func (d *differ) index(r *Refusal, at, index string) *Refusal {
	if d.evidence == nil {
		r.Path = at[:len(at)-1] + index + "]" + r.Path[len(at):]
	}
	return r
}

// entry returns the value under key, or under one that is the same without
// being identical, as times are.
func (d *differ) entry(m, key reflect.Value) reflect.Value {
	got, k := m.MapIndex(key), key.Kind()
	if got.IsValid() || k <= reflect.Uintptr || k == reflect.String || k == reflect.Pointer {
		return got
	}
	for iter := m.MapRange(); iter.Next(); {
		if exact := (differ{guard: d.guard}); exact.compare(addressable(key), addressable(iter.Key()), "") == nil {
			return iter.Value()
		}
	}
	return got
}

func (d *differ) differs(a, b reflect.Value, path string) *Refusal {
	return d.refuse(a, path, show(a), show(b), b.IsZero())
}

// refuse words the difference between a and what came back, which is zero if
// lost is true. The error of a value that a program holds ends up in logs, and
// so tells nothing of the value.
func (d *differ) refuse(a reflect.Value, path, was, got string, lost bool) *Refusal {
	r := &Refusal{Path: path, was: was, got: got}
	if d.evidence != nil {
		r.Type = a.Type()
	} else {
		if was, got = "a "+a.Type().String(), "another"; a.Kind() == reflect.Interface {
			was = "what is in an interface"
		}
		if lost {
			got = "zero or nil"
		}
	}
	change := was + " comes back as " + got + `; tag it memo:"-" if it may change, or use another type or codec`
	if path == "" {
		change = was + " comes back as " + got + "; use another type or codec"
	}
	switch {
	case a.Kind() == reflect.String && !utf8.ValidString(a.String()):
		r.Why = "is a string that is not valid UTF-8, which " + d.guard.Name() + " would change; use []byte or another codec"
	case lost && d.hid && d.inside == 0:
		r.Why = `is unexported, and ` + d.guard.Name() + ` does not write it; export it, tag it memo:"-" or use another codec`
	case lost:
		r.Why = "is lost: " + change
	default:
		r.Why = "would change: " + change
	}
	return r
}

// equalMethod returns Equal(T) bool of a T that is a struct and shows nothing of
// itself. Types that are all there to be seen are compared by what is seen:
// net.IP calls addresses of four and of 16 bytes equal.
func equalMethod(t reflect.Type) reflect.Value {
	m, ok := t.MethodByName("Equal")
	if !ok || t.Kind() != reflect.Struct || t.NumField() == 0 ||
		m.Type != reflect.FuncOf([]reflect.Type{t, t}, []reflect.Type{reflect.TypeFor[bool]()}, false) {
		return reflect.Value{}
	}
	for f := range t.Fields() {
		if f.IsExported() {
			return reflect.Value{}
		}
	}
	return m.Func
}

// equals asks the type's own Equal, if there is one to be asked.
func (s *shape) equals(a, b reflect.Value) (same, ok bool) {
	if !s.equal.IsValid() {
		return false, false
	}
	defer func() {
		if recover() != nil {
			same, ok = false, false
		}
	}()
	return s.equal.Call([]reflect.Value{a, b})[0].Bool(), true
}

func typeName(v reflect.Value) string {
	return strings.ReplaceAll(v.Type().String(), "interface {}", "any")
}

// show writes a value short enough for a sentence.
func show(v reflect.Value) string {
	switch k := v.Kind(); {
	case isNil(v) || k == reflect.Interface && v.IsNil():
		return "nil"
	case k == reflect.Pointer:
		return "a pointer to " + show(v.Elem())
	case k == reflect.Interface && isNil(v.Elem()):
		return "a nil " + typeName(v.Elem()) + " in an interface"
	case k == reflect.Interface:
		return "a " + typeName(v.Elem()) + " in an interface"
	case k == reflect.Func || k == reflect.Chan:
		return "a " + typeName(v)
	case k == reflect.String:
		return cut(fmt.Sprintf("%q", v.String()), 60)
	case k == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return cut(fmt.Sprintf("%q", v.Bytes()), 60)
	}
	return cut(fmt.Sprintf("%v", v), 60)
}
