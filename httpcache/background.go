package httpcache

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"
)

// backgroundTimeout bounds one validation in the background, whose end nobody
// waits for.
const backgroundTimeout = 30 * time.Second

// refreshInBackground has the handler validate the stored response, or replace it,
// while the client gets it as it is (RFC 5861, section 3). The caller has got
// startRefresh's permission.
//
// The handler gets the client's request, without what is about this client's
// answer only: its conditions, its range and its cancellation.
func (x *exchange) refreshInBackground() {
	x.cache.count.refreshes.Add(1)
	r := x.r.Clone(context.WithoutCancel(x.r.Context()))
	r.Body = http.NoBody
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet
	}
	b := &exchange{
		cache: x.cache, policy: x.policy, face: x.face, next: x.next, w: discarded{http.Header{}}, r: r, now: x.now,
		authorized: x.authorized, personal: x.personal,
		digest: x.digest, payload: x.payload, resource: x.resource, key: x.key, index: x.index, old: x.old, miss: wasStale,
	}
	go b.refresh()
}

func (x *exchange) refresh() {
	old := x.old
	defer func() {
		old.endRefresh(time.Now())
		if v := recover(); v != nil && !isExpected(v) {
			x.cache.log().Error("memo: httpcache: a handler panicked in the background", "url", x.r.URL.Redacted(), "panic", v, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(x.r.Context(), backgroundTimeout)
	defer cancel()
	x.r = x.r.WithContext(ctx)
	if !x.enter() {
		return
	}
	defer x.leave()
	if lead, run, _ := x.cache.join(ctx, x.key, old, x.alone()); run != nil {
		x.carryOut(lead, run)
	}
}

// discarded is the http.ResponseWriter of a run without a client.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

// isExpected reports whether a panic is a way of saying that a response has failed.
func isExpected(v any) bool {
	_, failed := v.(forwardError)
	return failed || v == http.ErrAbortHandler
}
