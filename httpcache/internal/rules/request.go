package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

// OverridesMethod reports whether a handler may take the request for one of
// another method: its response would answer what nobody has asked.
func OverridesMethod(h http.Header) bool {
	return len(h["X-Http-Method-Override"]) > 0 || len(h["X-Http-Method"]) > 0 || len(h["X-Method-Override"]) > 0
}

// IsStream reports whether a request wants another protocol, or a stream of
// events. No stored response is for it, and nobody should wait for it.
func IsStream(h http.Header) bool {
	return len(h["Upgrade"]) > 0 || len(h["Accept"]) == 1 && h["Accept"][0] == "text/event-stream"
}

// DigestOf returns the digest of a request's body and of what says how to read it.
func DigestOf(h http.Header, body []byte) string {
	sum := sha256.New()
	sum.Write(AppendSelecting(nil, []string{"Content-Encoding", "Content-Type"}, h))
	sum.Write(body)
	return hex.EncodeToString(sum.Sum(nil))
}

// HasRawNames reports whether a header has names that are not in canonical form. They are
// sent as they are, but say nothing to who looks for the canonical ones: not that a
// request has an Authorization, nor what a response varies by.
func HasRawNames(h http.Header) bool {
	for name := range h {
		if http.CanonicalHeaderKey(name) != name {
			return true
		}
	}
	return false
}
