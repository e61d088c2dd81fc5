package exchange

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stream"
)

// backgroundTimeout bounds one validation in the background, whose end nobody
// waits for.
const backgroundTimeout = 30 * time.Second

// refreshInBackground has the handler validate the stored response, or replace it,
// while the client gets it as it is (RFC 5861, section 3). The caller has got
// startRefresh's permission.
func (x *exchange) refreshInBackground() {
	held := int64(len(x.payload))
	if !x.cache.Inflight.Reserve(held) {
		x.old.EndRefresh(x.now)
		return
	}
	x.cache.Count.Refreshes.Add(1)
	old, log, url := x.old, x.cache.log(), x.r.URL.Redacted()
	r, refresh := x.madeAgain()
	go func() {
		defer func() {
			x.cache.Inflight.Release(held)
			old.EndRefresh(time.Now())
			if v := recover(); v != nil && !stream.IsExpected(v) {
				log.Error("memo: httpcache: a handler panicked in the background", "url", url, "panic", v, "stack", string(debug.Stack()))
			}
		}()
		ctx, cancel := context.WithTimeout(r.Context(), backgroundTimeout)
		defer cancel()
		refresh(r.WithContext(ctx))
	}()
}

// madeAgain returns the client's request, to be made again when it has been answered,
// and who answers that. Its conditions and its range are left out later.
//
// A request that an [http.Server] has read is made again from the beginning, by way
// of everything that stands before the cache: routers and frameworks that the cache
// is a middleware of (chi, echo, gin) put what they know of a request into things
// that they use again for others as soon as it has been answered. Where there is no
// server, or for a round trip, its handler is asked itself.
func (x *exchange) madeAgain() (*http.Request, func(*http.Request)) {
	server, _ := x.r.Context().Value(http.ServerContextKey).(*http.Server)
	target, err := url.ParseRequestURI(x.r.RequestURI)
	if server == nil || err != nil || x.face != rules.HandlerFace {
		return x.anew(context.WithoutCancel(x.r.Context())), x.refresh
	}
	ctx := context.WithValue(baseContext(server, x.r), http.ServerContextKey, server)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, x.r.Context().Value(http.LocalAddrContextKey))
	r := x.anew(context.WithValue(ctx, refreshKey{x.cache}, true))
	r.URL = target
	return r, func(r *http.Request) {
		h := server.Handler
		if h == nil {
			h = http.DefaultServeMux
		}
		h.ServeHTTP(stream.NewDiscarded(), r)
	}
}

// baseContext returns what the server's BaseContext gives to requests, or an empty
// context. The listener that it is asked for is one that knows its address only.
func baseContext(server *http.Server, r *http.Request) context.Context {
	if server.BaseContext == nil {
		return context.Background()
	}
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if ctx := server.BaseContext(bareListener{addr}); ctx != nil {
		return ctx
	}
	return context.Background()
}

// A bareListener is a net.Listener that accepts nothing.
type bareListener struct{ addr net.Addr }

func (bareListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (bareListener) Close() error              { return nil }
func (l bareListener) Addr() net.Addr          { return l.addr }

// anew returns a copy of the request under ctx, with the method whose response is
// stored.
func (x *exchange) anew(ctx context.Context) *http.Request {
	r := x.r.Clone(ctx)
	r.Body, r.ContentLength = http.NoBody, 0
	if x.digest != "" {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(x.payload)), int64(len(x.payload))
	}
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet
	}
	return r
}

// A refreshKey is the key, in the context of a request, of the note that it is made
// to refresh what a cache has stored.
type refreshKey struct{ cache *Cache }

func (c *Cache) isRefresh(r *http.Request) bool { return r.Context().Value(refreshKey{c}) != nil }

// refresh carries the request out for the exchange's own response.
func (x *exchange) refresh(r *http.Request) {
	again := &exchange{
		cache: x.cache, policy: x.policy, face: x.face, next: x.next, w: stream.NewDiscarded(), r: r, now: x.now,
		authorized: x.authorized, personal: x.personal, partition: x.partition,
		digest: x.digest, payload: x.payload, resource: x.resource, key: x.key, index: x.index, old: x.old,
	}
	defer again.giveBack()
	if again.holds(x.old) {
		again.renew()
	}
}

// renew has the handler validate or replace the response that is at hand, unless
// somebody else does.
func (x *exchange) renew() {
	x.miss = rules.WasStale
	if x.old == nil || !x.enter() {
		return
	}
	defer x.leave()
	if run, _, _ := x.begin(); run != nil {
		x.carryOut(run)
	}
}
