package httpcache

import (
	"net/http"
	"time"
)

// A life is what decides, at any later instant, how old a response is and whether
// it is fresh (RFC 9111, section 4.2). It is fixed when the response is received
// or validated.
type life struct {
	born     time.Time     // when it had age zero: not before it was received, if it says nothing
	lifetime time.Duration // how long it is fresh from then on
	explicit bool          // the response itself, or Options.TTL, said so: not a guess
	assumed  bool          // the response itself did not
	personal bool          // it was made for a request that tells who sends it
}

// age is current_age of RFC 9111, section 4.2.3.
func (l *life) age(now time.Time) time.Duration { return max(now.Sub(l.born), 0) }

// left returns how long the response stays fresh; negative is for how long it has
// been stale. The two of them together are the freshness check of section 4.2.
func (l *life) left(now time.Time) time.Duration { return l.lifetime - l.age(now) }

// A reception is a response's header as it came, with what decides about its
// life.
type reception struct {
	status    int
	header    http.Header
	cc        directives // what responseDirectives returned
	targeted  bool       // as well
	requested time.Time  // when it was asked for
	received  time.Time  // when the header came
	mark      mark       // what was known of patterns when it was asked for
}

// receptionOf reads what a response says about its life.
func (p *policy) receptionOf(status int, h http.Header, requested, received time.Time) *reception {
	cc, targeted := responseDirectives(h, p.targets)
	return &reception{status: status, header: h, cc: cc, targeted: targeted, requested: requested, received: received}
}

// date returns the Date of the response, or when it was received where it has no
// valid one (RFC 9110, section 6.6.1).
func (r *reception) date() time.Time {
	if t, ok := r.dateField("Date"); ok {
		return t
	}
	return r.received
}

// dateField returns a field that holds one HTTP-date.
func (r *reception) dateField(name string) (time.Time, bool) {
	if lines := r.header[name]; len(lines) == 1 {
		return parseDate(lines[0], r.received)
	}
	return time.Time{}, false
}

// born returns the instant at which the response's age was zero: received less
// corrected_initial_age of RFC 9111, section 4.2.3. A response without Date and
// Age was made here, just now.
func (r *reception) born() time.Time {
	date, dated := r.dateField("Date")
	if !dated && len(r.header["Age"]) == 0 {
		return r.received
	}
	if !dated {
		date = r.received
	}
	apparent := r.received.Truncate(time.Second).Sub(date) // Date has whole seconds
	corrected := r.ageField() + r.received.Sub(r.requested)
	return r.received.Add(-max(apparent, corrected, 0))
}

// ageField returns the first member of Age (RFC 9111, section 5.1); zero where
// that is no number.
func (r *reception) ageField() time.Duration {
	for m := range members(r.header["Age"]) {
		if m[0] == '"' {
			return 0
		}
		age, _ := parseSeconds(m)
		return age
	}
	return 0
}

// explicitLifetime returns freshness_lifetime (RFC 9111, section 4.2.1) if the
// response gives one.
func (p *policy) explicitLifetime(r *reception) (time.Duration, bool) {
	switch {
	case p.shared && r.cc.any(sMaxAge):
		return r.cc.sMaxAge, true
	case r.cc.any(maxAge):
		return r.cc.maxAge, true
	case r.targeted || len(r.header["Expires"]) == 0:
		return 0, false
	}
	expires, ok := r.dateField("Expires") // of several, none is valid
	if !ok {
		return 0, true // as good as expired: section 5.3
	}
	return min(max(expires.Sub(r.date()), 0), forever), true
}

// heuristicLifetime guesses a lifetime where none is given (RFC 9111, section
// 4.2.2): a tenth of the time since the last modification.
func (p *policy) heuristicLifetime(r *reception) time.Duration {
	if !heuristicallyCacheable[r.status] && !r.cc.any(public) {
		return 0
	}
	modified, ok := r.dateField("Last-Modified")
	if !ok || r.cc.any(noCache) {
		return 0
	}
	return min(max(r.date().Sub(modified)/10, 0), p.heuristicMax)
}

// lifeOf decides on the life of a response. given is what the handler said by
// memo.SetTTL, if hasGiven; Options.TTL stands in for a response that says
// nothing itself.
func (p *policy) lifeOf(r *reception, given time.Duration, hasGiven, personal bool) life {
	l := life{born: r.born(), personal: personal}
	if hasGiven {
		l.born, l.lifetime, l.explicit = r.received, min(given, forever), true
		return l
	}
	if l.lifetime, l.explicit = p.explicitLifetime(r); l.explicit {
		return l
	}
	if personal && p.shared {
		return l // nothing is assumed of what may be somebody's own
	}
	if p.ttl > 0 && isPlain(r.status) && !r.cc.any(noCache) {
		l.lifetime, l.explicit, l.assumed = min(p.ttl, forever), true, true
		return l
	}
	l.lifetime, l.assumed = p.heuristicLifetime(r), true
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
