package keys

import (
	"io"
	"log/slog"
	"reflect"
)

// neverKeys are those types of the standard library of which no value, or none that has
// been used, can be a key, though their fields do not show it: what an interface of
// that name holds has locks or functions in it, a list contains itself, and a slog.Value
// or a runtime.Func keeps what it stands for where no field leads.
var neverKeys = map[string]bool{
	"container/list.Element": true,
	"container/list.List":    true,
	"container/ring.Ring":    true,
	"crypto/ecdh.Curve":      true,
	"crypto/elliptic.Curve":  true,
	"log/slog.Value":         true,
	"math/rand.Source":       true, // a source is another after each use
	"math/rand/v2.Source":    true,
	"net/http.CookieJar":     true,
	"net/http.Request":       true, // by name: the core does not link net/http
	"reflect.Type":           true,
	"reflect.Value":          true,
	"runtime.Func":           true,
	"strings.Builder":        true,
	"testing.TB":             true,
}

// refused reports whether no value of t can be a key by its contents.
func refused(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return true
	case reflect.Interface:
		return neverKeys[TypePath(t)] || holdsNoKey(t)
	}
	if t.Implements(ContextType) || Honours(t, LockerType) {
		return true
	}
	switch t.PkgPath() {
	case "sync", "sync/atomic", "internal/sync":
		return true
	}
	return neverKeys[TypePath(t)]
}

// holdsNoKey reports whether what an interface of type t can hold is something that acts,
// such as a context, a lock, a connection or a handler, and no data to be told apart. An
// interface that demands a MemoKey holds what names itself.
func holdsNoKey(t reflect.Type) bool {
	if t.Implements(keyerType) {
		return false
	}
	for _, acting := range actingTypes {
		if t.Implements(acting) {
			return true
		}
	}
	// http.Handler and http.RoundTripper: the core does not link net/http.
	_, serves := t.MethodByName("ServeHTTP")
	_, trips := t.MethodByName("RoundTrip")
	return serves || trips
}

var actingTypes = []reflect.Type{
	ContextType,
	LockerType,
	reflect.TypeFor[io.Reader](),
	reflect.TypeFor[io.Writer](),
	reflect.TypeFor[io.Closer](),
	reflect.TypeFor[slog.Handler](),
}

// TypePath returns the name of t with the path of its package, as neverKeys has it.
func TypePath(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }

// ofOthers reports whether the fields of t are no concern of the program's author: a
// refusal then names t and not what is in it.
func ofOthers(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() != "" && t.Name() != "" && !OwnPackage(t.PkgPath()) && !Several(t)
}

// Arguments marks the types that stand for several arguments.
type Arguments interface{ Several() }

// Several reports whether t stands for the arguments of Wrap2 or Wrap3.
func Several(t reflect.Type) bool { return t.Implements(reflect.TypeFor[Arguments]()) }
