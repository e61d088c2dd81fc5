package trial

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"
)

// A walk looks through one value for what its type does not tell: what is
// behind interfaces, times if the codec has a rule for them, and whether the
// value contains itself. It visits no other parts.
type walk struct {
	guard   *Guard
	open    bool // what was met is to be read back
	untried bool // what is in interfaces is not tried: this is a trial itself
	exempt  int  // inside how many fields tagged memo:"-"
	path    []step
}

var walks = sync.Pool{New: func() any { return new(walk) }}

// look walks through v, if there is something to look for.
func (g *Guard) look(v reflect.Value, held bool) (open bool, err error) {
	if !g.questions(v.Type()) {
		return false, nil
	}
	w := walks.Get().(*walk)
	w.guard, w.untried = g, !held
	err = w.value(v)
	open = w.open
	clear(w.path[:cap(w.path)]) // it holds keys of the value
	*w = walk{path: w.path[:0]}
	walks.Put(w)
	return open, err
}

// questions reports whether values of t leave a question open.
func (g *Guard) questions(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface, reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		s := shapeOf(t)
		return s.interfaces || s.recursive || s.times && g.rules.Time != nil
	}
	return false
}

// A step is one part of the path to a value: a field's name, an index, or
// a key. Kept apart, because the path is only spelled out for an error.
type step struct {
	name string
	at   int
	key  reflect.Value
}

func (w *walk) push(s step) { w.path = append(w.path, s) }
func (w *walk) pop()        { w.path = w.path[:len(w.path)-1] }

func (w *walk) where() string {
	var b []byte
	for _, s := range w.path {
		switch {
		case s.name == "*":
		case s.name != "":
			if len(b) > 0 {
				b = append(b, '.')
			}
			b = append(b, s.name...)
		case s.key.IsValid():
			b = fmt.Appendf(b, "[%s]", show(s.key))
		default:
			b = append(strconv.AppendInt(append(b, '['), int64(s.at), 10), ']')
		}
	}
	return shorten(string(b))
}

func shorten(path string) string {
	if len(path) > 80 {
		return path[:77] + "..."
	}
	return path
}

func (w *walk) stop(why string) error { return valueError(w.guard.Name(), w.where(), why) }

// valueError is the error for a value that is not written.
func valueError(codec, path, why string) error {
	if path != "" {
		return fmt.Errorf("memo: codec: %s: value at %s %s", codec, path, why)
	}
	return errors.New("memo: codec: " + codec + ": value " + why)
}

func (w *walk) value(v reflect.Value) error {
	if !w.guard.questions(v.Type()) {
		return nil
	}
	if len(w.path) > maxDepth {
		w.path = w.path[:8]
		return w.stop(fmt.Sprintf("is nested more than %d levels deep, or contains itself; %s writes trees", maxDepth, w.guard.Name()))
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return w.held(v.Elem(), v.Type())
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		w.push(step{name: "*"})
		if err := w.value(v.Elem()); err != nil {
			return err
		}
		w.pop()
		return nil
	case reflect.Map:
		return w.entries(v)
	case reflect.Struct:
		if v.Type() == timeType {
			return w.time(v)
		}
		if w.guard.writesItself(v.Type()) {
			return nil
		}
		return w.fields(v)
	}
	return w.elements(v)
}

func (w *walk) time(v reflect.Value) error {
	if w.exempt > 0 || w.guard.rules.Time == nil || !v.CanInterface() {
		return nil
	}
	if why := w.guard.rules.Time(v.Interface().(time.Time)); why != "" {
		return w.stop(why)
	}
	return nil
}

func (w *walk) fields(v reflect.Value) error {
	for _, f := range shapeOf(v.Type()).fields {
		if f.lost {
			w.exempt++
		}
		w.push(step{name: f.name})
		if err := w.value(v.Field(f.index)); err != nil {
			return err
		}
		w.pop()
		if f.lost {
			w.exempt--
		}
	}
	return nil
}

func (w *walk) elements(v reflect.Value) error {
	if !w.guard.questions(v.Type().Elem()) {
		return nil
	}
	for i := range v.Len() {
		w.push(step{at: i})
		if err := w.value(v.Index(i)); err != nil {
			return err
		}
		w.pop()
	}
	return nil
}

func (w *walk) entries(v reflect.Value) error {
	for iter := v.MapRange(); iter.Next(); {
		w.push(step{key: iter.Key()})
		if err := w.value(iter.Key()); err != nil {
			return err
		}
		if err := w.value(iter.Value()); err != nil {
			return err
		}
		w.pop()
	}
	return nil
}

// held looks at the value in an interface of type in.
func (w *walk) held(v reflect.Value, in reflect.Type) error {
	if w.exempt == 0 && !w.untried {
		if isNil(v) {
			// Nil of a type seldom comes back as that, and nothing is behind it.
			w.open = true
			return nil
		}
		verdict := w.guard.heldVerdict(v.Type(), in)
		if verdict.err != nil {
			return w.stop(fmt.Sprintf("holds %s in an interface, which %s", v.Type(), inside(verdict.err)))
		}
		w.open = w.open || verdict.open
	}
	return w.value(v)
}

// inside words a refusal as one of a value in an interface.
func inside(err error) string {
	var r *Refusal
	if !errors.As(err, &r) {
		return "is refused: " + err.Error()
	}
	if r.Path == "" {
		return r.Why
	}
	return "is refused: " + r.Error()
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return v.IsNil()
	}
	return false
}
