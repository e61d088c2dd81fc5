package exchange

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

// A leader is the note, in Cache.leading, that a request runs the handler for a key,
// or is about to. Others that come meanwhile look at it before they wait.
type leader struct {
	alone   bool        // nobody waits for it; see [exchange.alone]
	mark    rules.Mark  // when it began
	overdue atomic.Bool // somebody has waited for it as long as anybody should
}

// enter notes that this request is about to lead, or finds that it may wait for
// the one that does. It may not if either is personal: then the handler is run
// for each. Nor may it where every use has to be validated, so that what another
// request has brought would do for no one; nor for one that others have waited for in
// vain.
func (x *exchange) enter() bool {
	if x.note != nil {
		return true
	}
	note := &leader{alone: x.alone(), mark: x.cache.purged().Now()}
	other, loaded := x.cache.leading.LoadOrStore(x.key, note)
	if !loaded {
		x.note = note
		return true
	}
	x.behind = other.(*leader)
	if x.outdates(x.behind) && x.cache.leading.CompareAndSwap(x.key, other, note) {
		x.drop(x.key)
		x.note = note
		return true
	}
	return !note.alone && !x.behind.alone && !x.behind.overdue.Load() && (x.old == nil || x.old.Derived().Shares())
}

// alone reports whether the request is one that waits for nobody, and that nobody
// waits for.
func (x *exchange) alone() bool { return x.personal && !x.policy.CollapsePersonal }

// leave takes the note of enter back.
func (x *exchange) leave() {
	if x.note != nil {
		x.cache.leading.CompareAndDelete(x.key, x.note)
		x.note = nil
	}
}

// noteLead sees to the note of a request that leads, which may be without one: it was
// chosen again after another's run had come to nothing. The note goes when the run
// has ended, for then a handler that is still running does so for its own
// client alone.
func (x *exchange) noteLead(run *stored.Run) {
	if x.note == nil {
		note := &leader{alone: x.alone(), mark: x.cache.purged().Now()}
		if _, loaded := x.cache.leading.LoadOrStore(x.key, note); !loaded {
			x.note = note
		}
	}
	if key, note := x.key, x.note; note != nil {
		context.AfterFunc(run.Context(), func() { x.cache.leading.CompareAndDelete(key, note) })
	}
}

// waitLimit returns for how long the request may still wait for others; it is negative
// where nothing limits that. All of its waiting counts together.
func (x *exchange) waitLimit() time.Duration {
	if x.policy.WaitTimeout < 0 {
		return -1
	}
	if x.waitUntil.IsZero() {
		x.waitUntil = time.Now().Add(x.policy.WaitTimeout)
	}
	return max(time.Until(x.waitUntil), 0)
}

// gaveUp notes that the request has waited for another's run in vain. Who comes later
// does not wait for that run.
func (x *exchange) gaveUp() {
	if x.behind != nil {
		x.behind.overdue.Store(true)
	}
}
