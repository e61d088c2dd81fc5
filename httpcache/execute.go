package httpcache

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/nested"
)

// execute runs the handler, and answers the client. run, if it is not nil, ends
// with what the handler brought, however that ends.
func (x *exchange) execute(ctx context.Context, run *run) {
	defer run.end(outcome{err: errRetry}) // if nothing else has been said by then
	for {
		rec := &recorder{
			ResponseWriter: x.w, exchange: x, ctx: ctx, run: run, declared: -1,
			initial: cloneIfAny(x.w.Header()), started: time.Now(), purges: x.purgesNow(run), mark: x.markNow(),
		}
		rec.separate()
		x.runHandler(rec)
		if rec.mode == holding && rec.then == nil {
			x.old = nil // what is not modified is not what is stored: ask without conditions
			continue
		}
		if rec.wrote {
			x.conclude(rec)
		} else {
			x.leaveUnbegun(rec)
		}
		rec.leave()
		return
	}
}

// leaveUnbegun ends a run whose handler has written nothing. What that means is up to
// whoever called the cache: a middleware that writes an error in the handler's
// place, or net/http, for which it is an empty 200. So the cache neither begins a
// response nor stores one, and each of those who wait runs the handler itself. To an
// unsafe method it counts as a success: should it have been an error, then what is
// stored has been dropped without need.
func (x *exchange) leaveUnbegun(rec *recorder) {
	x.release()
	rec.run.end(outcome{err: errPass})
	x.count(rec)
	if x.miss == rules.ByMethod {
		rec.reply = x.policy.ReceptionOf(http.StatusOK, rec.ownHeader(), rec.started, time.Now())
		x.invalidate(rec)
	}
	if !x.policy.KeepTags {
		rules.DeleteTags(rec.Header())
	}
}

// runHandler has the handler write its response.
func (x *exchange) runHandler(rec *recorder) {
	returned := false
	defer func() {
		v := recover()
		if !returned { // it panicked, or has ended its goroutine
			rec.leaveTo(v)
		}
		if v != nil {
			panic(v)
		}
	}()
	x.next.ServeHTTP(rec, x.request(rec))
	returned = true
}

// conclude does what is to be done when the handler has returned.
func (x *exchange) conclude(rec *recorder) {
	switch {
	case rec.mode == holding:
		rec.then()
	case rec.mode == storing && rec.run != nil:
		x.store(rec)
	case rec.mode == storing && x.miss == rules.ByMethod:
		x.storeForGet(rec)
	case rec.mode == storing:
		x.storePart(rec)
	case x.r.Method == http.MethodHead && x.old != nil:
		x.learnFromHead(rec)
	}
	rec.commit()
	rec.finishClient()
}

// purgesNow is what [exchange.purged] compares with. What run brings needs no such
// number.
func (x *exchange) purgesNow(run *run) uint64 {
	if run != nil {
		return 0
	}
	return x.purgesOf(x.target())
}

// markNow returns the mark of a handler that begins now. What it would validate must not
// have been purged by a pattern since it was found.
func (x *exchange) markNow() rules.Mark {
	m := x.cache.patterns().now()
	if x.old != nil && x.upTo < m.Version {
		if x.upTo = m.Version; x.overtaken(x.old) {
			x.old = nil
		}
	}
	return m
}

func cloneIfAny(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	return h.Clone()
}

// request makes the request that the handler sees.
//
//   - It is conditional on the stored response, if there is one that the handler
//     itself gave validators to.
//   - When others wait for the answer, or it is to be stored, the conditions of
//     this client are left out: they are evaluated on the answer.
//   - Parameters that are no part of the key are left out.
func (x *exchange) request(rec *recorder) *http.Request {
	r := x.r.WithContext(rec.ctx)
	rec.asks = x.old != nil && x.old.canValidate() && r.Method != http.MethodHead
	if rec.asks || rec.run != nil {
		r.Header = r.Header.Clone() // what is in the key must not change, even if values are rewritten in place
		for _, name := range rules.Preconditions {
			delete(r.Header, name)
		}
	}
	if x.digest != "" {
		r.Body = io.NopCloser(bytes.NewReader(x.payload))
	}
	if rec.asks {
		x.old.origins().Condition(r.Header)
	}
	if q := x.policy.VisibleQuery(r.URL.RawQuery); rec.run != nil && q != r.URL.RawQuery {
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
func (x *exchange) decide(rec *recorder, status int) {
	own := rec.ownHeader()
	rec.reply = x.policy.ReceptionOf(status, own, rec.started, time.Now())
	rec.reply.Mark = rec.mark
	switch {
	case status == http.StatusNotModified && rec.asks:
		x.hold(rec)
		if x.old.origins().Validates(own) {
			rec.then = func() { x.validated(rec) }
		}
	case rules.IsError(status) && x.mayBeStale():
		x.hold(rec)
		rec.then = func() {
			rec.run.end(outcome{err: errStale})
			x.serveStale()
		}
	default:
		x.pass(rec)
	}
}

// hold keeps a response from the client.
func (x *exchange) hold(rec *recorder) {
	rec.mode = holding
	rec.resetHeader()
}

// pass lets a response go to the client, and has it copied if it may be stored.
func (x *exchange) pass(rec *recorder) {
	r := rec.reply
	hint := nested.Said(rec.ctx)
	rec.life = x.policy.LifeOf(r, hint.TTL, hint.HasTTL, x.personal)
	why := x.policy.MayStore(r, x.r.Header, &x.asked, &rec.life)
	switch {
	case hint.NoStore:
		why = rules.HintedNoStore
	case why == rules.Storable && isEventStream(r.Header):
		why = rules.Endless
	case why == rules.Storable && rec.declared > x.policy.MaxBody:
		why = rules.TooLarge
	case why == rules.Storable:
		if _, ok := rules.VaryNames(r.Header["Vary"]); !ok {
			why = rules.VaryAll
		}
	}
	if why == rules.Storable && rec.run != nil && rec.declared > 0 && hasBody(r.Status) && !rec.makeRoom(rec.declared) {
		why = rules.NoRoom
	}
	rec.mode = passing
	switch {
	case x.miss == rules.ByMethod:
		x.invalidate(rec)
		if x.mayAnswerGet(r) {
			rec.mode = storing
		}
	case why == rules.Storable && rec.run != nil, why == rules.PartialResponse && rec.run == nil && x.isPart(r, &rec.life):
		rec.mode = storing
	default:
		x.release()
		rec.run.end(x.unshared(r.Status, why))
	}
	if rec.mode == passing {
		rec.pace()
	}
	x.count(rec)
	x.writeHeader(rec, why)
}

// unshared is what a run ends with whose response nobody else can have. For a
// moment others who ask for the resource need not wait to learn that, unless it
// may have been for this request's sake, or for a reason that may soon be over.
func (x *exchange) unshared(status int, why rules.Reason) outcome {
	if x.personal || x.old != nil || status >= 400 || x.asked.Has != 0 || why == rules.PartialResponse || why == rules.NoRoom {
		return outcome{err: errPass}
	}
	return outcome{rec: &record{Kind: aPass}, keeping: keeping{ttl: passLife}}
}

// passLife is how long a pass is held.
const passLife = time.Second

func (x *exchange) count(rec *recorder) {
	if rec.run == nil {
		x.cache.count.passes.Add(1)
	} else {
		x.cache.count.misses.Add(1)
	}
}

// writeHeader sends the header of a response that goes to the client, with what
// the cache has to say, or lets it wait. If the client's own conditions are met by
// it, the client gets a 304 in its place.
func (x *exchange) writeHeader(rec *recorder, why rules.Reason) {
	r, h := rec.reply, rec.Header()
	if !x.policy.KeepTags {
		rules.DeleteTags(h)
	}
	if len(r.Header["Date"]) == 0 && r.Status >= 200 {
		date := r.Received.UTC().Format(http.TimeFormat)
		h["Date"], r.Header["Date"] = []string{date}, []string{date}
	}
	told := nested.Said(rec.ctx).HasTTL
	if rec.mode == storing && x.policy.ClientControl != nil && len(r.Header["Cache-Control"]) == 0 {
		h["Cache-Control"], told = slices.Clone(x.policy.ClientControl), true
	}
	if rec.mode == storing && told && len(h["Cache-Control"]) > 0 { // as setFields does
		h["Date"] = []string{r.Received.UTC().Format(http.TimeFormat)}
		delete(h, "Age")
	}
	x.announce(h, &rules.CacheStatus{Forward: x.miss, Stored: rec.mode == storing, Detail: string(why)})
	if rec.isLate() {
		rec.waits()
		return
	}
	x.sendHeader(rec)
}

// sendHeader sends the header, or a 304 in its place.
func (x *exchange) sendHeader(rec *recorder) {
	if rec.reply.Status == http.StatusOK && rec.run != nil && x.clientHas(rec.reply) {
		rec.muted = true
		x.notModified(rec)
		return
	}
	rec.show()
	if !rec.implied || len(rec.Header()["Content-Encoding"]) > 0 {
		rec.ResponseWriter.WriteHeader(rec.reply.Status)
		rec.implied = false
	}
}

// clientHas reports whether the response is what the client says to have. It is
// asked only when its conditions have been kept from the handler.
func (x *exchange) clientHas(r *rules.Reception) bool {
	v := rules.ValidatorsOf(r)
	return (v.ETag != "" || !v.Modified.IsZero()) && v.NotModified(x.r.Header, r.Received)
}

// notModified sends a 304 in place of a response whose header has been written.
func (x *exchange) notModified(rec *recorder) {
	h := rec.Header()
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Trailer", "Accept-Ranges"} {
		delete(h, name)
	}
	x.cache.count.notModified.Add(1)
	rec.show()
	x.w.WriteHeader(http.StatusNotModified)
}

// announce adds what this cache says of itself to a header.
func (x *exchange) announce(h http.Header, s *rules.CacheStatus) {
	x.addStatus(h, s)
	if x.policy.XCache {
		h["X-Cache"] = slices.Clone(verdictNames[false])
	}
}

// addStatus adds this cache's member to Cache-Status.
func (x *exchange) addStatus(h http.Header, s *rules.CacheStatus) {
	h["Cache-Status"] = append(slices.Clip(h["Cache-Status"]), string(s.AppendTo(nil, x.policy.Identity)))
}

// store stores a response that the handler has written to its end.
func (x *exchange) store(rec *recorder) {
	if !rec.complete() {
		return // execute says so
	}
	hint := nested.Said(rec.ctx)
	if hint.NoStore || !rec.makeRoomToStore() {
		rec.run.end(outcome{err: errPass})
		return
	}
	trailer := rec.trailer()
	r := rec.reply
	if hint.HasTTL { // perhaps since the header was written
		rec.life = x.policy.LifeOf(r, hint.TTL, true, x.personal)
	}
	x.finishHeader(rec)
	response := newResponse(x.policy, r, &rec.life, hint.HasTTL, rec.body, trailer)
	rec.tag(response)
	x.cache.count.stored.Add(1)
	x.end(rec, x.place(response, r.Header))
	x.answerPart(rec, response)
}

// finishHeader completes the header that is stored: the trailer is stored apart.
func (x *exchange) finishHeader(rec *recorder) {
	h := rec.reply.Header
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
func (x *exchange) place(rec *record, h http.Header) (o outcome) {
	o = outcome{rec: rec, keeping: keeping{tags: rules.TagsOf(h)}}
	d := rec.look()
	o.ttl = x.policy.KeepFor(&d.Terms, rec.canValidate(), time.Now())
	names, _ := rules.VaryNames(h["Vary"])
	switch {
	case x.index == nil && (len(names) > 0 || x.face == rules.TransportFace):
		o.variant, o.rec = rec, newIndex(names)
		o.variantKey = x.variant(o.rec)
	case x.index != nil && !containsAll(x.index.Names, names):
		x.widen(names)
		o = outcome{err: errPass}
	}
	return o
}

// widen replaces the index by one that knows of more fields.
func (x *exchange) widen(names []string) {
	names = slices.Concat(x.index.Names, names)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) <= rules.MaxVary {
		x.cache.records.put(context.WithoutCancel(x.r.Context()), x.resource, newIndex(names), keeping{ttl: indexLife})
	}
}

func containsAll(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// validated answers with the stored response when the handler has said that it is
// still good.
func (x *exchange) validated(rec *recorder) {
	hint := nested.Said(rec.ctx)
	fresh, why := x.refreshed(rec.reply, hint.TTL, hint.HasTTL)
	if hint.NoStore || why != rules.Storable && why != rules.NothingToReuse {
		x.end(rec, outcome{err: errPass})
	}
	x.end(rec, x.outcomeOf(fresh, rec.reply))
	x.now = time.Now()
	x.cache.count.revalidated.Add(1)
	for _, name := range rules.CookieFields { // which are for this client alone, unless they are stored
		if lines := rec.reply.Header[name]; len(lines) > 0 && len(fresh.Header[name]) == 0 {
			x.w.Header()[name] = slices.Concat(x.w.Header()[name], lines)
		}
	}
	x.respond(fresh, &rules.CacheStatus{Forward: x.miss, Status: http.StatusNotModified, Stored: rec.run != nil})
}

// learnFromHead updates the stored response to GET by one to HEAD, or drops it if
// the two are not about the same (RFC 9111, section 4.3.5).
func (x *exchange) learnFromHead(rec *recorder) {
	if rec.reply == nil || rec.reply.Status != http.StatusOK || x.old.Status != http.StatusOK || x.asked.Any(rules.NoStore) {
		return
	}
	ctx, h := context.WithoutCancel(x.r.Context()), rec.reply.Header
	if !x.old.origins().Validates(h) || rec.declared >= 0 && rec.declared != int64(len(x.old.Body)) {
		if err := x.cache.records.drop(ctx, x.key); err != nil {
			x.cache.log().Warn("memo: httpcache: a response that a HEAD disagrees with could not be dropped", "error", err)
		}
		return
	}
	fresh, why := x.refreshed(rec.reply, 0, false)
	if _, busy := x.cache.leading.Load(x.key); busy || why != rules.Storable {
		return // what a GET brings in this moment is better
	}
	update, _, err := x.cache.records.begin(ctx, x.key, engine.Terms{Forced: true, Patience: -1})
	if err != nil {
		x.cache.log().Warn("memo: httpcache: a response could not be updated by a HEAD", "error", err)
		return
	}
	update.end(x.outcomeOf(fresh, rec.reply))
}
