package exchange

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

// An exchange is one request to a handler behind the cache, and its answer.
type exchange struct {
	cache  *Cache
	policy *rules.Policy
	face   rules.Face
	next   http.Handler
	w      http.ResponseWriter
	r      *http.Request
	now    time.Time

	asked      rules.Directives
	authorized bool   // the request carries Authorization
	personal   bool   // it tells who sends it, by that or otherwise
	partition  string // of its Transport
	digest     string // of payload, for one of Options.Methods
	payload    []byte // the request's body, which may be sent more than once

	top    *stored.Record // what a look under the resource's key has found already, if looked
	looked bool

	resource string         // the key of what was asked for; see locate
	spelling string         // how that was spelled, if not as its purge form
	key      string         // the key of the record that answers: the resource's or a variant's
	index    *stored.Record // under the resource's key, if that is one
	old      *stored.Record // the response that is stored, if there is one
	miss     rules.Forward  // why it does not do

	upTo   uint64 // the patterns that count, as a version; see learn
	unsure bool   // whether there are more cannot be found out

	note      *leader   // this request's, in Cache.leading; nil for one that waits
	behind    *leader   // whom it has found there
	waitUntil time.Time // when it has waited long enough; see waitLimit

	lent     *stored.Record // what counts as being sent; see holds
	release  func()         // see follow; never nil while a handler runs
	reserved int64          // what it has taken from Cache.Inflight; see settle
}

// answer answers with what is stored, or fetches what is not.
func (x *exchange) answer() {
	if !x.answered() {
		x.fetch()
	}
}

// answered answers with what is stored, if that may be used at once. A request that
// must leave no trace (no-store) is none that it looks for.
func (x *exchange) answered() bool {
	if x.asked.Any(rules.NoStore) {
		x.miss = rules.ByRequest
		return false
	}
	x.find()
	return x.serveIfUsable(false)
}

// find looks for a stored response.
func (x *exchange) find() {
	x.index, x.old, x.miss = nil, nil, rules.UriMiss
	ctx := x.r.Context()
	x.learn()
	x.resource, x.spelling = x.locate()
	x.key = x.resource
	top := x.top
	if !x.looked || x.spelling != "" { // what was looked for is the exact key, under which nothing is held then
		top = x.cache.Records.Peek(ctx, x.resource)
	}
	x.top, x.looked = nil, false // things change
	switch {
	case top != nil && top.Kind == stored.Index:
		x.index = top
	case x.split(), x.face == rules.TransportFace && top != nil && top.Kind == stored.Response:
		x.index = x.cache.Records.OpenIndex(ctx, x.resource)
	default:
		x.take(top)
		return
	}
	x.key = x.variant(x.index)
	x.miss = rules.VaryMiss
	x.take(x.cache.Records.Peek(ctx, x.key))
	x.findPart()
}

// locate returns the key of what was asked for, and its spelling.
func (x *exchange) locate() (resource, spelling string) {
	if x.face == rules.TransportFace {
		return x.policy.LocateURL(x.face, x.r.Method, requested(x.r))
	}
	scheme, target := rules.TargetLine(x.r)
	return x.policy.Locate(x.face, x.r.Method, scheme, x.r.Host, target)
}

// target returns the URL that was asked for.
func (x *exchange) target() *url.URL {
	if x.face == rules.TransportFace {
		return requested(x.r)
	}
	return rules.TargetOf(x.r)
}

// split reports whether the resource's key alone selects nothing, whatever its
// responses say. (That of a Transport never does, either: what a private cache has
// for one user, or a Transport for what is below it, is not for others, and takes the
// place of no one's. But there is time to make its index with the first response,
// which says what it varies by.)
func (x *exchange) split() bool {
	return x.spelling != "" || !x.policy.Extra.Empty() || x.digest != "" || rules.Rewritten(x.r)
}

// variant returns the key of the variant that an index has for the request.
func (x *exchange) variant(index *stored.Record) string {
	key := stored.AppendVariant(x.policy, nil, x.resource, index, x.r, x.digest)
	if x.spelling != "" { // the resource's key says whether there is one
		key = rules.AppendText(key, x.spelling)
	}
	if x.face == rules.TransportFace {
		key = rules.AppendText(append(key, '|'), x.partition)
	}
	return string(key)
}

// take makes a record the one that is at hand.
func (x *exchange) take(rec *stored.Record) {
	if rec == nil {
		return
	}
	switch rec.Kind {
	case stored.Response:
		if x.old = x.current(rec); x.old != nil && !x.holds(x.old) {
			x.old, x.miss = nil, rules.Bypassed
		}
	case stored.Pass:
		x.miss = rules.Bypassed
	}
}

// fetch answers a request that no stored response answers: by running the
// handler, or by waiting for somebody who does.
func (x *exchange) fetch() {
	switch {
	case x.asked.Any(rules.OnlyIfCached): // RFC 9111, section 5.2.1.7
		x.refuse(http.StatusGatewayTimeout)
		return
	case !x.mayLead():
		x.direct()
		return
	}
	for range maxJoins {
		if !x.enter() {
			break
		}
		if x.joinOnce() {
			return
		}
	}
	x.direct()
}

// maxJoins bounds how often a request waits for another's run: once for the
// resource, once for its variant, and once more if a run has come to nothing.
const maxJoins = 3

// mayLead reports whether a run for this request may answer others.
func (x *exchange) mayLead() bool {
	switch {
	case x.miss == rules.Bypassed, x.asked.Any(rules.NoStore), x.r.Method == http.MethodHead:
		return false
	case len(x.r.Header["Range"]) > 0 && x.old == nil:
		return false
	case rules.OverridesMethod(x.r.Header):
		return false
	}
	return true
}

// joinOnce runs the handler for everyone who waits, or waits. It is false if the
// request has to try again, or alone.
func (x *exchange) joinOnce() bool {
	defer x.leave()
	run, rec, err := x.begin()
	if run != nil {
		x.carryOut(run)
		return true
	}
	switch {
	case err == nil:
		return x.accept(rec)
	case x.r.Context().Err() != nil:
		x.refuse(http.StatusServiceUnavailable) // nobody is there to read it
		return true
	case errors.Is(err, stored.ErrStale) && x.mayBeStale():
		x.serveStale()
		return true
	case errors.Is(err, stored.ErrRetry):
		x.leave()
		x.find()
		return x.serveIfUsable(true)
	case errors.Is(err, stored.ErrOverdue):
		x.gaveUp()
	}
	x.miss = rules.Bypassed
	x.leave()
	x.direct()
	return true
}

// begin begins a run for a record that is newer than the one at hand, or waits for one.
func (x *exchange) begin() (*stored.Run, *stored.Record, error) {
	terms := stored.AnotherThan(x.old)
	terms.Alone, terms.Patience = x.alone(), x.waitLimit()
	return x.cache.Records.Begin(x.r.Context(), x.key, terms)
}

// accept answers with a record that somebody else's run has brought, if that does
// for this request as well.
func (x *exchange) accept(rec *stored.Record) bool {
	x.leave()
	if rec.Kind == stored.Index {
		x.index = rec
		x.key = x.variant(rec)
		x.old, x.miss = nil, rules.VaryMiss
		rec = x.cache.Records.Peek(x.r.Context(), x.key)
	}
	x.take(rec)
	if x.serveIfUsable(true) {
		return true
	}
	if rec != nil {
		x.direct() // it would be no better next time
		return true
	}
	return false
}

// serveIfUsable answers with the stored response if it may be used as it is.
func (x *exchange) serveIfUsable(collapsed bool) bool {
	if x.old == nil {
		return false
	}
	x.now = time.Now()
	switch v := x.verdict(x.old); v {
	case rules.IsFresh, rules.IsStale, rules.IsRefreshing:
		x.serve(v, collapsed)
		return true
	case rules.MustFetch:
		x.old, x.miss = nil, rules.Bypassed
	default:
		x.miss = rules.WasStale
		if t := x.old.Now(); t.Left(x.now) > 0 && !t.CacheControl.Any(rules.NoCache) {
			x.miss = rules.ByRequest
		}
	}
	return false
}

// verdict says what the request may do with a stored response, now. One whose
// lifetime nobody has given is not for requests that tell who sends them by
// Options.CredentialHeaders: it may say that one has to log in. (Cookie does not
// count here, for browsers send some with everything.)
func (x *exchange) verdict(rec *stored.Record) rules.Verdict {
	if rec.Assumed && x.policy.Shared && x.policy.HasCredential(x.r) {
		return rules.MustFetch
	}
	return x.policy.Judge(rec.Now(), &x.asked, x.authorized, x.now)
}

// mayBeStale reports whether the stored response stands in for a failure.
func (x *exchange) mayBeStale() bool {
	return x.old != nil && x.policy.MayServeOnError(x.old.Now(), &x.asked, x.authorized, time.Now())
}

// carryOut runs the handler for everyone who waits for run.
func (x *exchange) carryOut(run *stored.Run) {
	ctx, release := follow(run.Context(), x.r.Context())
	defer release()
	x.noteLead(run)
	x.release = release
	defer x.settle()
	x.execute(ctx, run)
}

// follow returns a context for carrying out a run: it has the values of lead, and
// ends when lead does, until release is called. From then on it ends with client,
// which is the context of the request, and so not with the run: a middleware that has
// kept the handler's request goes on using it.
func follow(lead, client context.Context) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(lead))
	stop := context.AfterFunc(lead, cancel)
	return ctx, func() {
		if stop() {
			context.AfterFunc(client, cancel)
		}
	}
}

// end ends the run with what the handler, which has returned, has brought.
func (x *exchange) end(rec *attempt, o stored.Outcome) {
	x.release() // so that the end of the run is not that of the handler's context
	rec.Run.End(o)
}

// direct runs the handler for this request alone, and stores nothing.
func (x *exchange) direct() {
	x.release = func() {}
	defer x.settle()
	x.execute(x.r.Context(), nil)
}
