package values

import (
	"math/bits"
	"reflect"
	"sync"

	"github.com/seed-0226adef/memo/internal/keys"
)

// maxParts bounds how much of a value is looked at to estimate its size.
const maxParts = 1000

// Allocated returns how many bytes Go's allocator takes for an object of n bytes: it
// has sizes with an eighth of a power of two between them, or nearly so, and gives
// whole pages beyond 32 KiB.
func Allocated(n int64) int64 {
	step := int64(8)
	switch {
	case n > 32<<10:
		step = 8 << 10
	case n > 128:
		step = 1 << (bits.Len64(uint64(n-1)) - 4)
	case n > 32:
		step = 16
	}
	return (n + step - 1) / step * step
}

// SizeOf returns a function that returns how many bytes of the heap what is behind a
// *R in an any takes, as LocalBytes documents it.
func SizeOf[R any]() func(value any) int64 {
	t := reflect.TypeFor[R]()
	own := Allocated(int64(t.Size()))
	switch {
	case t == reflect.TypeFor[string]():
		return func(v any) int64 { return own + Allocated(int64(len(*v.(*string)))) }
	case t == reflect.TypeFor[[]byte]():
		return func(v any) int64 { return own + Allocated(int64(cap(*v.(*[]byte)))) }
	case inline(t):
		return func(any) int64 { return own }
	}
	estimate := func(v any) int64 {
		left := maxParts
		return own + beyond(reflect.ValueOf(v).Elem(), &left)
	}
	if !t.Implements(reflect.TypeFor[Weigher]()) {
		return estimate
	}
	return func(v any) int64 {
		return estimate(v) + any(*v.(*R)).(Weigher).Hidden(Allocated)
	}
}

// A Weigher is a result that leads to memory from fields that are not exported: how much,
// once it is in use. allocated returns what Go's allocator takes for n bytes.
type Weigher interface {
	Hidden(allocated func(n int64) int64) int64
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
		return Allocated(int64(v.Len()))
	case reflect.Pointer:
		if v.IsNil() {
			return 0
		}
		return Allocated(int64(v.Elem().Type().Size())) + beyond(v.Elem(), left)
	case reflect.Interface:
		return held(v.Elem(), left)
	case reflect.Struct:
		return fields(v, left)
	case reflect.Slice:
		return Allocated(int64(v.Cap())*int64(v.Type().Elem().Size())) + elements(v, left)
	case reflect.Array:
		return elements(v, left)
	case reflect.Map:
		return slots(v) + mapElements(v, left)
	}
	return 0
}

// held estimates what an interface leads to that holds v. A pointer is in the interface
// itself; anything else is somewhere on the heap.
func held(v reflect.Value, left *int) int64 {
	switch v.Kind() {
	case reflect.Invalid:
		return 0
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return beyond(v, left)
	}
	return Allocated(int64(v.Type().Size())) + beyond(v, left)
}

// fields estimates what the exported fields of a struct lead to.
//
// A struct with a lock may be known to others already, such as a client that fn
// returns each time, and they change its fields under the lock. So they are looked
// at under the lock, too. One that is not free is not waited for: then the struct is
// not fn's own, nor is what it leads to.
func fields(v reflect.Value, left *int) (n int64) {
	if hasLock(v.Type()) && v.CanAddr() {
		unlock, ok := lockAll(v)
		defer unlock()
		if !ok {
			return 0
		}
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			n += beyond(v.Field(i), left)
		}
	}
	return n
}

// lockAll takes the locks that are fields of v, if all are free and of package sync.
// unlock gives back those that were taken.
func lockAll(v reflect.Value) (unlock func(), ok bool) {
	var taken []sync.Locker
	unlock = func() {
		for _, l := range taken {
			l.Unlock()
		}
	}
	for _, i := range locksOf(v.Type()) {
		f := v.Field(i)
		if f.Kind() == reflect.Interface {
			return unlock, false
		} else if f.Kind() != reflect.Pointer {
			f = f.Addr()
		} else if f.IsNil() {
			continue
		}
		switch f.Type() {
		case mutexType:
			l := (*sync.Mutex)(f.UnsafePointer())
			if !l.TryLock() {
				return unlock, false
			}
			taken = append(taken, l)
		case rwMutexType:
			l := (*sync.RWMutex)(f.UnsafePointer())
			if !l.TryRLock() {
				return unlock, false
			}
			taken = append(taken, l.RLocker())
		default:
			return unlock, false
		}
	}
	return unlock, true
}

var (
	mutexType   = reflect.TypeFor[*sync.Mutex]()
	rwMutexType = reflect.TypeFor[*sync.RWMutex]()
)

// lockFields holds what locksOf found: []int by reflect.Type.
var lockFields sync.Map

// locksOf returns which fields of the struct type t are locks.
func locksOf(t reflect.Type) []int {
	if found, ok := lockFields.Load(t); ok {
		return found.([]int)
	}
	var locks []int
	for i := range t.NumField() {
		if isLock(t.Field(i).Type) {
			locks = append(locks, i)
		}
	}
	lockFields.Store(t, locks)
	return locks
}

// hasLock reports whether structs of t have a lock.
func hasLock(t reflect.Type) bool { return len(locksOf(t)) > 0 }

// isLock reports whether a field of type t is a lock, and not merely a struct that has
// one.
func isLock(t reflect.Type) bool {
	switch {
	case t.Kind() == reflect.Interface:
		return t.Implements(keys.LockerType)
	case keys.IsPointer(t):
		t = t.Elem()
	}
	return keys.Honours(t, keys.LockerType)
}

// slots estimates the memory of a map itself: its entries lie in groups of eight, and
// the number of groups doubles when seven eighths are taken.
func slots(v reflect.Value) int64 {
	const header, perSlot = 48, 1
	n := int64(8)
	for n*7/8 < int64(v.Len()) && v.Len() > 8 {
		n *= 2
	}
	if v.IsNil() {
		return 0
	}
	return header + Allocated(n*(int64(v.Type().Key().Size()+v.Type().Elem().Size())+perSlot))
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
