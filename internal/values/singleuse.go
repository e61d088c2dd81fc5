// Package values is what there is to know of the types of results: how much memory a value
// takes, and whether it can be used once only. It knows no functions.
package values

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"

	"github.com/seed-0226adef/memo/internal/keys"
)

// Results are shared: every caller of a key gets the same one. What can be used only
// once, such as a reader or the rows of a query, would be good for the first of them
// and empty for the others. Types of such results are refused when the function is
// made; what an interface holds is looked at when the result is there.

// An errSingleUse is why a result must not be shared.
type errSingleUse struct{ typ reflect.Type }

func (e *errSingleUse) Error() string { return fmt.Sprintf("(%v) can be used only once", e.typ) }

// A Usage is what is known of the values of a type.
type Usage struct {
	Once  error // leads to the part that can be used only once; nil if there is none
	Hides bool  // there are interfaces, in which something like that may be
}

// usages holds what usageOf found: usage by reflect.Type.
var usages sync.Map

func UsageOf(t reflect.Type) Usage {
	if found, ok := usages.Load(t); ok {
		return found.(Usage)
	}
	f := usageFinder{seen: map[reflect.Type]bool{}}
	u := Usage{Once: f.find(t), Hides: f.hides}
	usages.Store(t, u)
	return u
}

// A usageFinder goes through a type and all that it contains.
type usageFinder struct {
	seen  map[reflect.Type]bool
	hides bool
}

func (f *usageFinder) find(t reflect.Type) error {
	if usedOnce(t) {
		return &errSingleUse{t}
	}
	if f.seen[t] {
		return nil
	}
	f.seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		f.hides = true
	case reflect.Pointer:
		return f.find(t.Elem())
	case reflect.Slice, reflect.Array:
		return f.step("[]", t.Elem())
	case reflect.Map:
		if err := f.step("[key]", t.Key()); err != nil {
			return err
		}
		return f.step("[]", t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if field := t.Field(i); visible(t, field) || fromStd(t) && !hasLock(t) {
				if err := f.step(field.Name, field.Type); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (f *usageFinder) step(name string, t reflect.Type) error {
	if err := f.find(t); err != nil {
		return keys.WithStep(name, err)
	}
	return nil
}

// visible reports whether those who are given a t use this field of it. A type with a
// lock, or with methods over fields that it keeps to itself, as clients and pools
// are, says itself how often it can be used.
func visible(t reflect.Type, f reflect.StructField) bool {
	if f.Tag.Get("memo") == "-" || hasLock(t) {
		return false
	}
	return f.IsExported() || reflect.PointerTo(t).NumMethod() == 0 || f.Anonymous && keys.OwnPackage(t.PkgPath())
}

// fromStd reports whether t belongs to the standard library, whose types are known:
// a json.Decoder is good for one use because a reader is in it.
func fromStd(t reflect.Type) bool {
	path := t.PkgPath()
	first, _, _ := strings.Cut(path, "/")
	return path != "" && !strings.Contains(first, ".") && !keys.OwnPackage(path)
}

// onceTypes are those that somebody who is given one of them uses up: by reading, by
// going through rows, or by ending a transaction.
var onceTypes = []reflect.Type{
	keys.ContextType,
	reflect.TypeFor[io.Reader](),
	reflect.TypeFor[io.ByteReader](),
	reflect.TypeFor[io.RuneReader](),
	reflect.TypeFor[interface{ RecvMsg(any) error }](),       // grpc.ClientStream
	reflect.TypeFor[interface{ HasMorePages() bool }](),      // the paginators of AWS
	reflect.TypeFor[interface{ Read() ([]string, error) }](), // csv.Reader
	reflect.TypeFor[interface{ Scan(...any) error }](),       // sql.Row, pgx.Row
	reflect.TypeFor[interface {
		Next() bool
		Err() error
	}](),
	reflect.TypeFor[interface {
		Next() bool
		Close() error
	}](),
	reflect.TypeFor[interface {
		Next(context.Context) bool
		Err() error
	}](),
	reflect.TypeFor[interface {
		Scan() bool
		Err() error
	}](), // bufio.Scanner
	reflect.TypeFor[interface {
		Commit() error
		Rollback() error
	}](),
	reflect.TypeFor[interface {
		Commit(context.Context) error
		Rollback(context.Context) error
	}](),
}

// usedOnce reports whether values of t themselves can be used only once.
func usedOnce(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Chan:
		return true
	case reflect.Func:
		return iterates(t)
	}
	switch keys.TypePath(t) {
	case "database/sql.Conn", "encoding/gob.Decoder": // whose locks are not for sharing them
		return true
	}
	for _, once := range onceTypes {
		if t.Implements(once) || t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(once) {
			return true
		}
	}
	return t.Kind() != reflect.Pointer && givesNext(t)
}

// givesNext reports whether values of t have a method Next that returns the next of
// something, or an error at its end, as iterators over the pages of a service do.
func givesNext(t reflect.Type) bool {
	receivers := 0
	if t.Kind() != reflect.Interface {
		t, receivers = reflect.PointerTo(t), 1
	}
	m, ok := t.MethodByName("Next")
	return ok && m.Type.NumIn() == receivers && m.Type.NumOut() == 2 && m.Type.Out(1) == reflect.TypeFor[error]()
}

// iterates reports whether t is an iter.Seq or iter.Seq2, by whatever name.
func iterates(t reflect.Type) bool {
	if t.NumIn() != 1 || t.NumOut() != 0 || t.In(0).Kind() != reflect.Func {
		return false
	}
	yield := t.In(0)
	return yield.NumIn() <= 2 && yield.NumOut() == 1 && yield.Out(0).Kind() == reflect.Bool
}

// MaxLooks bounds how much of a result is looked at for what can be used only once. It is
// beyond what most results hold, and looking takes less time than making them did.
const MaxLooks = 100_000

// HeldOnce returns an error that leads to a value in v, inside an interface, that can be
// used only once. left is how many more parts to look at.
func HeldOnce(v reflect.Value, left *int) error {
	if *left--; *left < 0 || !UsageOf(v.Type()).Hides {
		return nil
	}
	switch v.Kind() {
	case reflect.Interface:
		switch {
		case v.IsNil() || v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil():
			return nil // there is nothing to use up
		case UsageOf(v.Elem().Type()).Once != nil:
			return UsageOf(v.Elem().Type()).Once
		}
		return HeldOnce(v.Elem(), left)
	case reflect.Pointer:
		if !v.IsNil() {
			return HeldOnce(v.Elem(), left)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); visible(v.Type(), f) {
				if err := HeldOnce(v.Field(i), left); err != nil {
					return keys.WithStep(f.Name, err)
				}
			}
		}
	case reflect.Slice, reflect.Array:
		for i := 0; i < v.Len() && *left > 0; i++ {
			if err := HeldOnce(v.Index(i), left); err != nil {
				return keys.WithStep(fmt.Sprintf("[%d]", i), err)
			}
		}
	case reflect.Map:
		for it := v.MapRange(); *left > 0 && it.Next(); {
			err := HeldOnce(it.Key(), left)
			if err == nil {
				err = HeldOnce(it.Value(), left)
			}
			if err != nil {
				return keys.WithStep(keys.KeyStep(it.Key()), err)
			}
		}
	}
	return nil
}

// Describe names the part that err leads to, and the ways out.
func Describe(err error) string {
	what, where := err.Error(), ""
	if at, ok := err.(*keys.PathError); ok {
		what, where = at.Err.Error(), "field "+at.Path+" "
	}
	return where + what + `, and results are shared; return what it holds, such as the bytes that are read from it, or give Clone, or tag a field that callers do not use memo:"-"`
}
