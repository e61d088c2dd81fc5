package rules

import (
	"net/http"
	"time"
)

// A Life is what decides, at any later instant, how old a response is and whether
// it is fresh (RFC 9111, section 4.2). It is fixed when the response is received
// or validated.
type Life struct {
	Born     time.Time     // when it had age zero: not before it was received, if it says nothing
	Lifetime time.Duration // how long it is fresh from then on
	Explicit bool          // the response itself, or Options.TTL, said so: not a guess
	Assumed  bool          // the response itself did not
	personal bool          // it was made for a request that tells who sends it
}

// Age is current_age of RFC 9111, section 4.2.3.
func (l *Life) Age(now time.Time) time.Duration { return max(now.Sub(l.Born), 0) }

// Left returns how long the response stays fresh; negative is for how long it has
// been stale. The two of them together are the freshness check of section 4.2.
func (l *Life) Left(now time.Time) time.Duration { return l.Lifetime - l.Age(now) }

// A Reception is a response's header as it came, with what decides about its
// life.
type Reception struct {
	Status       int
	Header       http.Header
	CacheControl Directives // what responseDirectives returned
	targeted     bool       // as well
	Requested    time.Time  // when it was asked for
	Received     time.Time  // when the header came
	Mark         Mark       // what was known of patterns when it was asked for
}

// ReceptionOf reads what a response says about its life.
func (p *Policy) ReceptionOf(status int, h http.Header, requested, received time.Time) *Reception {
	cc, targeted := ResponseDirectives(h, p.Targets)
	return &Reception{Status: status, Header: h, CacheControl: cc, targeted: targeted, Requested: requested, Received: received}
}

// Date returns the Date of the response, or when it was received where it has no
// valid one (RFC 9110, section 6.6.1).
func (r *Reception) Date() time.Time {
	if t, ok := r.DateField("Date"); ok {
		return t
	}
	return r.Received
}

// DateField returns a field that holds one HTTP-date.
func (r *Reception) DateField(name string) (time.Time, bool) {
	if lines := r.Header[name]; len(lines) == 1 {
		return parseDate(lines[0], r.Received)
	}
	return time.Time{}, false
}

// born returns the instant at which the response's age was zero: received less
// corrected_initial_age of RFC 9111, section 4.2.3. A response without Date and
// Age was made here, just now.
func (r *Reception) born() time.Time {
	date, dated := r.DateField("Date")
	if !dated && len(r.Header["Age"]) == 0 {
		return r.Received
	}
	if !dated {
		date = r.Received
	}
	apparent := r.Received.Truncate(time.Second).Sub(date) // Date has whole seconds
	corrected := r.ageField() + r.Received.Sub(r.Requested)
	return r.Received.Add(-max(apparent, corrected, 0))
}

// ageField returns the first member of Age (RFC 9111, section 5.1); zero where
// that is no number.
func (r *Reception) ageField() time.Duration {
	for m := range Members(r.Header["Age"]) {
		if m[0] == '"' {
			return 0
		}
		age, _ := parseSeconds(m)
		return age
	}
	return 0
}

// ExplicitLifetime returns freshness_lifetime (RFC 9111, section 4.2.1) if the
// response gives one.
func (p *Policy) ExplicitLifetime(r *Reception) (time.Duration, bool) {
	switch {
	case p.Shared && r.CacheControl.Any(SMaxAge):
		return r.CacheControl.sMaxAge, true
	case r.CacheControl.Any(maxAge):
		return r.CacheControl.maxAge, true
	case r.targeted || len(r.Header["Expires"]) == 0:
		return 0, false
	}
	expires, ok := r.DateField("Expires") // of several, none is valid
	if !ok {
		return 0, true // as good as expired: section 5.3
	}
	return min(max(expires.Sub(r.Date()), 0), Forever), true
}

// heuristicLifetime guesses a lifetime where none is given (RFC 9111, section
// 4.2.2): a tenth of the time since the last modification.
func (p *Policy) heuristicLifetime(r *Reception) time.Duration {
	if !heuristicallyCacheable[r.Status] && !r.CacheControl.Any(Public) {
		return 0
	}
	modified, ok := r.DateField("Last-Modified")
	if !ok || r.CacheControl.Any(NoCache) {
		return 0
	}
	return min(max(r.Date().Sub(modified)/10, 0), p.HeuristicMax)
}

// LifeOf decides on the life of a response. given is what the handler said by
// memo.SetTTL, if hasGiven; Options.TTL stands in for a response that says
// nothing itself.
func (p *Policy) LifeOf(r *Reception, given time.Duration, hasGiven, personal bool) Life {
	l := Life{Born: r.born(), personal: personal}
	if hasGiven {
		l.Born, l.Lifetime, l.Explicit = r.Received, min(given, Forever), true
		return l
	}
	if l.Lifetime, l.Explicit = p.ExplicitLifetime(r); l.Explicit {
		return l
	}
	if personal && p.Shared {
		return l // nothing is assumed of what may be somebody's own
	}
	if p.TTL > 0 && isPlain(r.Status) && !r.CacheControl.Any(NoCache) {
		l.Lifetime, l.Explicit, l.Assumed = min(p.TTL, Forever), true, true
		return l
	}
	l.Lifetime, l.Assumed = p.heuristicLifetime(r), true
	return l
}

// isPlain reports whether Options.TTL is for this status code: it is about the
// resource, and not about how this one request was made, as 405 and 414 are.
// Those would let one odd request spoil the page for all.
func isPlain(status int) bool {
	return heuristicallyCacheable[status] && (status < 400 || status == http.StatusNotFound || status == http.StatusGone)
}

// heuristicallyCacheable are the status codes that RFC 9110, section 15.1,
// allows to be stored without a word of the response's own. 206 is missing
// because partial responses are not stored here.
var heuristicallyCacheable = map[int]bool{
	200: true, 203: true, 204: true, 300: true, 301: true, 308: true,
	404: true, 405: true, 410: true, 414: true, 501: true,
}

// understood are the final status codes whose caching requirements are met here,
// which is what must-understand asks for (RFC 9111, section 5.2.2.3): those of
// RFC 9110 and 451 (RFC 7725), 421 and 429 among them, without 206 and 304.
var understood = map[int]bool{
	200: true, 201: true, 202: true, 203: true, 204: true, 205: true,
	300: true, 301: true, 302: true, 303: true, 305: true, 307: true, 308: true,
	400: true, 401: true, 402: true, 403: true, 404: true, 405: true, 406: true, 407: true, 408: true, 409: true,
	410: true, 411: true, 412: true, 413: true, 414: true, 415: true, 416: true, 417: true, 421: true, 422: true,
	426: true, 429: true, 451: true,
	500: true, 501: true, 502: true, 503: true, 504: true, 505: true,
}

// A Mark is what a response knows of the patterns when its handler begins.
type Mark struct {
	Version uint64 // in this process; zero for a response that was read from a store
	Log     string // the name of the store's log, and how far it went
	Seq     uint64
}
