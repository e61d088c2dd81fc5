package httpcache

import (
	"net/http"
	"slices"
	"strings"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
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
	if rec.part = rec.awaitsPart(); rec.part {
		return true
	}
	if _, piped := rec.ResponseWriter.(*pipe); piped || rec.run == nil || rec.mode != storing {
		return false
	}
	return r.Status == http.StatusOK && rec.declared <= lateSize && len(r.Header["Etag"]) == 0 && len(r.Header["Trailer"]) == 0
}

// awaitsPart reports whether the client gets a part of a response that is being stored.
// The handler was not asked for that, for it runs for others too: it was to validate
// what is stored, and brings something new. The part is cut out of the whole when
// that is there; should it turn out too large to be held, then all of it is sent.
func (rec *recorder) awaitsPart() bool {
	x, r := rec.exchange, rec.reply
	lines := x.r.Header["Range"]
	if rec.run == nil || rec.mode != storing || r.Status != http.StatusOK || len(lines) != 1 || x.r.Method != http.MethodGet {
		return false
	}
	if !x.policy.Ranges && !rules.HasMember(r.Header["Accept-Ranges"], "bytes") || x.clientHas(r) || !rules.ValidatorsOf(r).IfRange(x.r.Header, r.Received) {
		return false
	}
	if rec.declared < 0 {
		return true
	}
	_, ok := rules.ParseRange(lines[0], rec.declared)
	return ok
}

// answerPart answers with the part that is asked for of what has been stored. Where it
// does not, the whole response is still to be sent.
func (x *exchange) answerPart(rec *recorder, stored *record) {
	parts, ok := x.partsOf(stored)
	if !rec.part || rec.late == nil || !ok || x.clientHas(rec.reply) {
		return
	}
	rec.thaw()
	if len(parts) == 0 {
		rec.resetHeader()
		x.announce(rec.Header(), &rules.CacheStatus{Forward: x.miss, Stored: true})
	}
	rec.show()
	x.writeParts(stored.Body, parts)
}

// waits lets the header wait, as it is now.
func (rec *recorder) waits() { rec.late = rec.Header().Clone() }

// commit sends the header if it has waited, and the body so far.
func (rec *recorder) commit() {
	if rec.late == nil {
		return
	}
	rec.thaw()
	rec.implied = rec.implied && len(rec.body) > 0
	rec.exchange.sendHeader(rec)
	if len(rec.body) > 0 {
		rec.toClient(rec.body)
	}
}

// thaw makes the header what it was when it began to wait.
func (rec *recorder) thaw() {
	h := rec.Header()
	for name := range h { // what the handler has set since is too late
		if !strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
		}
	}
	for name, lines := range rec.late {
		h[name] = lines
	}
	rec.late, rec.part = nil, false
}

// tag puts the ETag that the stored response has into the header that waits.
func (rec *recorder) tag(stored *record) {
	if lines := stored.Header["Etag"]; rec.late != nil && len(lines) > 0 {
		rec.late["Etag"], rec.reply.Header["Etag"] = slices.Clone(lines), slices.Clone(lines)
	}
}
