package memo

import (
	"reflect"
	"sync"
)

const (
	// entryOverhead is about what it takes to hold a result, whatever it is: the
	// entry, its node in the cache and its share of the hash table.
	entryOverhead = 256

	// maxParts bounds how much of a value is looked at to estimate its size.
	maxParts = 1000
)

// sizeOf returns a function that returns the size in bytes of what is behind a
// *R in an any, as LocalBytes documents it. t is R.
func sizeOf[R any]() func(value any) int64 {
	switch t := reflect.TypeFor[R](); {
	case t == reflect.TypeFor[string]():
		return func(v any) int64 { return int64(len(*v.(*string))) }
	case t == reflect.TypeFor[[]byte]():
		return func(v any) int64 { return int64(len(*v.(*[]byte))) }
	case inline(t):
		return func(any) int64 { return int64(t.Size()) }
	default:
		return func(v any) int64 {
			left := maxParts
			return int64(t.Size()) + beyond(reflect.ValueOf(v).Elem(), &left)
		}
	}
}

// inline reports whether values of t lead to no other memory.
func inline(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && !inline(f.Type) {
				return false
			}
		}
		return true
	case reflect.Array:
		return inline(t.Elem())
	}
	return t.Kind() <= reflect.Complex128
}

// beyond estimates the memory that v leads to, beside its own. left is how many
// more parts to look at.
func beyond(v reflect.Value, left *int) (n int64) {
	if *left--; *left < 0 || inline(v.Type()) {
		return 0
	}
	switch v.Kind() {
	case reflect.String:
		return int64(v.Len())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return int64(v.Elem().Type().Size()) + beyond(v.Elem(), left)
	case reflect.Struct:
		if hasLock(v.Type()) {
			return 0
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				n += beyond(v.Field(i), left)
			}
		}
		return n
	case reflect.Slice:
		return int64(v.Cap())*int64(v.Type().Elem().Size()) + elements(v, left)
	case reflect.Array:
		return elements(v, left)
	case reflect.Map:
		return int64(v.Len())*int64(v.Type().Key().Size()+v.Type().Elem().Size()) + mapElements(v, left)
	}
	return 0
}

// lockTypes holds what hasLock found: bool by reflect.Type.
var lockTypes sync.Map

// hasLock reports whether structs of t have a lock. Results like that, such as
// clients and pools, go on changing; what they lead to is not to be looked at
// without the lock.
func hasLock(t reflect.Type) bool {
	if found, ok := lockTypes.Load(t); ok {
		return found.(bool)
	}
	has := false
	for i := range t.NumField() {
		f := t.Field(i).Type
		has = has || f.Implements(lockerType) || reflect.PointerTo(f).Implements(lockerType)
	}
	lockTypes.Store(t, has)
	return has
}

func elements(v reflect.Value, left *int) (n int64) {
	if inline(v.Type().Elem()) {
		return 0
	}
	for i := range v.Len() {
		if *left <= 0 {
			return n / int64(max(i, 1)) * int64(v.Len())
		}
		n += beyond(v.Index(i), left)
	}
	return n
}

func mapElements(v reflect.Value, left *int) (n int64) {
	if inline(v.Type().Key()) && inline(v.Type().Elem()) {
		return 0
	}
	i := 0
	for it := v.MapRange(); it.Next(); i++ {
		if *left <= 0 {
			return n / int64(max(i, 1)) * int64(v.Len())
		}
		n += beyond(it.Key(), left) + beyond(it.Value(), left)
	}
	return n
}
