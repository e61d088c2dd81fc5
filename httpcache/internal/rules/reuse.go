package rules

import (
	"time"
)

// A Verdict says what a request may do with a stored response.
type Verdict uint8

const (
	MustFetch    Verdict = iota // nothing: forward the request as it is
	MustValidate                // use it when the origin has said that it is still good
	IsFresh                     // use it
	IsStale                     // use it, the client or the response allows that
	IsRefreshing                // use it, and validate it in the background
)

// Terms are what a stored response says about its own reuse.
type Terms struct {
	Life
	CacheControl Directives
	Authorizes   bool // section 3.5
	Status       int
}

// Judge decides what a request may do with a stored response that its key and
// its Vary fields have selected (RFC 9111, section 4). asked is what the request
// wants of caches, authorized whether it carries Authorization.
//
// no-cache forbids every use without validation; so do, once the response is
// stale, must-revalidate and, for shared caches, proxy-revalidate and s-maxage
// (section 4.2.4). s-maxage together with stale-while-revalidate is an exception:
// whoever writes both means the second to count.
func (p *Policy) Judge(t *Terms, asked *Directives, isAuthorized bool, now time.Time) Verdict {
	age, left := t.Age(now), t.Left(now)
	switch {
	case p.Shared && isAuthorized && !t.Authorizes:
		return MustFetch
	case t.CacheControl.Any(NoCache) || asked.Any(NoCache):
		return MustValidate
	case asked.Any(minFresh) && left < asked.minFresh:
		return MustValidate
	case asked.Any(maxAge) && age > asked.maxAge && !(t.CacheControl.Any(immutable) && left > 0):
		return MustValidate // RFC 8246, section 2: a reload need not ask for what never changes
	case left > 0:
		return IsFresh
	case p.neverStale(t):
		return MustValidate
	case t.CacheControl.Any(staleWhileRevalidate) && -left < t.CacheControl.staleWhileRevalidate:
		return IsRefreshing
	case asked.Any(maxStale) && -left <= asked.maxStale && !p.sharedOnly(t):
		return IsStale
	}
	return MustValidate
}

// neverStale reports whether the response forbids all use of it when stale.
func (p *Policy) neverStale(t *Terms) bool {
	return t.CacheControl.Any(MustRevalidate|NoCache) || p.Shared && t.CacheControl.Any(proxyRevalidate)
}

// sharedOnly reports whether s-maxage forbids this cache the stale use that the
// response does not allow by name.
func (p *Policy) sharedOnly(t *Terms) bool { return p.Shared && t.CacheControl.Any(SMaxAge) }

// MayServeOnError decides whether a stored response stands in for an origin that
// failed or could not be reached (RFC 5861, section 4; RFC 9111, section 4.2.4):
// for as long as the response or the request says by stale-if-error, or else for
// Options.StaleIfError.
func (p *Policy) MayServeOnError(t *Terms, asked *Directives, isAuthorized bool, now time.Time) bool {
	stale := -t.Left(now)
	switch {
	case p.neverStale(t) || asked.Any(NoCache) || t.Status >= 500:
		return false
	case p.Shared && isAuthorized && !t.Authorizes:
		return false
	case t.CacheControl.Any(staleIfError) || asked.Any(staleIfError):
		return stale < max(t.CacheControl.staleIfError, asked.staleIfError)
	case p.sharedOnly(t):
		return false
	}
	return stale < p.StaleIfError
}

// IsError reports whether a status code is an error for stale-if-error (RFC 5861,
// section 4).
func IsError(status int) bool {
	return status == 500 || status == 502 || status == 503 || status == 504
}

// KeepFor returns how long from now a response is worth holding: while it is fresh
// or may be used stale and, if it can be validated, for Options.KeepStale more.
func (p *Policy) KeepFor(t *Terms, validatable bool, now time.Time) time.Duration {
	left := max(t.Left(now), 0)
	extra := max(t.CacheControl.staleWhileRevalidate, t.CacheControl.staleIfError)
	if !t.CacheControl.Any(staleIfError) && !p.neverStale(t) && !p.sharedOnly(t) && t.Status < 500 {
		extra = max(extra, p.StaleIfError)
	}
	if validatable {
		extra = max(extra, p.KeepStale)
	}
	return min(left+extra, Forever)
}
