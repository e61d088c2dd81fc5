// Package fresh decides whether a result may be used: pure functions of its window, a policy
// and an instant.
//
//   - A Policy is what the options say of how long results are used.
//   - A Window is the life of one result, and a Lifetime what decides about it.
//   - A Verdict says what a call may do with a result.
//
// The package knows instants and durations. It knows nothing that changes, and not why a
// result may have been invalidated.
package fresh

import (
	"math"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
)

// Forever is the TTL of a result that never expires.
const Forever time.Duration = math.MaxInt64

// A Policy is what the options say of how long results are used.
type Policy struct {
	TTL                  time.Duration // how long a result is fresh
	Jitter               float64       // the largest part of TTL that a result loses, from 0 to 1
	StaleWhileRevalidate time.Duration // for how long after that it is returned and refreshed in the background
	StaleIfError         time.Duration // for how long after its TTL it is returned when fn fails
	Beta                 float64       // of XFetch; zero for no early refreshes
	MaxAge               time.Duration // the oldest result that counts as fresh; negative for no such limit
	Oldest               time.Duration // the oldest result that is used at all; zero for no such limit
}

// TooOld reports whether a result is older at t than any that may be used.
func (p *Policy) TooOld(w *Window, t int64) bool {
	return p.Oldest > 0 && t >= clock.After(w.Created, p.Oldest)
}

// Stale returns how long after its TTL a result is held.
func (p *Policy) Stale() time.Duration { return max(p.StaleWhileRevalidate, p.StaleIfError) }

// A Window is the life of one result, in the package's times. It is fixed when
// the result is stored. All decisions about it are functions of the window, an
// instant and the policy of the caller.
type Window struct {
	Created int64 // when fn returned
	Fresh   int64 // the result is fresh before this
	End     int64 // and not used at all from here on, whatever a policy allows
	Cost    int64 // how long fn took
}

// A Lifetime is what decides about a window besides the instant.
type Lifetime struct {
	TTL     time.Duration // zero makes the window an empty one
	Jitter  float64       // the largest part of ttl to take off, from 0 to 1
	Stale   time.Duration // how long the result is of use after its TTL
	Inherit int64         // an instant that bounds the whole life
}

// Window returns the window of a result that fn returned at created, after cost.
// draw is a random number in (0, 1].
func (l Lifetime) Window(created, cost int64, draw float64) Window {
	w := Window{Created: created, Fresh: created, End: created, Cost: cost}
	if l.TTL == 0 {
		return w
	}
	ttl := l.TTL
	if cut := float64(ttl) * l.Jitter * draw; ttl != Forever && cut < math.MaxInt64 {
		ttl -= time.Duration(cut)
	}
	w.Fresh = min(clock.After(created, ttl), l.Inherit)
	w.End = min(clock.After(w.Fresh, l.Stale), l.Inherit)
	return w
}

// Empty reports whether there is no instant at which the result may be used.
func (w *Window) Empty() bool { return w.End <= w.Created }

// Expire ends the freshness at t, at the latest. A result that had no stale window has none
// then; of one that was fresh for ever only a policy says.
func (w *Window) Expire(t int64) {
	fresh := w.Fresh
	w.Fresh = min(w.Fresh, t)
	if w.End == fresh && fresh != clock.Forever {
		w.End = w.Fresh
	}
}

// A Verdict says what a call may do with the result it found.
type Verdict uint8

const (
	Unusable   Verdict = iota // execute
	Fresh                     // return it
	Early                     // return it, and refresh it in the background before it expires
	Revalidate                // stale: return it and refresh it in the background
	Fallback                  // stale: execute, and return it if that fails or takes too long
	BackingOff                // stale: return it; refreshing it has failed and is backing off
	Unverified                // ask the store for the epochs first
)

// Answers reports whether a call with this verdict returns what it found.
func (v Verdict) Answers() bool {
	return v != Unusable && v != Fallback && v != Unverified
}

// otherClock is how far in the future a result must have been stored to have been
// stored under another clock than it is judged by: outside of the synctest
// bubble that asks.
const otherClock = time.Hour

// Verdict decides what a call under policy p may do at t: the first row that applies.
// The limit is the end of freshness or, where that is sooner, MaxAge after the result was
// created.
//
//	t                                     verdict
//	------------------------------------  ----------------------------------
//	more than an hour before created      Unusable: it is of another clock
//	Oldest after it was created           Unusable
//	before the limit                      Fresh, or Early as XFetch draws
//	from the end of the window on         Unusable
//	StaleWhileRevalidate after the limit  Revalidate
//	StaleIfError after the limit          Fallback
//	later                                 Unusable
//
// draw is a random number in (0, 1], used only where the policy refreshes early.
func (w *Window) Verdict(t int64, p *Policy, draw func() float64) Verdict {
	limit := w.Fresh
	if p.MaxAge >= 0 {
		limit = min(limit, clock.After(w.Created, p.MaxAge))
	}
	switch {
	case w.Created > clock.After(t, otherClock), p.TooOld(w, t):
		return Unusable
	case t < limit:
		if p.Beta > 0 && w.refreshEarly(t, p.Beta, draw()) {
			return Early
		}
		return Fresh
	case t >= w.End:
		return Unusable
	case t < clock.After(limit, p.StaleWhileRevalidate):
		return Revalidate
	case t < clock.After(limit, p.StaleIfError):
		return Fallback
	}
	return Unusable
}

// refreshEarly is XFetch (Vattani, Chierichetti and Lowenstein, "Optimal
// Probabilistic Cache Stampede Prevention", VLDB 2015, figure 3): refresh when
//
//	t - cost * beta * ln(draw) >= expiry
//
// so that the chance grows as expiry comes near, from further away for what
// takes longer to make.
func (w *Window) refreshEarly(t int64, beta, draw float64) bool {
	return w.Fresh != clock.Forever && float64(t)-float64(w.Cost)*beta*math.Log(draw) >= float64(w.Fresh)
}

// earlyHorizon is how many times cost*beta before expiry XFetch is taken to
// begin: the chance that it begins sooner is e^-40, about one in 10^17.
const earlyHorizon = 40

// CoarseUntil returns until when the coarse time suffices to call the result fresh:
// until clockSlack before its freshness ends, or before XFetch may want to
// refresh it. Where there is no such time, as for a window that was opened under a
// faked clock, it is cold.
func (w *Window) CoarseUntil(beta float64) int64 {
	if clock.Faked(w.Created) {
		return Cold
	}
	margin := max(float64(clock.Slack), earlyHorizon*beta*float64(w.Cost))
	if margin >= float64(w.Fresh) {
		return Cold
	}
	return w.Fresh - int64(margin)
}

// Cold is an instant before all others: the coarse time never suffices.
const Cold = math.MinInt64 + 1

const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// Backoff returns how long a result is left alone after failures attempts in a
// row to refresh it. One failure may be a blip and costs nothing; from the
// second on the pause doubles, from 250 ms to 30 s.
func Backoff(failures uint32) time.Duration {
	if failures < 2 {
		return 0
	}
	return min(firstBackoff<<min(failures-2, 16), maxBackoff)
}
