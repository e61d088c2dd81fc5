package store

// A Prompt is a [Notifier] whose reports are as exact as they can be: each change
// is reported once, before the method that made it has returned. Callers use
// [ReportsOnce].
//
// A type that has the method makes the promise. So a Store that wraps others needs a
// second type, with the method, for inner stores of which ReportsOnce reports true.
type Prompt interface {
	Notifier

	// Prompt does nothing; it tells a Prompt from any other Notifier.
	Prompt()
}

// ReportsOnce reports whether s tells of each change once, before the method that
// made it has returned. A caller that writes then knows which report is that of its own
// write, and can keep its copy.
//
// ReportsOnce reports true if s implements [Prompt]. Otherwise it reports false, and
// a caller has to take each report for that of another caller's write: its own writes
// cost it the copy, too.
func ReportsOnce(s Store) bool {
	_, ok := s.(Prompt)
	return ok
}
