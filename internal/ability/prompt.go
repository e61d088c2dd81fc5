package ability

import "github.com/seed-0226adef/memo/store"

// A Prompt is a [store.Notifier] whose reports are as exact as they can be: each change
// is reported once, before the method that made it has returned. Callers use
// [ReportsOnce].
type Prompt interface {
	store.Notifier

	// Prompt returns the store itself. A store that embeds a Prompt inherits the method,
	// which returns another store than itself, and so is not taken for one.
	Prompt() store.Store
}

// ReportsOnce reports whether s says of itself that it is a [Prompt]. A caller that writes
// then knows which report is that of its own write, and can keep its copy. With any other
// store it has to take each report for that of another caller's write: its own writes cost
// it the copy, too.
func ReportsOnce(s store.Store) bool {
	p, ok := s.(Prompt)
	return ok && saysOfItself(s, p.Prompt())
}
