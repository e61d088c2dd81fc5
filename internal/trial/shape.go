package trial

import (
	"reflect"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/messages"
)

var timeType = reflect.TypeFor[time.Time]()

// A shape says what can be met in values of a type, however deep.
type shape struct {
	interfaces bool // what they hold is only known with the value
	times      bool
	recursive  bool // so values may contain themselves
	fields     []field
}

// A field is one of a struct in which something can be met.
type field struct {
	index int
	name  string
	lost  bool // tagged memo:"-"
}

var shapes sync.Map // reflect.Type → shape

func shapeOf(t reflect.Type) shape {
	if s, ok := shapes.Load(t); ok {
		return s.(shape)
	}
	var s shape
	s.add(t, map[reflect.Type]bool{})
	if t.Kind() == reflect.Struct && !messages.Is(t) {
		for i := range t.NumField() {
			if f := t.Field(i); leads(f.Type) {
				s.fields = append(s.fields, field{i, f.Name, mayBeLost(f)})
			}
		}
	}
	shapes.Store(t, s)
	return s
}

// leads reports whether anything can be met in values of t.
func leads(t reflect.Type) bool {
	var s shape
	s.add(t, map[reflect.Type]bool{})
	return s.interfaces || s.times || s.recursive
}

// Contains reports whether t, or a type that can be met in values of t, is one
// of those.
func Contains(t reflect.Type, is func(reflect.Type) bool) bool {
	seen := map[reflect.Type]bool{}
	var in func(reflect.Type) bool
	in = func(t reflect.Type) bool {
		if seen[t] {
			return false
		}
		seen[t] = true
		if is(t) {
			return true
		}
		switch t.Kind() {
		case reflect.Map:
			return in(t.Key()) || in(t.Elem())
		case reflect.Pointer, reflect.Slice, reflect.Array:
			return in(t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				if in(t.Field(i).Type) {
					return true
				}
			}
		}
		return false
	}
	return in(t)
}

// add looks into t. seen is true for the types it is inside of, and false for
// those that have been left.
func (s *shape) add(t reflect.Type, seen map[reflect.Type]bool) {
	if inside, known := seen[t]; known {
		s.recursive = s.recursive || inside
		return
	}
	seen[t] = true
	defer func() { seen[t] = false }()
	switch t.Kind() {
	case reflect.Interface:
		s.interfaces = true
	case reflect.Map:
		s.add(t.Key(), seen)
		s.add(t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		s.add(t.Elem(), seen)
	case reflect.Struct:
		if t == timeType {
			s.times = true
			return
		}
		if messages.Is(t) {
			return
		}
		for i := range t.NumField() {
			s.add(t.Field(i).Type, seen)
		}
	}
}

// A part is a type that can be met in values of another, and where.
type part struct {
	typ    reflect.Type
	path   string
	exempt bool // in a field tagged memo:"-"
}

// partsOf lists the types in values of t, each where it is met first, the outer
// ones before those inside of them. It does not look into types that write
// themselves.
func (g *Guard) partsOf(t reflect.Type) []part {
	var parts []part
	type place struct {
		typ    reflect.Type
		exempt bool
	}
	seen := map[place]bool{}
	var add func(part)
	add = func(p part) {
		if at := (place{p.typ, p.exempt}); seen[at] {
			return
		} else {
			seen[at] = true
		}
		parts = append(parts, p)
		if isKnown(p.typ) || messages.Is(p.typ) || g.writesItself(p.typ) {
			return
		}
		switch p.typ.Kind() {
		case reflect.Map:
			add(part{p.typ.Key(), p.path + "[key]", p.exempt})
			add(part{p.typ.Elem(), p.path + "[]", p.exempt})
		case reflect.Slice, reflect.Array:
			add(part{p.typ.Elem(), p.path + "[]", p.exempt})
		case reflect.Pointer:
			add(part{p.typ.Elem(), p.path, p.exempt})
		case reflect.Struct:
			for i := range p.typ.NumField() {
				f := p.typ.Field(i)
				if f.Name != "_" {
					add(part{f.Type, join(p.path, f.Name), p.exempt || mayBeLost(f)})
				}
			}
		}
	}
	add(part{t, "", false})
	return parts
}

// endless reports whether t is a pointer to itself, as in type T *T.
func endless(t reflect.Type) bool {
	seen := map[reflect.Type]bool{}
	for t.Kind() == reflect.Pointer {
		if seen[t] {
			return true
		}
		seen[t] = true
		t = t.Elem()
	}
	return false
}

// mayBeLost reports whether the field's owner gave it up.
func mayBeLost(f reflect.StructField) bool { return f.Tag.Get("memo") == "-" }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
