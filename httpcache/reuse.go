package httpcache

import (
	"time"
)

// A verdict says what a request may do with a stored response.
type verdict uint8

const (
	mustFetch    verdict = iota // nothing: forward the request as it is
	mustValidate                // use it when the origin has said that it is still good
	isFresh                     // use it
	isStale                     // use it, the client or the response allows that
	isRefreshing                // use it, and validate it in the background
)

// terms are what a stored response says about its own reuse.
type terms struct {
	life
	cc         directives
	authorizes bool // section 3.5
	status     int
}

// judge decides what a request may do with a stored response that its key and
// its Vary fields have selected (RFC 9111, section 4). asked is what the request
// wants of caches, authorized whether it carries Authorization.
//
// no-cache forbids every use without validation; so do, once the response is
// stale, must-revalidate and, for shared caches, proxy-revalidate and s-maxage
// (section 4.2.4). s-maxage together with stale-while-revalidate is an exception:
// whoever writes both means the second to count.
func (p *policy) judge(t *terms, asked *directives, isAuthorized bool, now time.Time) verdict {
	age, left := t.age(now), t.left(now)
	switch {
	case p.shared && isAuthorized && !t.authorizes:
		return mustFetch
	case t.cc.any(noCache) || asked.any(noCache):
		return mustValidate
	case asked.any(minFresh) && left < asked.minFresh:
		return mustValidate
	case asked.any(maxAge) && age > asked.maxAge && !(t.cc.any(immutable) && left > 0):
		return mustValidate // RFC 8246, section 2: a reload need not ask for what never changes
	case left > 0:
		return isFresh
	case p.neverStale(t):
		return mustValidate
	case t.cc.any(staleWhileRevalidate) && -left < t.cc.staleWhileRevalidate:
		return isRefreshing
	case asked.any(maxStale) && -left <= asked.maxStale && !p.sharedOnly(t):
		return isStale
	}
	return mustValidate
}

// neverStale reports whether the response forbids all use of it when stale.
func (p *policy) neverStale(t *terms) bool {
	return t.cc.any(mustRevalidate|noCache) || p.shared && t.cc.any(proxyRevalidate)
}

// sharedOnly reports whether s-maxage forbids this cache the stale use that the
// response does not allow by name.
func (p *policy) sharedOnly(t *terms) bool { return p.shared && t.cc.any(sMaxAge) }

// mayServeOnError decides whether a stored response stands in for an origin that
// failed or could not be reached (RFC 5861, section 4; RFC 9111, section 4.2.4):
// for as long as the response or the request says by stale-if-error, or else for
// Options.StaleIfError.
func (p *policy) mayServeOnError(t *terms, asked *directives, isAuthorized bool, now time.Time) bool {
	stale := -t.left(now)
	switch {
	case p.neverStale(t) || asked.any(noCache) || t.status >= 500:
		return false
	case p.shared && isAuthorized && !t.authorizes:
		return false
	case t.cc.any(staleIfError) || asked.any(staleIfError):
		return stale < max(t.cc.staleIfError, asked.staleIfError)
	case p.sharedOnly(t):
		return false
	}
	return stale < p.staleIfError
}

// isError reports whether a status code is an error for stale-if-error (RFC 5861,
// section 4).
func isError(status int) bool {
	return status == 500 || status == 502 || status == 503 || status == 504
}

// keepFor returns how long from now a response is worth holding: while it is fresh
// or may be used stale and, if it can be validated, for Options.KeepStale more.
func (p *policy) keepFor(t *terms, validatable bool, now time.Time) time.Duration {
	left := max(t.left(now), 0)
	extra := max(t.cc.staleWhileRevalidate, t.cc.staleIfError)
	if !t.cc.any(staleIfError) && !p.neverStale(t) && !p.sharedOnly(t) && t.status < 500 {
		extra = max(extra, p.staleIfError)
	}
	if validatable {
		extra = max(extra, p.keepStale)
	}
	return min(left+extra, forever)
}
