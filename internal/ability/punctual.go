package ability

import "github.com/seed-0226adef/memo/store"

// A Punctual is a [store.Store] whose methods return soon after their context has ended, as
// those of every Store should. Of other Stores callers cannot know, and make each call
// in a second goroutine. See [IsPunctual].
type Punctual interface {
	store.Store

	// Punctual returns the store itself. A store that embeds a Punctual inherits the
	// method, which returns another store than itself, and so is not taken for one.
	Punctual() store.Store
}

// IsPunctual reports whether s says of itself that it is a [Punctual].
func IsPunctual(s store.Store) bool {
	p, ok := s.(Punctual)
	return ok && saysOfItself(s, p.Punctual())
}
