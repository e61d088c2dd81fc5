package stream

import (
	"io"
	"net/http"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// A forwardError is what a forwarder panics with when the request has failed: the
// exchange stores nothing then, and its reader gets the error.
type forwardError struct{ err error }

// IsExpected reports whether a panic is a way of saying that a response has failed.
func IsExpected(v any) bool {
	_, failed := v.(forwardError)
	return failed || v == http.ErrAbortHandler
}

// Relay writes a response that came over the network as one of a handler.
func Relay(w http.ResponseWriter, res *http.Response) {
	h := w.Header()
	for name, lines := range res.Header {
		h[name] = lines
	}
	rules.RemoveHopByHop(h)
	if etag := h.Get("Etag"); res.Uncompressed && rules.IsStrong(etag) {
		h["Etag"] = []string{"W/" + etag} // it is that of the compressed bytes
	}
	if res.ContentLength >= 0 && len(h["Content-Length"]) == 0 && res.Request != nil && res.Request.Method != http.MethodHead && rules.HasBody(res.StatusCode) {
		h["Content-Length"] = []string{rules.Decimal(res.ContentLength)}
	}
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(writerOnly{w}, res.Body); err != nil {
		Abort(err)
	}
	for name, lines := range res.Trailer {
		if len(lines) > 0 {
			h[http.TrailerPrefix+name] = lines
		}
	}
}

// Abort ends the exchange by a failure of the request, which its reader gets.
func Abort(err error) { panic(forwardError{err}) }
