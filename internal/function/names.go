package function

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"weak"

	"github.com/seed-0226adef/memo/store"
)

// registry says which function has which name in a store. A name is given up when its
// store is collected, not when its function is: nobody can tell when that happens,
// and whether the second New panics must not depend on it.
var registry = struct {
	sync.Mutex
	of map[storeID]claims // guarded by the mutex
}{of: map[storeID]claims{}}

// A storeID is the identity of a store, which it does not keep alive where that is a
// pointer. Pointers to different things that share an address, such as a struct and
// its first field, differ in their types.
type storeID struct {
	typ     reflect.Type
	pointer weak.Pointer[byte]
	other   store.Store // what is not a pointer, and is kept for ever
}

func identify(s store.Store) storeID {
	v := reflect.ValueOf(s)
	if v.Kind() != reflect.Pointer {
		return storeID{other: s}
	}
	return storeID{typ: v.Type(), pointer: weak.Make((*byte)(v.UnsafePointer()))}
}

// claims are the names that functions have in one store.
type claims map[claim]*holder

// A claim is what functions have in common that share results in a store.
type claim struct{ prefix, name string }

// A holder is who has a name: one function, or several that say SharedName.
type holder struct {
	place  string // of the first one's New
	shared bool
	cores  int
}

// claimsIn returns the claims in s. The caller holds the registry.
func claimsIn(s store.Store) claims {
	id := identify(s)
	if registry.of[id] == nil {
		registry.of[id] = claims{}
		if p := id.pointer.Value(); p != nil {
			runtime.AddCleanup(p, dropClaims, id)
		}
	}
	return registry.of[id]
}

// dropClaims forgets a store that has been collected.
func dropClaims(id storeID) {
	registry.Lock()
	defer registry.Unlock()
	delete(registry.of, id)
}

func (c claims) release(at claim) {
	h := c[at]
	if h.cores--; h.cores == 0 {
		delete(c, at)
	}
}

// Register claims the function's name in its store, if s says which one that is. It
// panics if another function has the name, unless both say SharedName. A function
// that New has registered moves to the default prefix when it learns of that.
func (f *Function) Register(s *Settings) {
	at := claim{s.Prefix, s.Name}
	if s.Store == nil || !reflect.ValueOf(s.Store).Comparable() || f.claimed != nil && *f.claimed == at {
		return
	}
	registry.Lock()
	defer registry.Unlock()
	taken := claimsIn(s.Store)
	h := taken[at]
	switch {
	case h == nil:
		h = &holder{place: f.Made.place(), shared: s.SharedName}
		taken[at] = h
	case !h.shared || !s.SharedName:
		panic(fmt.Sprintf("memo: %s: the name %q is taken in this store by the function made at %s, and each of the two would return the other's results; "+
			"give one of them another Name or Prefix or, if both compute the same, give SharedName() to both", f.Made.place(), s.Name, h.place))
	}
	h.cores++
	if f.claimed != nil {
		taken.release(*f.claimed)
	}
	f.claimed = &at
}

// A callStack is where a function was made.
type callStack [16]uintptr

// WhereMade returns the call stack of its caller.
func WhereMade() (s callStack) {
	runtime.Callers(2, s[:])
	return s
}

// place returns the line that is the user's: the innermost that is not of this module's
// own code.
func (s *callStack) place() string {
	frames := runtime.CallersFrames(s[:])
	for {
		f, more := frames.Next()
		if !more || !isOwn(f) {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
}

// ownPath is the import path of the module.
var ownPath = strings.TrimSuffix(reflect.TypeFor[Function]().PkgPath(), "/internal/function")

// isOwn reports whether f is a call within this package or those above it that make
// functions. Their tests are users.
func isOwn(f runtime.Frame) bool {
	rest, found := strings.CutPrefix(f.Function, ownPath)
	if !found || strings.HasSuffix(f.File, "_test.go") {
		return false
	}
	return rest != "" && rest[0] == '.' || strings.HasPrefix(rest, "/internal/function.") || strings.HasPrefix(rest, "/httpcache")
}

// FuncName returns the runtime's name of fn.
func FuncName(fn any) string {
	return runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
}
