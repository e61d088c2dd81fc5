package stream

import (
	"net/http"
	"slices"
	"strings"

	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

// A short response without an ETag gets the one that the cache makes in its first
// answer already. For that its header waits for the end of the body: until the
// handler returns, flushes, or has written more than LateSize. That is what
// net/http does to find out the Content-Length, with the same size, so nobody
// sees a difference but the ETag.
const LateSize = 2048

// Waits lets the header wait, as it is now.
func (rec *Recorder) Waits() { rec.Late = rec.Header().Clone() }

// Commit sends the header if it has waited, and the body so far.
func (rec *Recorder) Commit() {
	if rec.Late == nil {
		return
	}
	rec.Thaw()
	rec.Implied = rec.Implied && len(rec.Body) > 0
	rec.owner.SendHeader()
	if len(rec.Body) > 0 {
		rec.toClient(rec.Body)
	}
}

// Thaw makes the header what it was when it began to wait.
func (rec *Recorder) Thaw() {
	h := rec.Header()
	for name := range h { // what the handler has set since is too late
		if !strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
		}
	}
	for name, lines := range rec.Late {
		h[name] = lines
	}
	rec.Late, rec.Part = nil, false
}

// Tag puts the ETag that the stored response has into the header that waits.
func (rec *Recorder) Tag(stored *stored.Record) {
	if lines := stored.Header["Etag"]; rec.Late != nil && len(lines) > 0 {
		rec.Late["Etag"], rec.Reply.Header["Etag"] = slices.Clone(lines), slices.Clone(lines)
	}
}
