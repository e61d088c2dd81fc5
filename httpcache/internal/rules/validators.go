package rules

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
func etagsMatchStrongly(a, b string) bool { return a == b && IsStrong(a) }

func IsStrong(etag string) bool { return etag != "" && !strings.HasPrefix(etag, "W/") }

// Validators are what a stored response can be asked about.
type Validators struct {
	ETag     string
	Modified time.Time // Last-Modified; zero where there is none
	Text     string    // Last-Modified as it was written
	Date     time.Time // Date, or when the response was received
}

// ValidatorsOf returns the validators of a response that was just received.
func ValidatorsOf(r *Reception) *Validators {
	v := &Validators{ETag: r.Header.Get("Etag"), Text: r.Header.Get("Last-Modified"), Date: r.Date()}
	v.Modified, _ = r.DateField("Last-Modified")
	return v
}

// NotModified evaluates a request's preconditions on a stored 200 response, and
// reports whether 304 is the answer (RFC 9111, section 4.3.2; RFC 9110, section
// 13.2.2). If-None-Match, when there is one, makes If-Modified-Since count for
// nothing. If-Match and If-Unmodified-Since are not for caches: requests with
// those do not get here.
func (v *Validators) NotModified(h http.Header, now time.Time) bool {
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
	if v.Modified.IsZero() {
		return !v.Date.Truncate(time.Second).After(since)
	}
	return !v.Modified.After(since)
}

// listedIn reports whether an If-None-Match field names the stored response.
func (v *Validators) listedIn(lines []string) bool {
	if len(lines) == 1 && lines[0] == v.ETag && v.ETag != "" {
		return true // as most are
	}
	for m := range Members(lines) {
		if m == "*" || etagsMatchWeakly(m, v.ETag) {
			return true
		}
	}
	return false
}

// IfRange evaluates If-Range (RFC 9110, section 13.1.5): without the field, or
// when it names exactly the stored response, the range is served.
func (v *Validators) IfRange(h http.Header, now time.Time) bool {
	lines := h["If-Range"]
	switch {
	case len(lines) == 0:
		return true
	case len(lines) > 1:
		return false
	case strings.HasPrefix(lines[0], `"`) || strings.HasPrefix(lines[0], "W/"):
		return etagsMatchStrongly(lines[0], v.ETag)
	}
	t, ok := parseDate(lines[0], now)
	return ok && !v.Modified.IsZero() && t.Equal(v.Modified) && v.isStrongDate()
}

// isStrongDate reports whether Last-Modified is a strong validator: the response
// was made at least a second later (RFC 9110, section 8.8.2.2).
func (v *Validators) isStrongDate() bool { return v.Date.Sub(v.Modified) >= time.Second }

// Preconditions are the request fields that the cache evaluates itself.
var Preconditions = []string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"}

// IsForOrigin reports whether a request has preconditions that only the origin
// can evaluate (RFC 9111, section 4.3.2).
func IsForOrigin(h http.Header) bool {
	return len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0
}

// Condition makes a request conditional on the stored response (RFC 9111, section
// 4.3.1), in place of the conditions that its client gave.
func (v *Validators) Condition(h http.Header) {
	for _, name := range Preconditions {
		delete(h, name)
	}
	if v.ETag != "" {
		h["If-None-Match"] = []string{v.ETag}
	}
	if v.Text != "" {
		h["If-Modified-Since"] = []string{v.Text}
	}
}

// Validates reports whether a 304 response is about the stored response (RFC 9111,
// section 4.3.4): a strong entity tag must be the same, and so must a weak one or
// a date where there is nothing stronger.
func (v *Validators) Validates(h http.Header) bool {
	if etag := h.Get("Etag"); etag != "" && v.ETag != "" {
		if IsStrong(etag) && IsStrong(v.ETag) {
			return etag == v.ETag
		}
		return etagsMatchWeakly(etag, v.ETag)
	}
	if text := h.Get("Last-Modified"); text != "" && v.Text != "" && v.ETag == "" {
		return text == v.Text
	}
	return true
}
