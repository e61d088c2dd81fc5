package httpcache

import (
	"net/http"
	"net/textproto"
	"slices"
)

// A reason says why something was not taken from the cache, or not put into it,
// in the words of Cache-Status' detail parameter (RFC 9211, section 2.8).
type reason string

const (
	storable        reason = ""
	badStatus       reason = "status"
	saidNoStore     reason = "no-store"
	saidPrivate     reason = "private"
	askedNoStore    reason = "request-no-store"
	varyAll         reason = "vary"
	authorized      reason = "authorization"
	setsCookie      reason = "set-cookie"
	notExplicit     reason = "not-cacheable"
	nothingToReuse  reason = "no-freshness"
	tooLarge        reason = "too-large"
	personal        reason = "personal"
	hintedNoStore   reason = "handler-no-store"
	partialResponse reason = "partial"
	endless         reason = "stream"
	noRoom          reason = "memory" // of Options.MaxInFlight
)

// mayStore decides whether a response may be stored (RFC 9111, section 3), and
// gives the first reason why not. req is the request's header, with cookies and
// authorization as the client sent them, and asked what it asks of caches.
//
// Whether the method allows it has been decided before: see [exchange.mayLead].
func (p *policy) mayStore(r *reception, req http.Header, asked *directives, l *life) reason {
	knows := understood[r.status]
	switch {
	case r.status < 200 || r.status == http.StatusNotModified:
		return badStatus
	case r.status == http.StatusPartialContent:
		return partialResponse
	case r.cc.any(mustUnderstand) && !knows:
		return badStatus
	case r.cc.any(noStore) && !r.cc.any(mustUnderstand): // section 5.2.2.3
		return saidNoStore
	case asked.any(noStore):
		return askedNoStore
	case p.shared && r.cc.any(private):
		return saidPrivate
	case p.shared && len(req["Authorization"]) > 0 && !r.authorizes():
		return authorized
	case hasMember(r.header["Vary"], "*"):
		return varyAll
	case p.shared && !p.storeSetCookie && p.setsCookie(r):
		return setsCookie
	case !p.isCacheable(r, l):
		return notExplicit
	case p.shared && l.personal && !r.cc.any(public) && !(l.explicit && l.lifetime > 0):
		return personal
	case !p.isUseful(r, l):
		return nothingToReuse
	}
	return storable
}

// governs reports whether a field of a response says how it may be cached.
func (p *policy) governs(name string) bool {
	switch name {
	case "Cache-Control", "Expires", "Vary":
		return true
	}
	return slices.ContainsFunc(p.targets, func(t string) bool { return textproto.CanonicalMIMEHeaderKey(t) == name })
}

// authorizes reports whether the response allows a shared cache to reuse it
// although the request was authorized (RFC 9111, section 3.5).
func (r *reception) authorizes() bool { return r.cc.any(public | mustRevalidate | sMaxAge) }

// setsCookie reports whether Set-Cookie would be stored: it is not where the
// response withholds it by no-cache="set-cookie" or private="set-cookie".
func (p *policy) setsCookie(r *reception) bool {
	if len(r.header["Set-Cookie"]) == 0 && len(r.header["Set-Cookie2"]) == 0 {
		return false
	}
	for _, name := range r.cc.withheld(p.shared) {
		if textproto.CanonicalMIMEHeaderKey(name) == "Set-Cookie" {
			return false
		}
	}
	return true
}

// isCacheable is the last condition of RFC 9111, section 3: the response says, or
// its status code implies, that it may be stored.
func (p *policy) isCacheable(r *reception, l *life) bool {
	return l.explicit || r.cc.any(public) || !p.shared && r.cc.any(private) || heuristicallyCacheable[r.status]
}

// isUseful reports whether there will be any use for the response: it is fresh for
// some time, may be used stale, or can be validated.
func (p *policy) isUseful(r *reception, l *life) bool {
	if l.left(r.received) > 0 {
		return true
	}
	if r.status >= 500 {
		return false // an error that is not fresh is no help when the next one comes
	}
	if p.face == handlerFace && p.heuristicMax == 0 && r.isSilent() {
		return p.staleIfError > 0 || isStrong(r.header.Get("Etag"))
	}
	return r.cc.staleWhileRevalidate > 0 || r.cc.staleIfError > 0 || p.staleIfError > 0 ||
		len(r.header["Etag"]) > 0 || len(r.header["Last-Modified"]) > 0
}

// isSilent reports whether the response says nothing at all of caching. A Handler that
// guesses nothing validates such a response at every use, which changes nothing if
// the validator is exact: a strong ETag is, and Last-Modified is not, since a file
// may be written twice in a second.
func (r *reception) isSilent() bool {
	return !r.targeted && len(r.header["Cache-Control"]) == 0 && len(r.header["Expires"]) == 0
}
