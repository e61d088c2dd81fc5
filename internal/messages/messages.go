// Package messages is where memo and protobuf meet without memo depending on it.
// It tells protobuf messages by their method; what can be done with them is
// known once package contrib/proto has been imported, which registers it here.
package messages

import (
	"reflect"
	"sync"
	"sync/atomic"
)

// Path is what a program imports to use messages.
const Path = "github.com/seed-0226adef/memo/contrib/proto"

// A Support is what is done with messages. Each argument is a non-nil pointer to
// a message.
type Support struct {
	AppendKey func(dst []byte, m any) ([]byte, error) // equal messages, and no others, give the same bytes
	Clone     func(m any) any                         // a deep copy
	Equal     func(a, b any) bool
	Fill      func(m any) // sets every field, to try a codec with
}

var support atomic.Pointer[Support]

// Register makes s what is done with messages. It is called once, from an init.
func Register(s Support) { support.Store(&s) }

// Supported returns what is done with messages, or nil if nobody knows.
func Supported() *Support { return support.Load() }

var known sync.Map // reflect.Type of a struct → whether it is a message

// Is reports whether t is a struct that is a protobuf message by its pointer.
func Is(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.Name() == "" {
		return false
	}
	if is, ok := known.Load(t); ok {
		return is.(bool)
	}
	is := isMessage(t)
	known.Store(t, is)
	return is
}

func isMessage(t reflect.Type) bool {
	_, ok := reflect.PointerTo(t).MethodByName("ProtoReflect")
	if !ok {
		return false
	}
	// A struct that embeds a message inherits the method, and is more than that.
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && inherits(f.Type) {
			return false
		}
	}
	return true
}

func inherits(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		t = reflect.PointerTo(t)
	}
	_, ok := t.MethodByName("ProtoReflect")
	return ok
}
