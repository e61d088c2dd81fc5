package httpcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/internal/function"
)

// Handler returns a handler that answers from the cache what it can, and has next
// do the rest. It is a shared cache (RFC 9111, section 1): what it stores goes to
// everyone, so it does not store what is private.
//
// Requests are told apart by method, scheme, host, path and query, exactly as the
// client sent them, and by what responses name in Vary; see [Options] for more.
// GET and HEAD are answered from the cache. All other methods go to next; when an
// unsafe one succeeds, what is stored for its URL is dropped, and so is what its
// Location and Content-Location name.
//
// Concurrent requests that find nothing run next once:
//
//   - The first client gets the bytes as next writes them; the others get the
//     stored response when it is complete.
//   - If the response turns out not to be for sharing, they are told so as soon as
//     its header is written, and each runs next itself.
//   - next runs in the goroutine of the first request, under the values of its
//     context. It is cancelled when the last of the clients has left: the
//     first may leave, and next goes on for the others.
//   - A panic of next goes up in that goroutine, as without a cache; one of the
//     others tries again.
//   - If next returns without having written anything, the cache begins no response
//     and stores none, so that a middleware outside can write an error in its place;
//     the others each run next themselves.
//
// In next, memo.SetTTL, memo.NoStore and memo.AddTags work on the request's
// context, and the tags of memoized functions that it calls become those of the
// response. They may be called at any time until next returns, but once the header
// is written it is too late for two things: NoStore cannot tell clients any more,
// and SetTTL cannot make a response storable that would not be without it. Where next
// says SetTTL, what it says in Cache-Control is for clients alone, and counts from the
// moment of each answer.
//
// A refresh in the background, for stale-while-revalidate, is a request of its own:
// the [http.Server] that the first one came in by has its handler serve it, so that
// what stands before the cache sees it as well. Without a server next is run, under
// the values of the first request's context.
//
// Upgraded connections, streams of events and requests with conditions that are
// not for caches pass through. A request whose context is one of [memo.WithBypass] is
// handed to next as it is: nothing is looked up, stored, counted or dropped for it.
func (c *Cache) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("memo: httpcache: Handler(nil): there is nothing to put the cache in front of; give a handler")
	}
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
		case isStream(r.Header):
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

// isStream reports whether a request wants another protocol, or a stream of
// events. No stored response is for it, and nobody should wait for it.
func isStream(h http.Header) bool {
	return len(h["Upgrade"]) > 0 || len(h["Accept"]) == 1 && h["Accept"][0] == "text/event-stream"
}

// isEventStream reports whether a response is a stream of events, whose end nobody
// should wait for.
func isEventStream(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(rules.Trim(kind), "text/event-stream")
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
	rec := h.cache.records.peek(x.r.Context(), unsafe.String(unsafe.SliceData(key), len(key)))
	x.top, x.looked = rec, true
	if rec == nil || rec.Kind != aResponse || rules.Rewritten(x.r) {
		return false
	}
	x.now = time.Now()
	if !h.cache.trusts(rec, x.now) || x.judge(rec) != rules.IsFresh {
		return false
	}
	if !h.cache.lend(rec) {
		return false
	}
	defer h.cache.takeBack(rec)
	h.cache.count.hits.Add(1)
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
	case isStream(r.Header):
		h.next.ServeHTTP(w, r)
		return
	case rules.IsForOrigin(r.Header):
		h.bypass(w, r)
		return
	}
	body, whole, rest, taken := h.cache.inflight.readBody(r, h.policy.MaxRequestBody)
	defer h.cache.inflight.release(taken)
	if !whole {
		r = r.WithContext(r.Context())
		r.Body = rejoined{io.MultiReader(bytes.NewReader(body), rest), r.Body}
		h.bypass(w, r)
		return
	}
	h.serve(w, r, digestOf(r.Header, body), body)
}

// digestOf returns the digest of a request's body and of what says how to read it.
func digestOf(h http.Header, body []byte) string {
	sum := sha256.New()
	sum.Write(rules.AppendSelecting(nil, []string{"Content-Encoding", "Content-Type"}, h))
	sum.Write(body)
	return hex.EncodeToString(sum.Sum(nil))
}

// rejoined is a body of which a part has been read already.
type rejoined struct {
	io.Reader
	io.Closer
}

// failing returns the rest of a body, or what has kept it from being read.
func failing(rest io.Reader, err error) io.Reader {
	if err == nil {
		return rest
	}
	return errorReader{err}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
