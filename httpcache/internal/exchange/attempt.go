package exchange

import (
	"net/http"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
	"github.com/seed-0226adef/memo/httpcache/internal/stream"
)

// An attempt is one run of the handler for an exchange, and what it writes.
type attempt struct {
	*stream.Recorder
	exchange *exchange
	started  time.Time
	mark     rules.Mark // what is known of patterns when the handler begins
	purges   uint64     // how often the resource had been purged when the handler began; see purged

	then func()     // what is done in place of a response that is held
	life rules.Life // of the reply
	asks bool       // the handler was asked whether the stored response is still good
}

// Decide and the methods below make it a stream.Owner. What is decided is in exchange.decide:
// pass the response on, store a copy of it, or hold it back.
func (rec *attempt) Decide(status int)    { rec.exchange.decide(rec, status) }
func (rec *attempt) SendHeader()          { rec.exchange.sendHeader(rec) }
func (rec *attempt) Release()             { rec.exchange.release() }
func (rec *attempt) Reserve(n int64) bool { return rec.exchange.reserve(n) }
func (rec *attempt) Unreserve(n int64)    { rec.exchange.unreserve(n) }
func (rec *attempt) Settle()              { rec.exchange.settle() }

// isLate reports whether the header of a response that is being stored waits. A
// pipe has no such wait: its reader gets the header at once.
func (rec *attempt) isLate() bool {
	r := rec.Reply
	if rec.Part = rec.awaitsPart(); rec.Part {
		return true
	}
	if _, piped := rec.ResponseWriter.(*stream.Pipe); piped || rec.Run == nil || rec.Mode != stream.Storing {
		return false
	}
	return r.Status == http.StatusOK && rec.Declared <= stream.LateSize && len(r.Header["Etag"]) == 0 && len(r.Header["Trailer"]) == 0
}

// awaitsPart reports whether the client gets a part of a response that is being stored.
// The handler was not asked for that, for it runs for others too: it was to validate
// what is stored, and brings something new. The part is cut out of the whole when
// that is there; should it turn out too large to be held, then all of it is sent.
func (rec *attempt) awaitsPart() bool {
	x, r := rec.exchange, rec.Reply
	lines := x.r.Header["Range"]
	if rec.Run == nil || rec.Mode != stream.Storing || r.Status != http.StatusOK || len(lines) != 1 || x.r.Method != http.MethodGet {
		return false
	}
	if !x.policy.Ranges && !rules.HasMember(r.Header["Accept-Ranges"], "bytes") || x.clientHas(r) || !rules.ValidatorsOf(r).IfRange(x.r.Header, r.Received) {
		return false
	}
	if rec.Declared < 0 {
		return true
	}
	_, ok := rules.ParseRange(lines[0], rec.Declared)
	return ok
}

// answerPart answers with the part that is asked for of what has been stored. Where it
// does not, the whole response is still to be sent.
func (x *exchange) answerPart(rec *attempt, stored *stored.Record) {
	parts, ok := x.partsOf(stored)
	if !rec.Part || rec.Late == nil || !ok || x.clientHas(rec.Reply) {
		return
	}
	rec.Thaw()
	if len(parts) == 0 {
		rec.ResetHeader()
		x.policy.Announce(rec.Header(), &rules.CacheStatus{Forward: x.miss, Stored: true})
	}
	rec.Show()
	x.writeParts(stored.Body, parts)
}

// makeRoomToStore reserves what storing the copy takes beside it: a copy of the right
// length, and the bytes for a shared store.
func (rec *attempt) makeRoomToStore() bool {
	n, size := int64(0), int64(len(rec.Body))
	if stored.IsWasteful(rec.Body) {
		n += size
	}
	if rec.exchange.cache.Records.IsShared() {
		n += size
	}
	return n == 0 || rec.Reserve(n)
}
