package exchange

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
	"github.com/seed-0226adef/memo/internal/function"
)

// Handler returns a handler that answers from the cache what it can, and has next do the
// rest.
func (c *Cache) Handler(next http.Handler) http.Handler {
	return &handler{cache: c, policy: c.server, next: next}
}

type handler struct {
	cache  *Cache
	policy *rules.Policy
	next   http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case function.Bypassed(r.Context()):
		h.next.ServeHTTP(w, r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		switch {
		case rules.IsStream(r.Header):
			h.next.ServeHTTP(w, r)
			return
		case r.ContentLength != 0 || rules.IsForOrigin(r.Header):
			h.bypass(w, r)
			return
		}
		h.serve(w, r, "", nil)
	case slices.Contains(h.policy.Methods, r.Method):
		h.serveWithBody(w, r)
	default:
		h.serveOther(w, r)
	}
}

// keyBuffers hold keys while they are looked up.
var keyBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// releaseKey gives a buffer back, unless it has become so large that it is better
// forgotten.
func releaseKey(buffer *[]byte) {
	if cap(*buffer) <= 8<<10 {
		keyBuffers.Put(buffer)
	}
}

// serve answers a request whose response may be stored. digest is that of its
// body, payload, if it has one.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, digest string, payload []byte) {
	x := exchange{cache: h.cache, policy: h.policy, next: h.next, w: w, r: r, digest: digest, payload: payload}
	x.authorized = len(r.Header["Authorization"]) > 0
	if !h.policy.IgnoreRequests {
		x.asked = rules.RequestDirectives(r.Header)
	}
	if h.hit(&x) {
		return
	}
	y := x // x stays on the stack of a hit
	y.personal = h.policy.IsPersonal(r)
	defer y.giveBack()
	if h.cache.isRefresh(r) {
		y.find()
		y.renew()
		return
	}
	y.answer()
}

// hit answers if what is stored under the resource's key may be used at once. It
// is [exchange.find] and [exchange.serveIfUsable] for that case, which is why
// nothing outlives it but what it sends.
func (h *handler) hit(x *exchange) bool {
	if x.asked.Any(rules.NoStore) || x.digest != "" || !h.policy.Extra.Empty() {
		return false
	}
	buffer := keyBuffers.Get().(*[]byte)
	defer releaseKey(buffer)
	key := h.policy.AppendServed((*buffer)[:0], x.r)
	*buffer = key
	rec := h.cache.Records.Peek(x.r.Context(), unsafe.String(unsafe.SliceData(key), len(key)))
	x.top, x.looked = rec, true
	if rec == nil || rec.Kind != stored.Response || rules.Rewritten(x.r) {
		return false
	}
	x.now = time.Now()
	if !h.cache.purged().Trusts(x.r.Context(), rec, x.now) || x.verdict(rec) != rules.IsFresh {
		return false
	}
	if !h.cache.Sending.Lend(rec) {
		return false
	}
	defer h.cache.Sending.TakeBack(rec)
	h.cache.Count.Hits.Add(1)
	x.respond(rec, nil)
	return true
}

// bypass has next answer a request that no response is stored for.
func (h *handler) bypass(w http.ResponseWriter, r *http.Request) {
	x := exchange{cache: h.cache, policy: h.policy, next: h.next, w: w, r: r, miss: rules.Bypassed}
	x.direct()
}

// serveWithBody answers a request of one of Options.Methods, whose body is part of
// the key by its digest.
func (h *handler) serveWithBody(w http.ResponseWriter, r *http.Request) {
	switch {
	case rules.IsStream(r.Header):
		h.next.ServeHTTP(w, r)
		return
	case rules.IsForOrigin(r.Header):
		h.bypass(w, r)
		return
	}
	body, whole, rest, taken := h.cache.Inflight.ReadBody(r, h.policy.MaxRequestBody)
	defer h.cache.Inflight.Release(taken)
	if !whole {
		r = r.WithContext(r.Context())
		r.Body = rejoined{io.MultiReader(bytes.NewReader(body), rest), r.Body}
		h.bypass(w, r)
		return
	}
	h.serve(w, r, rules.DigestOf(r.Header, body), body)
}

// rejoined is a body of which a part has been read already.
type rejoined struct {
	io.Reader
	io.Closer
}
