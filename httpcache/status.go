package httpcache

import (
	"strconv"
	"time"
)

// A forward says why a request was not answered from the cache alone (RFC 9211,
// section 2.2).
type forward string

const (
	bypassed  forward = "bypass"
	byMethod  forward = "method"
	uriMiss   forward = "uri-miss"
	varyMiss  forward = "vary-miss"
	wasStale  forward = "stale"
	byRequest forward = "request" // its Cache-Control asked for it
)

// A cacheStatus is one member of Cache-Status, this cache's own (RFC 9211).
type cacheStatus struct {
	hit       bool
	forward   forward // if not a hit
	status    int     // of the origin's answer, where the client's is another; or zero
	ttl       time.Duration
	hasTTL    bool
	stored    bool
	collapsed bool
	detail    string // a token
}

// appendTo appends the member, for a cache of this name, which is a token.
func (s *cacheStatus) appendTo(b []byte, name string) []byte {
	b = append(b, name...)
	switch {
	case s.hit:
		b = append(b, "; hit"...)
	case s.forward != "":
		b = append(append(b, "; fwd="...), s.forward...)
	}
	if s.status != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(s.status), 10)
	}
	if s.hasTTL {
		b = strconv.AppendInt(append(b, "; ttl="...), seconds(s.ttl), 10)
	}
	if s.stored {
		b = append(b, "; stored"...)
	}
	if s.collapsed {
		b = append(b, "; collapsed"...)
	}
	if s.detail != "" {
		b = append(append(b, "; detail="...), s.detail...)
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
