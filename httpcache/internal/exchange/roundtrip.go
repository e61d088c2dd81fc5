package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stream"
	"github.com/seed-0226adef/memo/internal/function"
)

// Transport returns a RoundTripper that answers from the cache what it can, and has next do
// the rest. What it stores is in the partition alone.
func (c *Cache) Transport(next http.RoundTripper, partition string) http.RoundTripper {
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
	if function.Bypassed(r.Context()) || r.URL == nil || r.URL.Host == "" || r.Header == nil || rules.IsStream(r.Header) || rules.IsForOrigin(r.Header) {
		return t.next.RoundTrip(r)
	}
	if r.Method == "" { // which is how clients may write GET
		r = r.WithContext(r.Context())
		r.Method = http.MethodGet
	}
	x := &exchange{cache: t.cache, policy: t.policy, face: rules.TransportFace, partition: t.partition, r: r, release: func() {}}
	x.authorized = len(r.Header["Authorization"]) > 0
	raw := rules.HasRawNames(r.Header)
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

// answer answers from the cache, or starts an exchange that forwards the request. done
// is called when the request has ended.
func (t *transport) answer(x *exchange, done func()) (*http.Response, error) {
	w := stream.NewAnswer()
	x.w, x.next = w, t.forwarder()
	if x.answered() {
		done()
		x.giveBack()
		return w.Response(x.r), nil
	}
	return t.start(x, func() {
		defer done()
		defer x.giveBack()
		x.fetch()
	})
}

// withBody answers a request of one of Options.Methods.
func (t *transport) withBody(x *exchange) (*http.Response, error) {
	body, whole, rest, taken := t.cache.Inflight.ReadBody(x.r, t.policy.MaxRequestBody)
	done := func() { t.cache.Inflight.Release(taken) }
	if !whole {
		defer done()
		r := x.r.WithContext(x.r.Context())
		r.Body = rejoined{io.MultiReader(bytes.NewReader(body), rest), x.r.Body}
		return t.next.RoundTrip(r)
	}
	x.r.Body.Close()
	x.digest, x.payload = rules.DigestOf(x.r.Header, body), body
	return t.answer(x, done)
}

// start runs an exchange in a goroutine of its own, and returns its response when
// the header is there. The goroutine ends when the body has been written, or the
// body has been closed or the request's context is done, and nobody else waits.
func (t *transport) start(x *exchange, run func()) (*http.Response, error) {
	t.warnApart()
	client := x.r
	ctx, cancel := context.WithCancel(client.Context())
	p := stream.NewPipe(cancel)
	x.r, x.w, x.next = client.WithContext(ctx), p, t.forwarder()
	go func() {
		defer cancel()
		defer func() {
			if v := recover(); v != nil {
				p.Fail(v, x.cache.log())
			}
		}()
		run()
		if p.Status == 0 {
			p.WriteHeader(http.StatusOK)
		}
		p.End(nil)
	}()
	select {
	case <-p.Sent:
	case <-client.Context().Done():
		p.Close()
		return nil, client.Context().Err()
	}
	switch {
	case p.Panicked != nil:
		panic(p.Panicked)
	case p.Status == 0:
		return nil, p.Err
	}
	p.Watch(client.Context())
	return p.Response(client), nil
}

// warnApart says once that a store holds nothing for other processes.
func (t *transport) warnApart() {
	if strings.HasPrefix(t.partition, "#") && t.cache.Records.IsShared() {
		t.apart.Do(func() {
			t.cache.log().Warn("memo: httpcache: what a Transport stores is found by no other process; give Options.Partition if it is for them, too")
		})
	}
}

// forwarder returns the handler that stands for the next RoundTripper.
func (t *transport) forwarder() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := w.(*attempt)
		res, err := t.next.RoundTrip(r)
		if err != nil {
			if rec.exchange.mayBeStale() && !errors.Is(err, context.Canceled) {
				rec.WriteHeader(http.StatusBadGateway)
				return
			}
			stream.Abort(err)
		}
		defer res.Body.Close()
		if p, ok := rec.ResponseWriter.(*stream.Pipe); ok { // and not a refresh's, which answers nobody
			p.Origin = res
		}
		stream.Relay(w, res)
	})
}

// requested returns the URL that a client asks for: by its Host, if that is set.
func requested(r *http.Request) *url.URL {
	u := *r.URL
	if r.Host != "" {
		u.Host = r.Host
	}
	return &u
}
