package httpcache

import (
	"net/http"
	"slices"
	"strings"
)

// A short response without an ETag gets the one that the cache makes in its first
// answer already. For that its header waits for the end of the body: until the
// handler returns, flushes, or has written more than lateSize. That is what
// net/http does to find out the Content-Length, with the same size, so nobody
// sees a difference but the ETag.
const lateSize = 2048

// isLate reports whether the header of a response that is being stored waits. A
// pipe has no such wait: its reader gets the header at once.
func (rec *recorder) isLate() bool {
	r := rec.reply
	if _, piped := rec.ResponseWriter.(*pipe); piped || rec.run == nil || rec.mode != storing {
		return false
	}
	return r.status == http.StatusOK && rec.declared <= lateSize && len(r.header["Etag"]) == 0 && len(r.header["Trailer"]) == 0
}

// waits lets the header wait, as it is now.
func (rec *recorder) waits() { rec.late = rec.Header().Clone() }

// commit sends the header if it has waited, and the body so far.
func (rec *recorder) commit() {
	if rec.late == nil {
		return
	}
	h := rec.Header()
	for name := range h { // what the handler has set since is too late
		if !strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
		}
	}
	for name, lines := range rec.late {
		h[name] = lines
	}
	rec.late, rec.implied = nil, rec.implied && len(rec.body) > 0
	rec.exchange.sendHeader(rec)
	if len(rec.body) > 0 {
		rec.toClient(rec.body)
	}
}

// tag puts the ETag that the stored response has into the header that waits.
func (rec *recorder) tag(stored *record) {
	if lines := stored.Header["Etag"]; rec.late != nil && len(lines) > 0 {
		rec.late["Etag"], rec.reply.header["Etag"] = slices.Clone(lines), slices.Clone(lines)
	}
}
