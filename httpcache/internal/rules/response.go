package rules

import (
	"net/http"
	"strings"
)

// IsEventStream reports whether a response is a stream of events, whose end nobody
// should wait for.
func IsEventStream(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(Trim(kind), "text/event-stream")
}

// HasBody reports whether a response of this status has content (RFC 9110,
// section 6.4.1).
func HasBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// ContentLength returns a valid Content-Length, or -1.
func ContentLength(h http.Header) int64 {
	if lines := h["Content-Length"]; len(lines) == 1 {
		if n, ok := ParseOffset(lines[0]); ok {
			return n
		}
	}
	return -1
}
