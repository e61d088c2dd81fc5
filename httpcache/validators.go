package httpcache

import (
	"net/http"
	"strings"
	"time"
)

// etagsMatchWeakly compares entity tags by weak comparison (RFC 9110, section
// 8.8.3.2): whether either is weak does not matter.
func etagsMatchWeakly(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/") && a != "" && b != ""
}

// etagsMatchStrongly compares entity tags by strong comparison: neither is weak.
func etagsMatchStrongly(a, b string) bool { return a == b && isStrong(a) }

func isStrong(etag string) bool { return etag != "" && !strings.HasPrefix(etag, "W/") }

// validators are what a stored response can be asked about.
type validators struct {
	etag     string
	modified time.Time // Last-Modified; zero where there is none
	text     string    // Last-Modified as it was written
	date     time.Time // Date, or when the response was received
}

// validatorsOf returns the validators of a response that was just received.
func validatorsOf(r *reception) *validators {
	v := &validators{etag: r.header.Get("Etag"), text: r.header.Get("Last-Modified"), date: r.date()}
	v.modified, _ = r.dateField("Last-Modified")
	return v
}

// notModified evaluates a request's preconditions on a stored 200 response, and
// reports whether 304 is the answer (RFC 9111, section 4.3.2; RFC 9110, section
// 13.2.2). If-None-Match, when there is one, makes If-Modified-Since count for
// nothing. If-Match and If-Unmodified-Since are not for caches: requests with
// those do not get here.
func (v *validators) notModified(h http.Header, now time.Time) bool {
	if lines := h["If-None-Match"]; len(lines) > 0 {
		return v.listedIn(lines)
	}
	lines := h["If-Modified-Since"]
	if len(lines) != 1 {
		return false
	}
	since, ok := parseDate(lines[0], now)
	if !ok {
		return false
	}
	if v.modified.IsZero() {
		return !v.date.Truncate(time.Second).After(since)
	}
	return !v.modified.After(since)
}

// listedIn reports whether an If-None-Match field names the stored response.
func (v *validators) listedIn(lines []string) bool {
	if len(lines) == 1 && lines[0] == v.etag && v.etag != "" {
		return true // as most are
	}
	for m := range members(lines) {
		if m == "*" || etagsMatchWeakly(m, v.etag) {
			return true
		}
	}
	return false
}

// ifRange evaluates If-Range (RFC 9110, section 13.1.5): without the field, or
// when it names exactly the stored response, the range is served.
func (v *validators) ifRange(h http.Header, now time.Time) bool {
	lines := h["If-Range"]
	switch {
	case len(lines) == 0:
		return true
	case len(lines) > 1:
		return false
	case strings.HasPrefix(lines[0], `"`) || strings.HasPrefix(lines[0], "W/"):
		return etagsMatchStrongly(lines[0], v.etag)
	}
	t, ok := parseDate(lines[0], now)
	return ok && !v.modified.IsZero() && t.Equal(v.modified) && v.isStrongDate()
}

// isStrongDate reports whether Last-Modified is a strong validator: the response
// was made at least a second later (RFC 9110, section 8.8.2.2).
func (v *validators) isStrongDate() bool { return v.date.Sub(v.modified) >= time.Second }

// preconditions are the request fields that the cache evaluates itself.
var preconditions = []string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"}

// isForOrigin reports whether a request has preconditions that only the origin
// can evaluate (RFC 9111, section 4.3.2).
func isForOrigin(h http.Header) bool {
	return len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0
}

// condition makes a request conditional on the stored response (RFC 9111, section
// 4.3.1), in place of the conditions that its client gave.
func (v *validators) condition(h http.Header) {
	for _, name := range preconditions {
		delete(h, name)
	}
	if v.etag != "" {
		h["If-None-Match"] = []string{v.etag}
	}
	if v.text != "" {
		h["If-Modified-Since"] = []string{v.text}
	}
}

// validates reports whether a 304 response is about the stored response (RFC 9111,
// section 4.3.4): a strong entity tag must be the same, and so must a weak one or
// a date where there is nothing stronger.
func (v *validators) validates(h http.Header) bool {
	if etag := h.Get("Etag"); etag != "" && v.etag != "" {
		if isStrong(etag) && isStrong(v.etag) {
			return etag == v.etag
		}
		return etagsMatchWeakly(etag, v.etag)
	}
	if text := h.Get("Last-Modified"); text != "" && v.text != "" && v.etag == "" {
		return text == v.text
	}
	return true
}
