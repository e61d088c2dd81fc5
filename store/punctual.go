package store

import "reflect"

// A Punctual is a [Store] whose methods return soon after their context has ended, as
// those of every Store should. Of other Stores callers cannot know, and make each call
// in a second goroutine. See [IsPunctual].
type Punctual interface {
	Store

	// Punctual returns the store itself. A store that embeds a Punctual inherits the
	// method, which returns another store than itself, and so is not taken for one.
	Punctual() Store
}

// IsPunctual reports whether s says of itself that it is a [Punctual]. It reports false
// for a value that cannot be compared, such as a struct with a map.
func IsPunctual(s Store) bool {
	p, ok := s.(Punctual)
	return ok && reflect.ValueOf(s).Comparable() && p.Punctual() == s
}
