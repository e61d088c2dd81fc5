package memo

import (
	"math"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
)

// Forever is the duration that, as a [TTL] or by [SetTTL], keeps a result fresh until
// it is invalidated or evicted.
const Forever time.Duration = math.MaxInt64

// A window is the life of one result, in the package's times. It is fixed when
// the result is stored. All decisions about it are functions of the window, an
// instant and the policy of whoever asks.
type window struct {
	created int64 // when fn returned
	fresh   int64 // the result is fresh before this
	end     int64 // and not used at all from here on, whatever a policy allows
	cost    int64 // how long fn took
}

// A lifetime is what decides about a window besides the instant.
type lifetime struct {
	ttl     time.Duration // zero makes the window an empty one
	jitter  float64       // the largest part of ttl to take off, from 0 to 1
	stale   time.Duration // how long the result is of use after its TTL
	inherit int64         // an instant that bounds the whole life
}

// lifetime returns what the policy, and fn itself by its hints, say about a
// result.
func (p *policy) lifetime(h *hint) lifetime {
	l := lifetime{ttl: p.ttl, jitter: p.jitter, stale: p.stale(), inherit: clock.Forever}
	if h.hasTTL {
		l.ttl = h.ttl
	}
	if p.inheritTTL {
		l.inherit = h.fresh
	}
	return l
}

// open returns the window of a result that fn returned at created, after cost.
// draw is a random number in (0, 1].
func (l lifetime) open(created, cost int64, draw float64) window {
	w := window{created: created, fresh: created, end: created, cost: cost}
	if l.ttl == 0 {
		return w
	}
	ttl := l.ttl
	if cut := float64(ttl) * l.jitter * draw; ttl != Forever && cut < math.MaxInt64 {
		ttl -= time.Duration(cut)
	}
	w.fresh = min(clock.After(created, ttl), l.inherit)
	w.end = min(clock.After(w.fresh, l.stale), l.inherit)
	return w
}

// empty reports whether there is no instant at which the result may be used.
func (w *window) empty() bool { return w.end <= w.created }

// A verdict says what a call may do with the result it found.
type verdict uint8

const (
	verdictUnusable   verdict = iota // execute
	verdictFresh                     // return it
	verdictEarly                     // return it, and refresh it in the background before it expires
	verdictRevalidate                // stale: return it and refresh it in the background
	verdictFallback                  // stale: execute, and return it if that fails or takes too long
	verdictHeld                      // stale: return it; refreshing it has failed and is backing off
	verdictUnverified                // ask the store for the epochs first
)

// answers reports whether a call with this verdict returns what it found.
func (v verdict) answers() bool {
	return v != verdictUnusable && v != verdictFallback && v != verdictUnverified
}

// otherClock is how far in the future a result must have been stored to have been
// stored under another clock than it is judged by: outside of the synctest
// bubble that asks.
const otherClock = time.Hour

// judge decides what a call under policy p may do at t. draw is a random number
// in (0, 1], used only where the policy refreshes early.
func (w *window) judge(t int64, p *policy, draw func() float64) verdict {
	limit := w.fresh
	if p.maxAge >= 0 {
		limit = min(limit, clock.After(w.created, p.maxAge))
	}
	switch {
	case w.created > clock.After(t, otherClock):
		return verdictUnusable
	case t < limit:
		if p.beta > 0 && w.refreshEarly(t, p.beta, draw()) {
			return verdictEarly
		}
		return verdictFresh
	case t >= w.end:
		return verdictUnusable
	case t < clock.After(limit, p.staleWhileRevalidate):
		return verdictRevalidate
	case t < clock.After(limit, p.staleIfError):
		return verdictFallback
	}
	return verdictUnusable
}

// refreshEarly is XFetch (Vattani, Chierichetti and Lowenstein, "Optimal
// Probabilistic Cache Stampede Prevention", VLDB 2015, figure 3): refresh when
//
//	t - cost * beta * ln(draw) >= expiry
//
// so that the chance grows as expiry comes near, from further away for what
// takes longer to make.
func (w *window) refreshEarly(t int64, beta, draw float64) bool {
	return w.fresh != clock.Forever && float64(t)-float64(w.cost)*beta*math.Log(draw) >= float64(w.fresh)
}

// earlyHorizon is how many times cost*beta before expiry XFetch is taken to
// begin: the chance that it begins sooner is e^-40, about one in 10^17.
const earlyHorizon = 40

// hot returns until when the coarse time suffices to call the result fresh:
// until clockSlack before its freshness ends, or before XFetch may want to
// refresh it. Where there is no such time, as for a window that was opened under a
// faked clock, it is cold.
func (w *window) hot(beta float64) int64 {
	if clock.Faked(w.created) {
		return cold
	}
	margin := max(float64(clock.Slack), earlyHorizon*beta*float64(w.cost))
	if margin >= float64(w.fresh) {
		return cold
	}
	return w.fresh - int64(margin)
}

const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// backoff returns how long a result is left alone after failures attempts in a
// row to refresh it. One failure may be a blip and costs nothing; from the
// second on the pause doubles, from 250 ms to 30 s.
func backoff(failures uint32) time.Duration {
	if failures < 2 {
		return 0
	}
	return min(firstBackoff<<min(failures-2, 16), maxBackoff)
}
