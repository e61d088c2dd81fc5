package exchange

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

// Parts of a body are not combined, neither with one another nor with what is
// stored of the whole. But a part may answer the very question that it was the
// answer to (RFC 9111, section 3.3): a 206 response is stored for requests with
// the same Range, as long as it is fresh. It is never validated, and it is not stored
// where other processes share the store; see [stored.Records.IsShared].

// partKey returns the key of the part that the request asks for. It is not ok if
// it asks for none, or makes that depend on the whole.
func (x *exchange) partKey(index *stored.Record) (key string, ok bool) {
	lines := x.r.Header["Range"]
	if x.resource == "" || len(lines) != 1 || x.r.Method != http.MethodGet || len(x.r.Header["If-Range"]) > 0 {
		return "", false
	}
	return x.variant(index) + "\x00" + lines[0], true
}

// findPart looks for the part that is asked for, where nothing of the whole is
// stored.
func (x *exchange) findPart() {
	if x.index == nil || x.old != nil {
		return
	}
	if key, ok := x.partKey(x.index); ok {
		rec := x.cache.Records.Peek(x.r.Context(), key)
		x.now = time.Now()
		if rec != nil && !x.overtaken(rec) && x.verdict(rec) == rules.IsFresh && x.holds(rec) {
			x.old = rec
		}
	}
}

// isPart reports whether a response is a part that may be stored: it says itself
// how long it is fresh, and is one part.
func (x *exchange) isPart(r *rules.Reception, l *rules.Life) bool {
	if _, ok := x.partKey(stored.NewIndex(nil)); !ok || x.cache.Records.IsShared() || r.Status != http.StatusPartialContent || !l.Explicit || l.Left(r.Received) <= 0 {
		return false
	}
	lines := r.Header["Content-Range"]
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "bytes ") {
		return false
	}
	whole := *r
	whole.Status = http.StatusOK // the other conditions are the same
	return x.policy.MayStore(&whole, x.r.Header, &x.asked, l) == rules.Storable
}

// storePart stores a part under its resource's index, which a purge drops it with.
func (x *exchange) storePart(rec *attempt) {
	if !rec.Complete() || !rec.makeRoomToStore() {
		return
	}
	ctx, r := context.WithoutCancel(x.r.Context()), rec.Reply
	index := x.index
	if index == nil {
		if _, busy := x.cache.leading.Load(x.resource); busy || x.cache.Records.Peek(ctx, x.resource) != nil {
			return // there is something of the whole meanwhile, or there will be
		}
		index = x.cache.Records.OpenIndex(ctx, x.resource)
	}
	names, ok := rules.VaryNames(r.Header["Vary"])
	if !ok || !ContainsAll(index.Names, names) {
		return
	}
	key, _ := x.partKey(index)
	x.storeBeside(rec, key, stored.NewResponse(x.policy, r, &rec.life, false, rec.Body, nil), rec.life.Left(r.Received))
}
