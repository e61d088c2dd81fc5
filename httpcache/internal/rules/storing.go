package rules

import (
	"net/http"
	"net/textproto"
	"slices"
)

// A Reason says why something was not taken from the cache, or not put into it,
// in the words of Cache-Status' detail parameter (RFC 9211, section 2.8).
type Reason string

const (
	Storable        Reason = ""
	BadStatus       Reason = "status"
	SaidNoStore     Reason = "no-store"
	SaidPrivate     Reason = "private"
	AskedNoStore    Reason = "request-no-store"
	VaryAll         Reason = "vary"
	Authorized      Reason = "authorization"
	SetsCookie      Reason = "set-cookie"
	NotExplicit     Reason = "not-cacheable"
	NothingToReuse  Reason = "no-freshness"
	TooLarge        Reason = "too-large"
	Personal        Reason = "personal"
	HintedNoStore   Reason = "handler-no-store"
	PartialResponse Reason = "partial"
	Endless         Reason = "stream"
	NoRoom          Reason = "memory" // of Options.MaxInFlight
)

// MayStore decides whether a response may be stored (RFC 9111, section 3), and
// gives the first reason why not. req is the request's header, with cookies and
// authorization as the client sent them, and asked what it asks of caches.
//
// Whether the method allows it has been decided before: see [exchange.mayLead].
func (p *Policy) MayStore(r *Reception, req http.Header, asked *Directives, l *Life) Reason {
	knows := understood[r.Status]
	switch {
	case r.Status < 200 || r.Status == http.StatusNotModified:
		return BadStatus
	case r.Status == http.StatusPartialContent:
		return PartialResponse
	case r.CacheControl.Any(mustUnderstand) && !knows:
		return BadStatus
	case r.CacheControl.Any(NoStore) && !r.CacheControl.Any(mustUnderstand): // section 5.2.2.3
		return SaidNoStore
	case asked.Any(NoStore):
		return AskedNoStore
	case p.Shared && r.CacheControl.Any(private):
		return SaidPrivate
	case p.Shared && len(req["Authorization"]) > 0 && !r.Authorizes():
		return Authorized
	case HasMember(r.Header["Vary"], "*"):
		return VaryAll
	case p.Shared && !p.StoreSetCookie && p.setsCookie(r):
		return SetsCookie
	case !p.isCacheable(r, l):
		return NotExplicit
	case p.Shared && l.personal && !r.CacheControl.Any(Public) && !(l.Explicit && l.Lifetime > 0):
		return Personal
	case !p.isUseful(r, l):
		return NothingToReuse
	}
	return Storable
}

// Governs reports whether a field of a response says how it may be cached.
func (p *Policy) Governs(name string) bool {
	switch name {
	case "Cache-Control", "Expires", "Vary":
		return true
	}
	return slices.ContainsFunc(p.Targets, func(t string) bool { return textproto.CanonicalMIMEHeaderKey(t) == name })
}

// Authorizes reports whether the response allows a shared cache to reuse it
// although the request was authorized (RFC 9111, section 3.5).
func (r *Reception) Authorizes() bool { return r.CacheControl.Any(Public | MustRevalidate | SMaxAge) }

// setsCookie reports whether Set-Cookie would be stored: it is not where the
// response withholds it by no-cache="set-cookie" or private="set-cookie".
func (p *Policy) setsCookie(r *Reception) bool {
	if len(r.Header["Set-Cookie"]) == 0 && len(r.Header["Set-Cookie2"]) == 0 {
		return false
	}
	for _, name := range r.CacheControl.withheld(p.Shared) {
		if textproto.CanonicalMIMEHeaderKey(name) == "Set-Cookie" {
			return false
		}
	}
	return true
}

// isCacheable is the last condition of RFC 9111, section 3: the response says, or
// its status code implies, that it may be stored.
func (p *Policy) isCacheable(r *Reception, l *Life) bool {
	return l.Explicit || r.CacheControl.Any(Public) || !p.Shared && r.CacheControl.Any(private) || heuristicallyCacheable[r.Status]
}

// isUseful reports whether there will be any use for the response: it is fresh for
// some time, may be used stale, or can be validated.
func (p *Policy) isUseful(r *Reception, l *Life) bool {
	if l.Left(r.Received) > 0 {
		return true
	}
	if r.Status >= 500 {
		return false // an error that is not fresh is no help when the next one comes
	}
	if p.Face == HandlerFace && p.HeuristicMax == 0 && r.isSilent() {
		return p.StaleIfError > 0 || IsStrong(r.Header.Get("Etag"))
	}
	return r.CacheControl.staleWhileRevalidate > 0 || r.CacheControl.staleIfError > 0 || p.StaleIfError > 0 ||
		len(r.Header["Etag"]) > 0 || len(r.Header["Last-Modified"]) > 0
}

// isSilent reports whether the response says nothing at all of caching. A Handler that
// guesses nothing validates such a response at every use, which changes nothing if
// the validator is exact: a strong ETag is, and Last-Modified is not, since a file
// may be written twice in a second.
func (r *Reception) isSilent() bool {
	return !r.targeted && len(r.Header["Cache-Control"]) == 0 && len(r.Header["Expires"]) == 0
}
