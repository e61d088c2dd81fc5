package codec

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// A walk looks through one value for what its codec would change in silence.
// It visits only the parts whose type left a question open.
type walk struct {
	*dialect
	look   watch // what to look for; the rest of the value is skipped
	exempt int   // inside how many fields tagged memo:"-"
	path   []step
}

var walks = sync.Pool{New: func() any { return new(walk) }}

// search walks through a value of the planned type, looking for look.
func (d *dialect) search(p *plan, v reflect.Value, look watch) error {
	if p.root.below&look == 0 {
		return nil
	}
	w := walks.Get().(*walk)
	w.dialect, w.look = d, look
	err := w.value(p.root, v, false)
	clear(w.path[:cap(w.path)]) // it holds keys of the value
	*w = walk{path: w.path[:0]}
	walks.Put(w)
	return err
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
		case s.key.IsValid() && s.key.Kind() == reflect.String:
			b = append(strconv.AppendQuote(append(b, '['), s.key.String()), ']')
		case s.key.IsValid():
			b = fmt.Appendf(b, "[%v]", s.key)
		default:
			b = append(strconv.AppendInt(append(b, '['), int64(s.at), 10), ']')
		}
	}
	if len(b) > 80 {
		b = append(b[:77], "..."...)
	}
	return string(b)
}

// refuse makes the error for the value at the current path, unless the
// value's owner said that it may be lost.
func (w *walk) refuse(why string) error {
	if why == "" || w.exempt > 0 {
		return nil
	}
	return w.stop(why)
}

func (w *walk) stop(why string) error {
	if at := w.where(); at != "" {
		return fmt.Errorf("memo: codec: %s: value at %s %s", w.name, at, why)
	}
	return errors.New("memo: codec: " + w.name + ": value " + why)
}

func (w *walk) value(n *node, v reflect.Value, field bool) error {
	if n.below&w.look == 0 {
		return nil
	}
	if len(w.path) > maxDepth {
		w.path = w.path[:8]
		return w.stop(fmt.Sprintf("is nested more than %d levels deep, or contains itself; %s writes trees", maxDepth, w.name))
	}
	switch {
	case n.self:
		return w.itself(n, v)
	case n.kind == reflect.String:
		return w.text(n, v)
	}
	switch n.kind {
	case reflect.Struct:
		return w.fields(n, v)
	case reflect.Slice, reflect.Array:
		return w.elements(n, v)
	case reflect.Map:
		return w.entries(n, v)
	case reflect.Pointer:
		return w.pointer(n, v, field)
	case reflect.Interface:
		return w.dynamic(v)
	}
	return nil
}

func (w *walk) itself(n *node, v reflect.Value) error {
	if n.typ != timeType || w.look&watchTime == 0 || w.instant == nil {
		return nil
	}
	return w.refuse(w.instant(v.Interface().(time.Time)))
}

func (w *walk) text(n *node, v reflect.Value) error {
	if w.look&watchString != 0 && !utf8.ValidString(v.String()) {
		return w.refuse("is a string that is not valid UTF-8, which " + w.name + " would change; use []byte or another codec")
	}
	if n.typ == numberType && w.look&watchNumber != 0 && v.Len() == 0 {
		return w.refuse("is an empty json.Number, which would come back as 0")
	}
	if n.here&w.look&watchKey != 0 {
		read := reflect.New(n.typ)
		err := read.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(v.String()))
		if err != nil || read.Elem().String() != v.String() {
			return w.refuse("has a key that UnmarshalText, by which " + w.name + " reads it, does not read as it is written; use string for the key or another codec")
		}
	}
	return nil
}

func (w *walk) fields(n *node, v reflect.Value) error {
	for i := range n.fields {
		f := &n.fields[i]
		if f.node.below&w.look == 0 {
			continue
		}
		fv, ok := fieldAt(v, f.index)
		if !ok {
			continue
		}
		if f.exempt {
			w.exempt++
		}
		w.push(step{name: f.path})
		err := w.value(f.node, fv, true)
		if err != nil {
			return err
		}
		w.pop()
		if f.exempt {
			w.exempt--
		}
	}
	return nil
}

// fieldAt is FieldByIndex without the panic: not ok behind a nil embedded
// pointer, where there is nothing to lose.
func fieldAt(v reflect.Value, index []int) (reflect.Value, bool) {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, true
}

func (w *walk) elements(n *node, v reflect.Value) error {
	if n.elem.below&w.look == 0 {
		return nil
	}
	for i := range v.Len() {
		w.push(step{at: i})
		if err := w.value(n.elem, v.Index(i), false); err != nil {
			return err
		}
		w.pop()
	}
	return nil
}

func (w *walk) entries(n *node, v reflect.Value) error {
	iter := v.MapRange()
	for iter.Next() {
		w.push(step{key: iter.Key()})
		if n.key != nil {
			if err := w.value(n.key, iter.Key(), false); err != nil {
				return err
			}
		}
		if err := w.value(n.elem, iter.Value(), false); err != nil {
			return err
		}
		w.pop()
	}
	return nil
}

func (w *walk) pointer(n *node, v reflect.Value, field bool) error {
	if v.IsNil() {
		if w.look&watchPointer != 0 && w.absent != nil && !field {
			return w.refuse(w.absent(n))
		}
		return nil
	}
	if w.look&watchPointer != 0 {
		if err := w.refuse(w.pointee(n, v, field)); err != nil {
			return err
		}
	}
	w.push(step{name: "*"})
	if err := w.value(n.elem, v.Elem(), false); err != nil {
		return err
	}
	w.pop()
	return nil
}

func (w *walk) dynamic(v reflect.Value) error {
	if v.IsNil() {
		return nil
	}
	return w.inside(w, v.Elem())
}

// nilPointee is the pointee rule of codecs that write a nil pointer and a
// pointer to nil alike.
func nilPointee(n *node, v reflect.Value, _ bool) string {
	if n.elem.self {
		return ""
	}
	switch n.elem.kind {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		if v.Elem().IsNil() {
			return fmt.Sprintf("is a pointer to a nil %s, which would come back as a nil pointer", n.elem.typ)
		}
	}
	return ""
}
