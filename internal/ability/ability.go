// Package ability holds what this module's own stores promise beyond the contract of
// package store, and what package memo asks of them for it: that a method heeds its
// context ([Punctual]), that reports are exact ([Prompt]), and contexts that end at their
// deadline only ([Within]).
//
// Each of them saves something: a goroutine for each operation, or a copy that would be read
// again. A store of somebody else's works without, and one that embeds one of ours does not
// make the promise by that.
package ability

import (
	"reflect"

	"github.com/seed-0226adef/memo/store"
)

// saysOfItself reports whether self, which a store's method has returned, is the store. It
// reports false for a value that cannot be compared, such as a struct with a map.
func saysOfItself(s, self store.Store) bool { return reflect.ValueOf(s).Comparable() && self == s }
