package exchange

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

// serveOther answers a request of a method that is not answered from the cache.
// When its response is a success, what it makes outdated is dropped, before the
// client learns of the success: what it asks for next is not older.
func (h *handler) serveOther(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0 {
		h.next.ServeHTTP(w, r)
		return
	}
	x := &exchange{
		cache: h.cache, policy: h.policy, next: h.next, w: w, r: r, miss: rules.ByMethod,
		authorized: len(r.Header["Authorization"]) > 0, personal: h.policy.IsPersonal(r),
		asked: rules.RequestDirectives(r.Header), release: func() {},
	}
	defer x.settle()
	x.execute(r.Context(), nil)
}

// invalidate drops what a response to an unsafe request makes outdated (RFC 9111,
// section 4.4). The response itself is not among that.
func (x *exchange) invalidate(rec *attempt) {
	if rules.IsSafe(x.r.Method) {
		return
	}
	ctx := context.WithoutCancel(x.r.Context())
	own := x.policy.PurgeNames(x.target())
	for _, u := range rules.InvalidatedBy(x.target(), rec.Reply.Status, rec.Reply.Header) {
		rec.purges += x.cache.purges.Shared(own, x.policy.PurgeNames(u))
		if err := x.cache.purge(ctx, u); err != nil {
			x.cache.log().Warn("memo: httpcache: what a request has changed could not be dropped", "error", err)
		}
	}
}

// purged reports whether the resource has been purged since the handler began.
func (x *exchange) purged(rec *attempt) bool {
	return x.purgesOf(x.target()) != rec.purges
}

// purgesOf returns a number that is another one after each purge of a resource.
func (x *exchange) purgesOf(u *url.URL) uint64 {
	return x.cache.purges.At(x.policy.PurgeNames(u))
}

// storeBeside stores what the handler wrote under a key that no run stands for,
// unless the resource has been purged since the handler began. A purge counts
// before it drops what is stored, so one that comes between the question and the
// storing is seen afterwards. Only those of this process count, which is why nothing
// is stored so where there are others; see [stored.Records.IsShared].
func (x *exchange) storeBeside(rec *attempt, key string, response *stored.Record, keep time.Duration) {
	if x.purged(rec) {
		return
	}
	ctx := context.WithoutCancel(x.r.Context())
	x.cache.Count.Stored.Add(1)
	x.cache.Records.Put(ctx, key, response, stored.Keeping{Ttl: keep, Tags: rules.TagsOf(rec.Reply.Header)})
	if x.purged(rec) {
		if err := x.cache.Records.Drop(ctx, key); err != nil {
			x.cache.log().Warn("memo: httpcache: a response that a purge has made too old could not be dropped", "error", err)
		}
	}
}

// mayAnswerGet reports whether the response to a POST is stored to answer GET: it
// says that it describes its own target, and how long it is fresh (RFC 9110,
// section 9.3.3; RFC 9111, section 4).
func (x *exchange) mayAnswerGet(r *rules.Reception) bool {
	return x.r.Method == http.MethodPost && r.Status == http.StatusOK && !x.personal && !x.cache.Records.IsShared() &&
		rules.DescribesTarget(x.target(), r.Header)
}

// storeForGet stores a response to a POST that mayAnswerGet, unless something has
// been dropped since the handler began.
func (x *exchange) storeForGet(rec *attempt) {
	if !rec.Complete() || !rec.makeRoomToStore() || len(rec.Reply.Header["Vary"]) > 0 || !x.policy.Extra.Empty() {
		return
	}
	r := rec.Reply
	l := &rec.life
	if _, given := x.policy.ExplicitLifetime(r); !given || x.policy.MayStore(r, x.r.Header, &x.asked, l) != rules.Storable {
		return
	}
	x.finishHeader(rec)
	response := stored.NewResponse(x.policy, r, l, false, rec.Body, nil)
	d := response.Derived()
	key, spelling := x.policy.LocateURL(x.face, http.MethodGet, x.target())
	if spelling != "" {
		return
	}
	if x.face == rules.TransportFace { // where no response is under that key
		ctx := context.WithoutCancel(x.r.Context())
		index := x.cache.Records.Peek(ctx, key)
		if index == nil || index.Kind != stored.Index {
			index = x.cache.Records.OpenIndex(ctx, key)
		}
		x.resource = key
		key = x.variant(index)
	}
	x.storeBeside(rec, key, response, x.policy.KeepFor(&d.Terms, response.CanValidate(), time.Now()))
}
