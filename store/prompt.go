package store

// A Prompt is a [Notifier] whose reports are as exact as they can be: each change
// is reported once, before the method that made it has returned. A process then
// knows which report is that of its own write, and keeps its copy.
type Prompt interface {
	Notifier

	// Prompt does nothing.
	Prompt()
}
