package store

import "reflect"

// A Punctual is a [Store] whose methods return soon after their context has ended, as
// those of every Store should. Callers who cannot know wait for a call in a second
// goroutine; see [IsPunctual].
type Punctual interface {
	Store

	// Punctual returns the store itself. So a store that wraps another one, and
	// has this method from it, does not pass for it.
	Punctual() Store
}

// IsPunctual reports whether s says that it is a [Punctual]. Of a value that cannot be
// compared, a struct with a map for instance, nobody can tell.
func IsPunctual(s Store) bool {
	p, ok := s.(Punctual)
	return ok && reflect.ValueOf(s).Comparable() && p.Punctual() == s
}
