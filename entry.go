package memo

import (
	"errors"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/tags"
)

// ErrMiss is what [Func.Peek] returns when no usable result is held.
var ErrMiss = errors.New("memo: no usable result is held")

// An Entry is a result as the cache holds it.
type Entry[R any] struct {
	// Value is the result. It is shared with other callers, as what Call
	// returns is; [Clone] applies.
	Value R
	// Created is when fn returned it.
	Created time.Time
	// FreshUntil is when it stops, or stopped, being fresh; the zero Time if
	// it never does.
	FreshUntil time.Time
	// Stale says that it is no longer fresh and is held for one of the stale
	// windows.
	Stale bool
	// Tags are what InvalidateTags finds it by, in no particular order: its own
	// and those that it took over from the results it was made from.
	Tags []string
}

// entryOf makes an Entry of e, whose value is value.
func entryOf[R any](e *entry.Entry, value R, stale bool) Entry[R] {
	out := Entry[R]{Value: value, Created: time.Unix(0, e.Wall), Stale: stale, Tags: tags.Names(e.Tags())}
	if e.Fresh != clock.Forever {
		out.FreshUntil = clock.Wall(e.Fresh, out.Created, e.Created)
	}
	return out
}
