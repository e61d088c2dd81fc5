package exchange

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
	"github.com/seed-0226adef/memo/httpcache/internal/stream"
	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/nested"
)

// execute runs the handler, and answers the client. run, if it is not nil, ends
// with what the handler brought, however that ends.
func (x *exchange) execute(ctx context.Context, run *stored.Run) {
	defer run.End(stored.Outcome{Err: stored.ErrRetry}) // if nothing else has been said by then
	for {
		rec := &attempt{exchange: x, started: time.Now(), purges: x.purgesNow(run), mark: x.markNow()}
		rec.Recorder = stream.NewRecorder(ctx, x.w, rec, x.policy, run)
		x.runHandler(rec)
		if rec.Mode == stream.Holding && rec.then == nil {
			x.old = nil // what is not modified is not what is stored: ask without conditions
			continue
		}
		if rec.Wrote {
			x.conclude(rec)
		} else {
			x.leaveUnbegun(rec)
		}
		rec.Leave()
		return
	}
}

// leaveUnbegun ends a run whose handler has written nothing. What that means is up to
// whoever called the cache: a middleware that writes an error in the handler's
// place, or net/http, for which it is an empty 200. So the cache neither begins a
// response nor stores one, and each of those who wait runs the handler itself. To an
// unsafe method it counts as a success: should it have been an error, then what is
// stored has been dropped without need.
func (x *exchange) leaveUnbegun(rec *attempt) {
	x.release()
	rec.Run.End(stored.Outcome{Err: stored.ErrPass})
	x.count(rec)
	if x.miss == rules.ByMethod {
		rec.Reply = x.policy.ReceptionOf(http.StatusOK, rec.OwnHeader(), rec.started, time.Now())
		x.invalidate(rec)
	}
	if !x.policy.KeepTags {
		rules.DeleteTags(rec.Header())
	}
}

// runHandler has the handler write its response.
func (x *exchange) runHandler(rec *attempt) {
	returned := false
	defer func() {
		v := recover()
		if !returned { // it panicked, or has ended its goroutine
			rec.LeaveTo(v)
		}
		if v != nil {
			panic(v)
		}
	}()
	x.next.ServeHTTP(rec, x.request(rec))
	returned = true
}

// conclude does what is to be done when the handler has returned.
func (x *exchange) conclude(rec *attempt) {
	switch {
	case rec.Mode == stream.Holding:
		rec.then()
	case rec.Mode == stream.Storing && rec.Run != nil:
		x.store(rec)
	case rec.Mode == stream.Storing && x.miss == rules.ByMethod:
		x.storeForGet(rec)
	case rec.Mode == stream.Storing:
		x.storePart(rec)
	case x.r.Method == http.MethodHead && x.old != nil:
		x.learnFromHead(rec)
	}
	rec.Commit()
	rec.FinishClient()
}

// purgesNow is what [exchange.purged] compares with. What run brings needs no such
// number.
func (x *exchange) purgesNow(run *stored.Run) uint64 {
	if run != nil {
		return 0
	}
	return x.purgesOf(x.target())
}

// markNow returns the mark of a handler that begins now. What it would validate must not
// have been purged by a pattern since it was found.
func (x *exchange) markNow() rules.Mark {
	m := x.cache.purged().Now()
	if x.old != nil && x.upTo < m.Version {
		if x.upTo = m.Version; x.overtaken(x.old) {
			x.old = nil
		}
	}
	return m
}

// request makes the request that the handler sees.
//
//   - It is conditional on the stored response, if there is one that the handler
//     itself gave validators to.
//   - When others wait for the answer, or it is to be stored, the conditions of
//     this client are left out: they are evaluated on the answer.
//   - Parameters that are no part of the key are left out.
func (x *exchange) request(rec *attempt) *http.Request {
	r := x.r.WithContext(rec.Ctx)
	rec.asks = x.old != nil && x.old.CanValidate() && r.Method != http.MethodHead
	if rec.asks || rec.Run != nil {
		r.Header = r.Header.Clone() // what is in the key must not change, even if values are rewritten in place
		for _, name := range rules.Preconditions {
			delete(r.Header, name)
		}
	}
	if x.digest != "" {
		r.Body = io.NopCloser(bytes.NewReader(x.payload))
	}
	if rec.asks {
		x.old.Origins().Condition(r.Header)
	}
	if q := x.policy.VisibleQuery(r.URL.RawQuery); rec.Run != nil && q != r.URL.RawQuery {
		u := *r.URL
		u.RawQuery = q
		r.URL = &u
		if r.RequestURI != "" {
			r.RequestURI = u.RequestURI()
		}
	}
	return r
}

// decide says what becomes of a response whose header the handler has just
// written.
func (x *exchange) decide(rec *attempt, status int) {
	own := rec.OwnHeader()
	rec.Reply = x.policy.ReceptionOf(status, own, rec.started, time.Now())
	rec.Reply.Mark = rec.mark
	switch {
	case status == http.StatusNotModified && rec.asks:
		x.hold(rec)
		if x.old.Origins().Validates(own) {
			rec.then = func() { x.validated(rec) }
		}
	case rules.IsError(status) && x.mayBeStale():
		x.hold(rec)
		rec.then = func() {
			rec.Run.End(stored.Outcome{Err: stored.ErrStale})
			x.serveStale()
		}
	default:
		x.pass(rec)
	}
}

// hold keeps a response from the client.
func (x *exchange) hold(rec *attempt) {
	rec.Mode = stream.Holding
	rec.ResetHeader()
}

// pass lets a response go to the client, and has it copied if it may be stored.
func (x *exchange) pass(rec *attempt) {
	r := rec.Reply
	hint := nested.Said(rec.Ctx)
	rec.life = x.policy.LifeOf(r, hint.TTL, hint.HasTTL, x.personal)
	why := x.policy.MayStore(r, x.r.Header, &x.asked, &rec.life)
	switch {
	case hint.NoStore:
		why = rules.HintedNoStore
	case why == rules.Storable && rules.IsEventStream(r.Header):
		why = rules.Endless
	case why == rules.Storable && rec.Declared > x.policy.MaxBody:
		why = rules.TooLarge
	case why == rules.Storable:
		if _, ok := rules.VaryNames(r.Header["Vary"]); !ok {
			why = rules.VaryAll
		}
	}
	if why == rules.Storable && rec.Run != nil && rec.Declared > 0 && rules.HasBody(r.Status) && !rec.MakeRoom(rec.Declared) {
		why = rules.NoRoom
	}
	rec.Mode = stream.Passing
	switch {
	case x.miss == rules.ByMethod:
		x.invalidate(rec)
		if x.mayAnswerGet(r) {
			rec.Mode = stream.Storing
		}
	case why == rules.Storable && rec.Run != nil, why == rules.PartialResponse && rec.Run == nil && x.isPart(r, &rec.life):
		rec.Mode = stream.Storing
	default:
		x.release()
		rec.Run.End(x.unshared(r.Status, why))
	}
	if rec.Mode == stream.Passing {
		rec.Pace()
	}
	x.count(rec)
	x.writeHeader(rec, why)
}

// unshared is what a run ends with whose response nobody else can have. For a
// moment others who ask for the resource need not wait to learn that, unless it
// may have been for this request's sake, or for a reason that may soon be over.
func (x *exchange) unshared(status int, why rules.Reason) stored.Outcome {
	if x.personal || x.old != nil || status >= 400 || x.asked.Has != 0 || why == rules.PartialResponse || why == rules.NoRoom {
		return stored.Outcome{Err: stored.ErrPass}
	}
	return stored.Outcome{Rec: &stored.Record{Kind: stored.Pass}, Keeping: stored.Keeping{Ttl: passLife}}
}

// passLife is how long a pass is held.
const passLife = time.Second

func (x *exchange) count(rec *attempt) {
	if rec.Run == nil {
		x.cache.Count.Passes.Add(1)
	} else {
		x.cache.Count.Misses.Add(1)
	}
}

// writeHeader sends the header of a response that goes to the client, with what
// the cache has to say, or lets it wait. If the client's own conditions are met by
// it, the client gets a 304 in its place.
func (x *exchange) writeHeader(rec *attempt, why rules.Reason) {
	r, h := rec.Reply, rec.Header()
	if !x.policy.KeepTags {
		rules.DeleteTags(h)
	}
	if len(r.Header["Date"]) == 0 && r.Status >= 200 {
		date := r.Received.UTC().Format(http.TimeFormat)
		h["Date"], r.Header["Date"] = []string{date}, []string{date}
	}
	told := nested.Said(rec.Ctx).HasTTL
	if rec.Mode == stream.Storing && x.policy.ClientControl != nil && len(r.Header["Cache-Control"]) == 0 {
		h["Cache-Control"], told = slices.Clone(x.policy.ClientControl), true
	}
	if rec.Mode == stream.Storing && told && len(h["Cache-Control"]) > 0 { // as setFields does
		h["Date"] = []string{r.Received.UTC().Format(http.TimeFormat)}
		delete(h, "Age")
	}
	x.policy.Announce(h, &rules.CacheStatus{Forward: x.miss, Stored: rec.Mode == stream.Storing, Detail: string(why)})
	if rec.isLate() {
		rec.Waits()
		return
	}
	x.sendHeader(rec)
}

// sendHeader sends the header, or a 304 in its place.
func (x *exchange) sendHeader(rec *attempt) {
	if rec.Reply.Status == http.StatusOK && rec.Run != nil && x.clientHas(rec.Reply) {
		rec.Muted = true
		x.notModified(rec)
		return
	}
	rec.Show()
	if !rec.Implied || len(rec.Header()["Content-Encoding"]) > 0 {
		rec.ResponseWriter.WriteHeader(rec.Reply.Status)
		rec.Implied = false
	}
}

// clientHas reports whether the response is what the client says to have. It is
// asked only when its conditions have been kept from the handler.
func (x *exchange) clientHas(r *rules.Reception) bool {
	v := rules.ValidatorsOf(r)
	return (v.ETag != "" || !v.Modified.IsZero()) && v.NotModified(x.r.Header, r.Received)
}

// notModified sends a 304 in place of a response whose header has been written.
func (x *exchange) notModified(rec *attempt) {
	h := rec.Header()
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Trailer", "Accept-Ranges"} {
		delete(h, name)
	}
	x.cache.Count.NotModified.Add(1)
	rec.Show()
	x.w.WriteHeader(http.StatusNotModified)
}

// store stores a response that the handler has written to its end.
func (x *exchange) store(rec *attempt) {
	if !rec.Complete() {
		return // execute says so
	}
	hint := nested.Said(rec.Ctx)
	if hint.NoStore || !rec.makeRoomToStore() {
		rec.Run.End(stored.Outcome{Err: stored.ErrPass})
		return
	}
	trailer := rec.Trailer()
	r := rec.Reply
	if hint.HasTTL { // perhaps since the header was written
		rec.life = x.policy.LifeOf(r, hint.TTL, true, x.personal)
	}
	x.finishHeader(rec)
	response := stored.NewResponse(x.policy, r, &rec.life, hint.HasTTL, rec.Body, trailer)
	rec.Tag(response)
	x.cache.Count.Stored.Add(1)
	x.end(rec, x.place(response, r.Header))
	x.answerPart(rec, response)
}

// finishHeader completes the header that is stored: the trailer is stored apart.
func (x *exchange) finishHeader(rec *attempt) {
	h := rec.Reply.Header
	for name := range rules.Members(h["Trailer"]) {
		delete(h, textproto.CanonicalMIMEHeaderKey(name))
	}
}

// place decides under which key a response is stored.
//
//   - Where nothing but the resource's key selects it, under that.
//   - Where it varies, or is a Transport's, and there is no index yet, under the key of its variant,
//     with an index that makes it known.
//   - Where the index does not know all that it varies by, not at all: the index
//     is replaced by one that does, for the next request.
func (x *exchange) place(rec *stored.Record, h http.Header) (o stored.Outcome) {
	o = stored.Outcome{Rec: rec, Keeping: stored.Keeping{Tags: rules.TagsOf(h)}}
	d := rec.Derived()
	o.Ttl = x.policy.KeepFor(&d.Terms, rec.CanValidate(), time.Now())
	names, _ := rules.VaryNames(h["Vary"])
	switch {
	case x.index == nil && (len(names) > 0 || x.face == rules.TransportFace):
		o.Variant, o.Rec = rec, stored.NewIndex(names)
		o.VariantKey = x.variant(o.Rec)
	case x.index != nil && !ContainsAll(x.index.Names, names):
		x.widen(names)
		o = stored.Outcome{Err: stored.ErrPass}
	}
	return o
}

// widen replaces the index by one that knows of more fields.
func (x *exchange) widen(names []string) {
	names = slices.Concat(x.index.Names, names)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) <= rules.MaxVary {
		x.cache.Records.Put(context.WithoutCancel(x.r.Context()), x.resource, stored.NewIndex(names), stored.Keeping{Ttl: stored.IndexLife})
	}
}

func ContainsAll(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// validated answers with the stored response when the handler has said that it is
// still good.
func (x *exchange) validated(rec *attempt) {
	hint := nested.Said(rec.Ctx)
	fresh, why := x.refreshed(rec.Reply, hint)
	if hint.NoStore || why != rules.Storable && why != rules.NothingToReuse {
		x.end(rec, stored.Outcome{Err: stored.ErrPass})
	}
	x.end(rec, x.outcomeOf(fresh, rec.Reply))
	x.now = time.Now()
	x.cache.Count.Revalidated.Add(1)
	for _, name := range rules.CookieFields { // which are for this client alone, unless they are stored
		if lines := rec.Reply.Header[name]; len(lines) > 0 && len(fresh.Header[name]) == 0 {
			x.w.Header()[name] = slices.Concat(x.w.Header()[name], lines)
		}
	}
	x.respond(fresh, &rules.CacheStatus{Forward: x.miss, Status: http.StatusNotModified, Stored: rec.Run != nil})
}

// learnFromHead updates the stored response to GET by one to HEAD, or drops it if
// the two are not about the same (RFC 9111, section 4.3.5).
func (x *exchange) learnFromHead(rec *attempt) {
	if rec.Reply == nil || rec.Reply.Status != http.StatusOK || x.old.Status != http.StatusOK || x.asked.Any(rules.NoStore) {
		return
	}
	ctx, h := context.WithoutCancel(x.r.Context()), rec.Reply.Header
	if !x.old.Origins().Validates(h) || rec.Declared >= 0 && rec.Declared != int64(len(x.old.Body)) {
		if err := x.cache.Records.Drop(ctx, x.key); err != nil {
			x.cache.log().Warn("memo: httpcache: a response that a HEAD disagrees with could not be dropped", "error", err)
		}
		return
	}
	fresh, why := x.refreshed(rec.Reply, nested.Hint{})
	if _, busy := x.cache.leading.Load(x.key); busy || why != rules.Storable {
		return // what a GET brings in this moment is better
	}
	update, _, err := x.cache.Records.Begin(ctx, x.key, engine.Terms{Forced: true, Patience: -1})
	if err != nil {
		x.cache.log().Warn("memo: httpcache: a response could not be updated by a HEAD", "error", err)
		return
	}
	update.End(x.outcomeOf(fresh, rec.Reply))
}

// refreshed returns what a validation, or an answer to HEAD, makes of the stored response,
// and whether that may be stored.
func (x *exchange) refreshed(by *rules.Reception, hint nested.Hint) (*stored.Record, rules.Reason) {
	fresh, whole, life := x.old.Refreshed(x.policy, by, hint.TTL, hint.HasTTL, x.personal)
	return fresh, x.policy.MayStore(whole, x.r.Header, &x.asked, life)
}

// outcomeOf is what a run ends with that has refreshed the stored response.
func (x *exchange) outcomeOf(fresh *stored.Record, r *rules.Reception) stored.Outcome {
	keep := x.policy.KeepFor(&fresh.Derived().Terms, fresh.CanValidate(), r.Received)
	return stored.Outcome{Rec: fresh, Of: x.old, Keeping: stored.Keeping{Ttl: keep, Tags: rules.TagsOf(r.Header)}}
}
