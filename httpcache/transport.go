package httpcache

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/internal/function"
)

// Transport returns a RoundTripper that answers from the cache what it can, and
// has next do the rest; nil stands for [http.DefaultTransport]. Unless
// [Options.Shared] is set it is a private cache (RFC 9111, section 1), which may
// store what is meant for one user. So that a client may act for several users all
// the same, requests that tell different users by Authorization, Cookie or one of
// [Options.CredentialHeaders] share nothing. Nor do two Transports, for what is below
// them may add credentials that the cache does not see: see [Options.Partition].
//
// Set-Cookie of a response reaches the client once, from the origin; a private cache
// does not store the field, as browsers do not.
//
// What [Cache.Handler] says of keys, methods and concurrent requests applies here
// too. The body of a response can be read while it is being stored. Closing it
// early ends the request only if nobody else waits for the response.
//
// Requests with fields whose names are not in the canonical form of
// [http.CanonicalHeaderKey] pass through, and so do those whose context is one of
// [memo.WithBypass].
//
// Responses come without the fields that are for one connection only. Errors of
// next are returned as they are, unless a stored response may stand in.
func (c *Cache) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	partition := "=" + c.opts.Partition
	if c.opts.Partition == "" {
		partition = "#" + rand.Text()
	}
	return &transport{cache: c, policy: c.client, next: next, partition: partition}
}

type transport struct {
	cache  *Cache
	policy *rules.Policy
	next   http.RoundTripper

	partition string    // what it stores is in this one's alone
	apart     sync.Once // for saying that other processes have other ones
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if function.Bypassed(r.Context()) || r.URL == nil || r.URL.Host == "" || r.Header == nil || isStream(r.Header) || rules.IsForOrigin(r.Header) {
		return t.next.RoundTrip(r)
	}
	if r.Method == "" { // which is how clients may write GET
		r = r.WithContext(r.Context())
		r.Method = http.MethodGet
	}
	x := &exchange{cache: t.cache, policy: t.policy, face: rules.TransportFace, partition: t.partition, r: r, release: func() {}}
	x.authorized = len(r.Header["Authorization"]) > 0
	raw := hasRawNames(r.Header)
	x.personal = raw || t.policy.IsPersonal(r)
	if !t.policy.IgnoreRequests {
		x.asked = rules.RequestDirectives(r.Header)
	}
	switch {
	case raw && (r.Method == http.MethodGet || r.Method == http.MethodHead || slices.Contains(t.policy.Methods, r.Method)):
		return t.next.RoundTrip(r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		if r.Body != nil && r.Body != http.NoBody {
			return t.next.RoundTrip(r)
		}
		return t.answer(x, func() {})
	case slices.Contains(t.policy.Methods, r.Method) && r.Body != nil:
		return t.withBody(x)
	case r.Method == http.MethodConnect:
		return t.next.RoundTrip(r)
	}
	x.miss = rules.ByMethod
	return t.start(x, x.direct)
}

// hasRawNames reports whether a header has names that are not in canonical form. They are
// sent as they are, but say nothing to who looks for the canonical ones: not that a
// request has an Authorization, nor what a response varies by.
func hasRawNames(h http.Header) bool {
	for name := range h {
		if http.CanonicalHeaderKey(name) != name {
			return true
		}
	}
	return false
}

// answer answers from the cache, or starts an exchange that forwards the request. done
// is called when the request has ended.
func (t *transport) answer(x *exchange, done func()) (*http.Response, error) {
	w := &answered{header: http.Header{}}
	x.w, x.next = w, t.forwarder()
	if x.answered() {
		done()
		x.giveBack()
		return w.response(x.r), nil
	}
	return t.start(x, func() {
		defer done()
		defer x.giveBack()
		x.fetch()
	})
}

// withBody answers a request of one of Options.Methods.
func (t *transport) withBody(x *exchange) (*http.Response, error) {
	body, whole, rest, taken := t.cache.inflight.readBody(x.r, t.policy.MaxRequestBody)
	done := func() { t.cache.inflight.release(taken) }
	if !whole {
		defer done()
		r := x.r.WithContext(x.r.Context())
		r.Body = rejoined{io.MultiReader(bytes.NewReader(body), rest), x.r.Body}
		return t.next.RoundTrip(r)
	}
	x.r.Body.Close()
	x.digest, x.payload = digestOf(x.r.Header, body), body
	return t.answer(x, done)
}

// start runs an exchange in a goroutine of its own, and returns its response when
// the header is there. The goroutine ends when the body has been written, or the
// body has been closed or the request's context is done, and nobody else waits.
func (t *transport) start(x *exchange, run func()) (*http.Response, error) {
	t.warnApart()
	client := x.r
	ctx, cancel := context.WithCancel(client.Context())
	p := newPipe(cancel)
	x.r, x.w, x.next = client.WithContext(ctx), p, t.forwarder()
	go func() {
		defer cancel()
		defer func() {
			if v := recover(); v != nil {
				p.fail(v, x.cache.log())
			}
		}()
		run()
		if p.status == 0 {
			p.WriteHeader(http.StatusOK)
		}
		p.end(nil)
	}()
	select {
	case <-p.sent:
	case <-client.Context().Done():
		p.Close()
		return nil, client.Context().Err()
	}
	switch {
	case p.panicked != nil:
		panic(p.panicked)
	case p.status == 0:
		return nil, p.err
	}
	p.watch(client.Context())
	return p.response(client), nil
}

// warnApart says once that a store holds nothing for other processes.
func (t *transport) warnApart() {
	if strings.HasPrefix(t.partition, "#") && t.cache.records.isShared() {
		t.apart.Do(func() {
			t.cache.log().Warn("memo: httpcache: what a Transport stores is found by no other process; give Options.Partition if it is for them, too")
		})
	}
}

// fail ends the exchange by what a forwarder panicked with: a failure of the
// request, or a panic of the next RoundTripper, which is for whoever called this
// one.
func (p *pipe) fail(v any, log *slog.Logger) {
	err := io.ErrUnexpectedEOF
	f, failed := v.(forwardError)
	if failed {
		err = f.err
	}
	p.end(err)
	switch {
	case p.status == 0 && !failed:
		p.panicked = v
		close(p.sent)
	case p.status == 0:
		close(p.sent)
	case !isExpected(v):
		log.Error("memo: httpcache: a RoundTripper's body panicked", "panic", v, "stack", string(debug.Stack()))
	}
}

// A forwardError is what a forwarder panics with when the request has failed: the
// exchange stores nothing then, and its reader gets the error.
type forwardError struct{ err error }

// response makes an http.Response of what was sent.
func (p *pipe) response(r *http.Request) *http.Response {
	res := newHTTPResponse(p.status, p.fields, r)
	res.Body = p
	if p.origin != nil { // the origin's own, on its way
		res.Proto, res.ProtoMajor, res.ProtoMinor = p.origin.Proto, p.origin.ProtoMajor, p.origin.ProtoMinor
		res.TLS, res.Uncompressed = p.origin.TLS, p.origin.Uncompressed
		if res.StatusCode == p.origin.StatusCode {
			res.Status = p.origin.Status
		}
	}
	if r.Method == http.MethodHead || !hasBody(p.status) {
		res.Body = emptyBody{p}
	}
	p.mu.Lock()
	if p.trailer == nil {
		p.trailer = http.Header{}
	}
	res.Trailer = p.trailer
	p.mu.Unlock()
	return res
}

// emptyBody is the body of a response that has none, whose exchange may still be
// under way for others.
type emptyBody struct{ p *pipe }

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (b emptyBody) Close() error           { return b.p.Close() }

func newHTTPResponse(status int, h http.Header, r *http.Request) *http.Response {
	res := &http.Response{
		StatusCode: status, Status: rules.Decimal(int64(status)) + " " + http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: contentLength(h), Request: r,
	}
	if r.Method != http.MethodHead && !hasBody(status) {
		res.ContentLength = 0
	}
	return res
}

// forwarder returns the handler that stands for the next RoundTripper.
func (t *transport) forwarder() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := w.(*recorder)
		res, err := t.next.RoundTrip(r)
		if err != nil {
			if rec.exchange.mayBeStale() && !errors.Is(err, context.Canceled) {
				rec.WriteHeader(http.StatusBadGateway)
				return
			}
			panic(forwardError{err})
		}
		defer res.Body.Close()
		if p, ok := rec.ResponseWriter.(*pipe); ok { // and not a refresh's, which answers nobody
			p.origin = res
		}
		relay(w, res)
	})
}

// relay writes a response that came over the network as one of a handler.
func relay(w http.ResponseWriter, res *http.Response) {
	h := w.Header()
	for name, lines := range res.Header {
		h[name] = lines
	}
	rules.RemoveHopByHop(h)
	if etag := h.Get("Etag"); res.Uncompressed && rules.IsStrong(etag) {
		h["Etag"] = []string{"W/" + etag} // it is that of the compressed bytes
	}
	if res.ContentLength >= 0 && len(h["Content-Length"]) == 0 && res.Request != nil && res.Request.Method != http.MethodHead && hasBody(res.StatusCode) {
		h["Content-Length"] = []string{rules.Decimal(res.ContentLength)}
	}
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(writerOnly{w}, res.Body); err != nil {
		panic(forwardError{err})
	}
	for name, lines := range res.Trailer {
		if len(lines) > 0 {
			h[http.TrailerPrefix+name] = lines
		}
	}
}

// answered is the http.ResponseWriter of a response that is stored. What is
// written to it is kept as it is.
type answered struct {
	header http.Header
	status int
	parts  [][]byte
	done   func() // called when nobody reads the parts any more; may be nil
}

func (a *answered) Header() http.Header    { return a.header }
func (a *answered) WriteHeader(status int) { a.status = status }
func (a *answered) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.parts = append(a.parts, slices.Clone(b))
	return len(b), nil
}

// add is a Write of what stays as it is.
func (a *answered) add(b []byte) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.parts = append(a.parts, b)
}

// response makes an http.Response of what was written. Its header is the
// caller's own.
func (a *answered) response(r *http.Request) *http.Response {
	trailer := http.Header{}
	for name, lines := range a.header {
		if plain, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			trailer[plain] = lines
			delete(a.header, name)
		}
	}
	res := newHTTPResponse(a.status, a.header, r)
	res.Trailer = trailer
	switch len(a.parts) {
	case 0:
		res.Body = http.NoBody
		if a.done != nil {
			a.done()
		}
	case 1:
		res.Body = a.closing(bytes.NewReader(a.parts[0]))
	default:
		readers := make([]io.Reader, len(a.parts))
		for i, part := range a.parts {
			readers[i] = bytes.NewReader(part)
		}
		res.Body = a.closing(io.MultiReader(readers...))
	}
	return res
}

// closing returns the body that r reads, which calls done when it is closed or
// forgotten.
func (a *answered) closing(r io.Reader) io.ReadCloser {
	body := io.NopCloser(r) // which hands WriteTo on
	if a.done == nil {
		return body
	}
	done := sync.OnceFunc(a.done)
	lent := &lentBody{body, done}
	runtime.AddCleanup(lent, func(done func()) { done() }, done)
	return lent
}

// A lentBody is a stored body that counts as long as it is read.
type lentBody struct {
	io.ReadCloser
	done func()
}

func (b *lentBody) Close() error {
	b.done()
	return nil
}

// WriteTo hands out the body as a whole, to who can take it.
func (b *lentBody) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, b.ReadCloser) }

// requested returns the URL that a client asks for: by its Host, if that is set.
func requested(r *http.Request) *url.URL {
	u := *r.URL
	if r.Host != "" {
		u.Host = r.Host
	}
	return &u
}
