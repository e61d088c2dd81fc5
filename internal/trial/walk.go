package trial

import (
	"fmt"
	"reflect"
	"time"
)

// A walk looks through one value for what its type does not tell: what is
// behind interfaces, times if the codec has a rule for them, and whether the
// value contains itself. It visits no other parts.
type walk struct {
	guard *Guard
	try   bool // what is in interfaces is tried; a trial itself does not
	open  bool // what was met is to be read back
}

// value walks through v, which is at some depth, and perhaps in a field tagged
// memo:"-": of that only the depth counts.
func (w *walk) value(v reflect.Value, depth int, lost bool) *Refusal {
	if k := v.Kind(); k < reflect.Array || k == reflect.String {
		return nil
	}
	s := w.guard.shape(v.Type())
	if !s.asks {
		return nil
	}
	if depth > maxDepth {
		return &Refusal{Why: fmt.Sprintf("is nested more than %d levels deep, or contains itself; %s writes trees", maxDepth, w.guard.Name())}
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if v.Kind() == reflect.Pointer {
			return w.value(v.Elem(), depth+1, lost)
		}
		if r := w.held(v.Elem(), v.Type(), lost); r != nil {
			return r
		}
		return w.value(v.Elem(), depth, lost)
	case reflect.Struct:
		if v.Type() == timeType {
			return w.time(v, lost)
		}
		for i, f := range s.within {
			if s.known || s.self {
				break
			}
			if r := w.value(v.Field(i), depth+1, lost || f.lost); r != nil {
				return r.in(f.path)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if r := w.value(v.Index(i), depth+1, lost); r != nil {
				return r.in(fmt.Sprintf("[%d]", i))
			}
		}
	case reflect.Map:
		for iter := v.MapRange(); iter.Next(); {
			r := w.value(iter.Key(), depth+1, lost)
			if r == nil {
				r = w.value(iter.Value(), depth+1, lost)
			}
			if r != nil {
				return r.in("[" + show(iter.Key()) + "]")
			}
		}
	}
	return nil
}

// in returns r as a refusal of what has its value at the place.
func (r *Refusal) in(place string) *Refusal {
	r.Path = cut(join(place, r.Path), 100)
	return r
}

func (w *walk) time(v reflect.Value, lost bool) *Refusal {
	if rule := w.guard.rules.Time; rule != nil && !lost && v.CanInterface() {
		if why := rule(v.Interface().(time.Time)); why != "" {
			return &Refusal{Why: why}
		}
	}
	return nil
}

// held looks at the value in an interface of type in.
func (w *walk) held(v reflect.Value, in reflect.Type, lost bool) *Refusal {
	if lost || !w.try {
		return nil
	}
	if isNil(v) {
		// Nil of a type seldom comes back as that, and nothing is behind it.
		w.open = true
		return nil
	}
	verdict := w.guard.verdict(v.Type(), in)
	w.open = w.open || verdict.open
	r := verdict.refusal
	if r == nil {
		return nil
	}
	why := r.Why
	if r.Path != "" {
		why = "is refused: " + r.Error()
	}
	return &Refusal{Why: fmt.Sprintf("holds %s in an interface, which %s", v.Type(), why)}
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return v.IsNil()
	}
	return false
}
