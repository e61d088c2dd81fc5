package rules

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A Forward says why a request was not answered from the cache alone (RFC 9211,
// section 2.2).
type Forward string

const (
	Bypassed  Forward = "bypass"
	ByMethod  Forward = "method"
	UriMiss   Forward = "uri-miss"
	VaryMiss  Forward = "vary-miss"
	WasStale  Forward = "stale"
	ByRequest Forward = "request" // its Cache-Control asked for it
)

// A CacheStatus is one member of Cache-Status, this cache's own (RFC 9211).
type CacheStatus struct {
	Hit       bool
	Forward   Forward // if not a hit
	Status    int     // of the origin's answer, where the client's is another; or zero
	TTL       time.Duration
	HasTTL    bool
	Stored    bool
	Collapsed bool
	Detail    string // a token
}

// AppendTo appends the member, for a cache of this name, which is a token.
func (s *CacheStatus) AppendTo(b []byte, name string) []byte {
	b = append(b, name...)
	switch {
	case s.Hit:
		b = append(b, "; hit"...)
	case s.Forward != "":
		b = append(append(b, "; fwd="...), s.Forward...)
	}
	if s.Status != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(s.Status), 10)
	}
	if s.HasTTL {
		b = strconv.AppendInt(append(b, "; ttl="...), seconds(s.TTL), 10)
	}
	if s.Stored {
		b = append(b, "; stored"...)
	}
	if s.Collapsed {
		b = append(b, "; collapsed"...)
	}
	if s.Detail != "" {
		b = append(append(b, "; detail="...), s.Detail...)
	}
	return b
}

// seconds rounds down, so that what has become stale is never 0.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}

// Verdicts are the values of X-Cache.
var Verdicts = map[bool][]string{true: {"HIT"}, false: {"MISS"}}

// Announce adds what this cache says of itself to a header.
func (p *Policy) Announce(h http.Header, s *CacheStatus) {
	p.AddStatus(h, s)
	if p.XCache {
		h["X-Cache"] = slices.Clone(Verdicts[false])
	}
}

// AddStatus adds this cache's member to Cache-Status.
func (p *Policy) AddStatus(h http.Header, s *CacheStatus) {
	h["Cache-Status"] = append(slices.Clip(h["Cache-Status"]), string(s.AppendTo(nil, p.Identity)))
}
