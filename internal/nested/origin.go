package nested

import (
	"context"
	"slices"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/tags"
	"github.com/seed-0226adef/memo/store"
)

// An Origin is what a result depends on, and brings to the results that are made from it.
type Origin struct {
	Tags         []tags.Tag
	Dependencies []fleet.Dependency // the epochs in stores that have to be in force
	Trusted      int64              // until when it is used without asking a store, whatever LocalTTL says
	Incomplete   bool               // there are tags whose epochs are not among Dependencies: nobody can tell when they are invalidated elsewhere
	Unverifiable bool               // its tags were invalidated elsewhere while it was made: no result may be made from it
	Unsettled    []*Unsettled       // if incomplete, what is going to know the epochs
}

// IsEmpty reports whether what is made from the results depends on no epochs.
func (e *Epochs) IsEmpty() bool {
	return len(e.dependencies) == 0 && !e.incomplete() && !e.unverifiable
}

// Settle makes o have the epochs of all results that it was made from.
func (o *Origin) Settle(e *Epochs) {
	o.Dependencies, o.Incomplete, o.Trusted = slices.Clip(e.dependencies), e.incomplete(), e.trusted()
	o.Unsettled, o.Unverifiable = e.unsettled, o.Unverifiable || e.unverifiable
}

// Epochs are the epochs, in shared stores, of tags that were taken over from inner
// results.
type Epochs struct {
	dependencies []fleet.Dependency
	by           map[fleet.EpochAt]store.Token
	unverifiable bool  // a result is, or two of them have different epochs of one tag: one of them is old
	partial      bool  // a result did not know the epochs of all its tags
	until        int64 // if incomplete, until when all of these results are trusted

	unsettled []*Unsettled // of the results that did not know them yet
}

// Origin returns the origin of a result that is made from those that had these epochs.
func (e *Epochs) Origin(t []tags.Tag) Origin {
	o := Origin{Tags: t}
	o.Settle(e)
	return o
}

// Unverifiable reports whether what is made from the results is as well.
func (e *Epochs) Unverifiable() bool { return e.unverifiable }

// By returns the epochs by where they are.
func (e *Epochs) By() map[fleet.EpochAt]store.Token { return e.by }

// incomplete reports whether epochs are missing.
func (e *Epochs) incomplete() bool { return e.partial || len(e.unsettled) > 0 }

// addFrom takes over what a result with that origin, with tags or without, has of epochs.
func (e *Epochs) addFrom(o *Origin) {
	e.unverifiable = e.unverifiable || o.Unverifiable
	e.add(o.Dependencies)
	switch {
	case !o.Incomplete:
	case len(o.Unsettled) > 0:
		e.await(o.Unsettled, o.Trusted)
	default:
		e.markPartial(o.Trusted)
	}
}

// merge takes over what another execution has collected.
func (e *Epochs) merge(from *Epochs) {
	e.add(from.dependencies)
	e.unverifiable = e.unverifiable || from.unverifiable
	if from.partial {
		e.markPartial(from.until)
	}
	if len(from.unsettled) > 0 {
		e.await(from.unsettled, from.until)
	}
}

// await notes results that are not complete, and that are trusted until then.
func (e *Epochs) await(results []*Unsettled, until int64) {
	if !e.incomplete() || until < e.until {
		e.until = until
	}
	e.unsettled = append(e.unsettled, results...)
}

// markPartial notes that epochs are missing, in results that are trusted until then.
func (e *Epochs) markPartial(until int64) {
	if !e.incomplete() || until < e.until {
		e.until = until
	}
	e.partial = true
}

// trusted returns until when what was made of the results may be used without asking
// a store.
func (e *Epochs) trusted() int64 {
	if e.incomplete() {
		return e.until
	}
	return clock.Forever
}

func (e *Epochs) add(dependencies []fleet.Dependency) {
	for _, d := range dependencies {
		if !d.Tag {
			continue
		}
		at := fleet.EpochAt{Keyspace: d.Keyspace, Key: d.Key}
		epoch, again := e.by[at]
		if again {
			e.unverifiable = e.unverifiable || epoch != d.Epoch
			continue
		}
		if e.by == nil {
			e.by = map[fleet.EpochAt]store.Token{}
		}
		e.by[at] = d.Epoch
		e.dependencies = append(e.dependencies, d)
	}
}

// Complete returns the epochs of e together with those of the results that were not
// complete when they were taken over. It waits for these, unless ctx ends.
func (e *Epochs) Complete(ctx context.Context) *Epochs {
	if len(e.unsettled) == 0 {
		return e
	}
	all := &Epochs{unverifiable: e.unverifiable, partial: e.partial, until: e.until}
	all.add(e.dependencies)
	for _, u := range e.unsettled {
		select {
		case <-u.done:
		case <-ctx.Done():
			return e
		}
		all.unverifiable = all.unverifiable || u.origin.Unverifiable
		all.add(u.origin.Dependencies)
		if u.origin.Incomplete {
			all.markPartial(u.origin.Trusted)
		}
	}
	return all
}

// An Unsettled says what a result brings with it whose waiters did not wait for its
// publication, when that has ended. A result that is made from this one, and is to be
// stored, waits for that: without the epochs it could not be.
type Unsettled struct {
	done   chan struct{} // closed when origin is set
	origin Origin
}

// NewUnsettled returns the origin of a result whose publication goes on.
func NewUnsettled() *Unsettled { return &Unsettled{done: make(chan struct{})} }

// Settle sets the origin, once.
func (u *Unsettled) Settle(o *Origin) {
	u.origin = *o
	close(u.done)
}
