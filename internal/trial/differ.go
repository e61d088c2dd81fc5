package trial

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed-0226adef/memo/internal/messages"
)

// A difference is where and how a value came back changed.
type difference struct {
	path string
	typ  reflect.Type
	was  string
	got  string
	kind differenceKind
}

type differenceKind uint8

const (
	changed differenceKind = iota
	lost                   // what came back is zero
	hidden                 // the same, and the field is unexported
	retyped                // an interface holds another type
	garbled                // a string that is not valid UTF-8
)

// why words the difference of a sample, with what became of what.
func (d *difference) why(codec string) string {
	return d.words(codec, d.was+" comes back as "+d.got)
}

// error is the difference of a value that a program holds. It ends up in logs,
// and so tells nothing of the value.
func (d *difference) error(codec string) error {
	change := "a " + d.typ.String()
	if d.typ.Kind() == reflect.Interface {
		change = "what is in an interface"
	}
	if d.kind == lost {
		change += " comes back as zero or nil"
	} else {
		change += " comes back as another"
	}
	return valueError(codec, shorten(d.path), d.words(codec, change))
}

func (d *difference) words(codec, change string) string {
	switch d.kind {
	case hidden:
		return `is unexported, and ` + codec + ` does not write it; export it, tag it memo:"-" or use another codec`
	case garbled:
		return "is a string that is not valid UTF-8, which " + codec + " would change; use []byte or another codec"
	case retyped:
		return "would come back as " + d.got + "; use a concrete type or another codec"
	case lost:
		return "is lost: " + change + d.advice()
	}
	return "would change: " + change + d.advice()
}

func (d *difference) advice() string {
	if d.path == "" {
		return "; use another type or codec"
	}
	return `; tag it memo:"-" if it may change, or use another type or codec`
}

func (d *difference) refusal(codec string) *Refusal {
	return &Refusal{Path: d.path, Type: d.typ, Why: d.why(codec)}
}

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
	level    int       // of nesting
	hid      bool      // what is compared is an unexported field
	inside   int       // of how many types that write themselves
	seen     map[[2]uintptr]bool
}

// evidence collects, over many samples, what came back of types that write
// themselves.
type evidence struct {
	order []string
	lost  map[string]*difference // came back zero, by path
	kept  map[string]bool        // came back at least once
	whole map[string]bool        // came back at least once, says its Equal method, with all that is in it
}

func newEvidence() evidence {
	return evidence{lost: map[string]*difference{}, kept: map[string]bool{}, whole: map[string]bool{}}
}

// isKept reports whether what is at path came back from a sample.
func (e *evidence) isKept(path string) bool {
	if e.kept[path] {
		return true
	}
	for whole := range e.whole {
		if rest, ok := strings.CutPrefix(path, whole); ok && (rest == "" || rest[0] == '.' || rest[0] == '[' || whole == "") {
			return true
		}
	}
	return false
}

func (d *differ) compare(a, b reflect.Value, path string) *difference {
	a, b = settable(a), settable(b)
	d.level++
	defer func() { d.level-- }()
	if d.evidence != nil && isComposite(a.Kind()) && !isKnown(a.Type()) && d.guard.writesItself(a.Type()) {
		d.inside++
		defer func() { d.inside-- }()
	}
	if same, ok := equalMethod(a, b); ok && same {
		if d.inside > 0 && d.evidence != nil && !a.IsZero() {
			d.evidence.whole[path] = true
		}
		return nil
	} else if ok && d.inside == 0 {
		return d.differs(a, b, path)
	}
	if a.Kind() == reflect.Struct && isKnown(a.Type()) {
		return d.known(a, b, path)
	}
	if messages.Is(a.Type()) {
		s := messages.Supported()
		return d.leaf(a, b, path, s == nil || s.Equal(a.Addr().Interface(), b.Addr().Interface()))
	}
	switch a.Kind() {
	case reflect.Struct:
		return d.fields(a, b, path)
	case reflect.Pointer, reflect.Interface:
		return d.behind(a, b, path)
	case reflect.Slice, reflect.Array:
		return d.elements(a, b, path)
	case reflect.Map:
		return d.entries(a, b, path)
	case reflect.Float32, reflect.Float64:
		return d.leaf(a, b, path, sameFloat(a.Float(), b.Float()))
	case reflect.Complex64, reflect.Complex128:
		x, y := a.Complex(), b.Complex()
		return d.leaf(a, b, path, sameFloat(real(x), real(y)) && sameFloat(imag(x), imag(y)))
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return d.leaf(a, b, path, a.Pointer() == b.Pointer())
	}
	return d.leaf(a, b, path, a.Equal(b))
}

func isComposite(k reflect.Kind) bool {
	return k == reflect.Struct || k == reflect.Slice || k == reflect.Map || k == reflect.Array
}

func sameFloat(a, b float64) bool { return a == b || a != a && b != b }

func (d *differ) leaf(a, b reflect.Value, path string, same bool) *difference {
	if same {
		d.keep(a, path)
		return nil
	}
	return d.differ(a, b, path)
}

// differ reports the difference, or takes it for evidence.
func (d *differ) differ(a, b reflect.Value, path string) *difference {
	if d.inside == 0 || d.evidence == nil {
		return d.differs(a, b, path)
	}
	e := d.evidence
	if !b.IsZero() {
		e.kept[path] = true
	} else if e.lost[path] == nil {
		e.order = append(e.order, path)
		e.lost[path] = d.differs(a, b, path)
	}
	return nil
}

func (d *differ) keep(a reflect.Value, path string) {
	if d.inside > 0 && d.evidence != nil && !a.IsZero() {
		d.evidence.kept[path] = true
	}
}

func (d *differ) fields(a, b reflect.Value, path string) *difference {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		if f.Name == "_" || mayBeLost(f) || omitted(f, a.Field(i), b.Field(i)) {
			continue
		}
		d.hid = !f.IsExported()
		if diff := d.compare(a.Field(i), b.Field(i), join(path, f.Name)); diff != nil {
			return diff
		}
	}
	return nil
}

// known compares values of a type of the standard library, whose fields mean
// nothing to its users: the difference is one of the value.
func (d *differ) known(a, b reflect.Value, path string) *difference {
	if x, ok := a.Addr().Interface().(*big.Rat); ok && x.Cmp(b.Addr().Interface().(*big.Rat)) == 0 {
		return nil // a number has several forms
	}
	inner := differ{guard: d.guard, level: 1}
	diff := inner.fields(a, b, "")
	switch {
	case diff == nil:
		d.keep(a, path)
		return nil
	case d.inside > 0 && d.evidence != nil:
		return d.differ(a, b, path)
	}
	text := func(v reflect.Value, detail string) string {
		return fmt.Sprintf("%v (%s %s)", v.Addr().Interface(), diff.path, detail)
	}
	return &difference{path: path, typ: a.Type(), was: text(a, diff.was), got: text(b, diff.got)}
}

func (d *differ) behind(a, b reflect.Value, path string) *difference {
	switch {
	case a.IsNil() || b.IsNil():
		return d.leaf(a, b, path, a.IsNil() && b.IsNil())
	case a.Kind() == reflect.Interface:
		x, y := a.Elem(), b.Elem()
		if x.Type() != y.Type() {
			return &difference{path: path, typ: a.Type(), was: typeName(x), got: typeName(y), kind: retyped}
		}
		return d.compare(addressable(x), addressable(y), path)
	case a.Pointer() == b.Pointer():
		return nil
	}
	at := [2]uintptr{a.Pointer(), b.Pointer()}
	if d.seen[at] {
		return nil
	}
	if d.seen == nil {
		d.seen = map[[2]uintptr]bool{}
	}
	d.seen[at] = true
	d.keep(a, path)
	return d.compare(a.Elem(), b.Elem(), path)
}

func (d *differ) elements(a, b reflect.Value, path string) *difference {
	if a.Len() != b.Len() || d.level == 1 && a.Kind() == reflect.Slice && a.IsNil() != b.IsNil() {
		return d.differ(a, b, path)
	}
	plain := isPlain(a.Type().Elem()) && d.inside == 0
	for i := range a.Len() {
		if plain && a.Index(i).Equal(b.Index(i)) {
			continue // and no path is spelled out for it
		}
		if diff := d.compare(a.Index(i), b.Index(i), fmt.Sprintf("%s[%s]", path, d.index(strconv.Itoa(i)))); diff != nil {
			return diff
		}
	}
	return nil
}

// isPlain reports whether two values of t are the same where == says so.
func isPlain(t reflect.Type) bool {
	k := t.Kind()
	return reflect.Bool <= k && k <= reflect.Float64 || k == reflect.String
}

// index is left out where samples are compared: every element stands for all.
func (d *differ) index(at string) string {
	if d.evidence != nil {
		return ""
	}
	return at
}

func (d *differ) entries(a, b reflect.Value, path string) *difference {
	if a.Len() != b.Len() || d.level == 1 && a.IsNil() != b.IsNil() {
		return d.differ(a, b, path)
	}
	for _, e := range sorted(a) {
		key := e.key
		at := fmt.Sprintf("%s[%s]", path, d.index(show(key)))
		got, ok := d.entry(b, key)
		if !ok && d.inside == 0 {
			return d.key(key, at)
		} else if !ok {
			return d.differ(a, b, path)
		}
		if diff := d.compare(addressable(e.value), addressable(got), at); diff != nil {
			return diff
		}
	}
	return nil
}

type mapEntry struct{ key, value reflect.Value }

// sorted returns the entries of a map in an order that is the same every time,
// so that the difference found first is.
func sorted(m reflect.Value) []mapEntry {
	var entries []mapEntry
	for iter := m.MapRange(); iter.Next(); {
		entries = append(entries, mapEntry{iter.Key(), iter.Value()})
	}
	slices.SortFunc(entries, func(a, b mapEntry) int { return strings.Compare(show(a.key), show(b.key)) })
	return entries
}

// key is the difference of a key that is not there any more.
func (d *differ) key(key reflect.Value, at string) *difference {
	diff := &difference{path: at, typ: key.Type(), was: "the key " + show(key), got: "another"}
	if isGarbled(key) {
		diff.kind = garbled
	}
	return diff
}

func isGarbled(v reflect.Value) bool {
	return v.Kind() == reflect.String && !utf8.ValidString(v.String())
}

// entry returns the value under key, or under one that is the same without
// being identical, as times are.
func (d *differ) entry(m, key reflect.Value) (reflect.Value, bool) {
	if got := m.MapIndex(key); got.IsValid() {
		return got, true
	}
	switch k := key.Kind(); {
	case k <= reflect.Uintptr, k == reflect.String, k == reflect.Pointer:
		return reflect.Value{}, false
	}
	exact := differ{guard: d.guard}
	for iter := m.MapRange(); iter.Next(); {
		if exact.compare(addressable(key), addressable(iter.Key()), "key") == nil {
			return iter.Value(), true
		}
	}
	return reflect.Value{}, false
}

func (d *differ) differs(a, b reflect.Value, path string) *difference {
	diff := &difference{path: path, typ: a.Type(), was: show(a), got: show(b)}
	switch {
	case isGarbled(a):
		diff.kind = garbled
	case b.IsZero() && d.hid && d.inside == 0:
		diff.kind = hidden
	case b.IsZero():
		diff.kind = lost
	}
	return diff
}

// addressable returns a copy of v that can be addressed, and so looked into.
func addressable(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// omitted reports whether the field was left out because its owner said so:
// omitzero asks the value's own IsZero.
func omitted(f reflect.StructField, a, b reflect.Value) bool {
	if !b.IsZero() || !strings.Contains(string(f.Tag), ",omit") {
		return false
	}
	a = settable(a)
	if !a.CanInterface() {
		return false
	}
	z, ok := a.Interface().(interface{ IsZero() bool })
	return ok && !(a.Kind() == reflect.Pointer && a.IsNil()) && z.IsZero()
}

// equalMethod asks Equal(T) bool of T, if T is a struct that shows nothing of
// itself. Types that are all there to be seen are compared by what is seen:
// net.IP calls addresses of four and of 16 bytes equal.
func equalMethod(a, b reflect.Value) (same, ok bool) {
	t := a.Type()
	if t.Kind() != reflect.Struct || t.NumField() == 0 || !a.CanInterface() {
		return false, false
	}
	for i := range t.NumField() {
		if t.Field(i).IsExported() {
			return false, false
		}
	}
	defer func() {
		if recover() != nil {
			same, ok = false, false
		}
	}()
	m, found := t.MethodByName("Equal")
	if !found || m.Type.NumIn() != 2 || m.Type.In(1) != t || m.Type.NumOut() != 1 || m.Type.Out(0).Kind() != reflect.Bool {
		return false, false
	}
	return m.Func.Call([]reflect.Value{a, b})[0].Bool(), true
}

func typeName(v reflect.Value) string {
	return strings.ReplaceAll(v.Type().String(), "interface {}", "any")
}

// show writes a value short enough for a sentence.
func show(v reflect.Value) string {
	var s string
	switch v.Kind() {
	case reflect.String:
		s = fmt.Sprintf("%q", v.String())
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface, reflect.Func, reflect.Chan:
		switch {
		case v.IsNil():
			return "nil"
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
			s = fmt.Sprintf("%q", v.Bytes())
		case v.Kind() == reflect.Slice || v.Kind() == reflect.Map:
			s = fmt.Sprintf("%v", v)
		case v.Kind() == reflect.Pointer:
			return "a pointer to " + show(v.Elem())
		case v.Kind() == reflect.Interface && isNil(v.Elem()):
			return "a nil " + typeName(v.Elem()) + " in an interface"
		case v.Kind() == reflect.Interface:
			return "a " + typeName(v.Elem()) + " in an interface"
		default:
			return "a " + typeName(v)
		}
	default:
		s = fmt.Sprintf("%v", v)
	}
	if len(s) > 60 {
		s = s[:57] + "..."
	}
	return s
}
