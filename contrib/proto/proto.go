// Package memoproto lets protobuf messages be arguments and results of memoized
// functions.
//
// As arguments they need the import and nothing more:
//
//	import _ "github.com/seed-0226adef/memo/contrib/proto"
//
// Two messages share a key exactly when [proto.Equal] says that they are equal.
// So unknown fields count, presence counts, all NaN are one, and the order in
// which a message was put together does not matter. Messages may be anywhere in
// an argument: in structs, slices, maps, and interfaces such as [proto.Message].
//
// As results in a shared store they need [Codec]:
//
//	memo.New(fn, memo.Store(s), memo.Name("orders.byID"), memo.Codec(memoproto.Codec))
//
// It holds messages, and structs, slices and maps of messages and of other
// values. Without a shared store, no codec is needed.
//
// The import has to come before the function is made: a package that makes one
// in a package-level variable imports this package itself.
//
// Keys do not depend on how a release of protobuf orders what it writes, but on
// the descriptors of the messages' fields. A field that one release of a program
// knows and another one does not has another key in each.
package memoproto

import (
	"google.golang.org/protobuf/proto"

	"github.com/seed-0226adef/memo/internal/messages"
)

func init() {
	messages.Register(messages.Support{
		AppendKey: func(dst []byte, m any) ([]byte, error) {
			r := m.(proto.Message).ProtoReflect()
			dst = appendString(dst, string(r.Descriptor().FullName()))
			return appendMessage(dst, r, 0)
		},
		Clone: func(m any) any { return proto.Clone(m.(proto.Message)) },
		Equal: func(a, b any) bool { return proto.Equal(a.(proto.Message), b.(proto.Message)) },
		Fill:  func(m any) { fill(m.(proto.Message).ProtoReflect(), 0) },
	})
}
