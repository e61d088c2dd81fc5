package httpcache_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// rewriteInPlace does to a header what middlewares do that take it for their own.
func rewriteInPlace(h http.Header) {
	for name, values := range h {
		for i := range values {
			values[i] += "+"
		}
		for i := range values[len(values):cap(values)] {
			values[:cap(values)][len(values)+i] += "+"
		}
		h[name] = append(values, "more")
	}
}

// rewriting is a middleware that rewrites every header on its way out, and again
// when the response is over.
func rewriting(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(&rewritingWriter{w, false}, r)
		rewriteInPlace(w.Header())
	})
}

type rewritingWriter struct {
	http.ResponseWriter
	done bool
}

func (w *rewritingWriter) WriteHeader(status int) {
	if !w.done {
		rewriteInPlace(w.Header())
	}
	w.done = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *rewritingWriter) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Header values were the stored response's own: what a middleware did to them, every
// later client saw, and it grew from hit to hit.
func TestWhatIsDoneToOneAnswersHeaderIsInNoOther(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"short": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") },
		"long":  func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 10_000)) },
		"trailer": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello")
			w.Header().Set(http.TrailerPrefix+"X-T", "t")
		},
	}
	asked := map[string][]string{
		"page": {"GET"}, "head": {"HEAD"}, "part": {"GET", "Range: bytes=0-1"}, "parts": {"GET", "Range: bytes=0-1, 3-3"},
		"no part": {"GET", "Range: bytes=90000-"}, "304": {"GET", `If-None-Match: "a"`}, "validated": {"GET", "Cache-Control: no-cache"},
		"no date": {"GET", "If-Modified-Since: " + longAgo},
	}
	for name, serve := range handlers {
		for what, ask := range asked {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(&httpcache.Options{ClientTTL: time.Minute, XCache: true}, func(w http.ResponseWriter, r *http.Request) {
					h := w.Header()
					h.Set("Cdn-Cache-Control", "max-age=60")
					h["X-A"] = append(make([]string, 0, 9), "1", "2")
					h.Set("Vary", "Accept")
					h.Set("Accept-Ranges", "bytes")
					h.Set("Etag", `"a"`)
					h.Set("Last-Modified", longAgo)
					if r.Header.Get("If-None-Match") != "" {
						w.WriteHeader(http.StatusNotModified)
						return
					}
					serve(w, r)
				})
				outer := rewriting(s)
				see := func(h http.Handler, method, target string, fields ...string) http.Header {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, request(method, target, fields...))
					got := maps.Clone(w.Result().Header)
					if what == "parts" {
						delete(got, "Content-Type") // a new boundary each time
					}
					return got
				}
				ask := append([]string{ask[0], "Accept: a"}, ask[1:]...)
				see(s, "GET", "/untouched", "Accept: a")
				want := fmt.Sprint(see(s, ask[0], "/untouched", ask[1:]...))
				miss := fmt.Sprint(see(s, "GET", "/x", "Accept: a"))
				see(outer, "GET", "/", "Accept: a")
				for range 3 {
					see(outer, ask[0], "/", ask[1:]...)
				}
				if got := fmt.Sprint(see(s, ask[0], "/", ask[1:]...)); got != want {
					t.Errorf("%s, %s: after others have rewritten theirs:\n%s, without that\n%s", name, what, got, want)
				}
				if got := fmt.Sprint(see(s, "GET", "/y", "Accept: a")); got != miss {
					t.Errorf("%s, %s: after others have rewritten theirs, a miss is\n%s, without that\n%s", name, what, got, miss)
				}
			})
		}
	}
}

// Two clients' middlewares wrote to the same memory.
func TestTwoAnswersShareNoMemory(t *testing.T) {
	s := newSite(&httpcache.Options{XCache: true, ClientTTL: time.Minute, TTL: time.Minute}, saying("X-A: 1", "X-A: 2"))
	outer := rewriting(s)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				outer.ServeHTTP(httptest.NewRecorder(), request("GET", "/"))
			}
		})
	}
	wg.Wait()
}

// The header of an http.Response is its caller's own, and what the next RoundTripper
// gave is that one's.
func TestTheHeaderOfAResponseIsItsCallers(t *testing.T) {
	given := http.Header{"Cache-Control": {"max-age=60"}, "X-A": {"1"}, "Etag": {`"a"`}}
	trailer := http.Header{"X-T": {"t"}}
	rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: given, Trailer: trailer, Body: http.NoBody, ContentLength: -1, Request: r}, nil
	}))
	var seen []string
	for range 4 {
		res, err := rt.RoundTrip(request("GET", "/"))
		if err != nil {
			t.Fatal(err)
		}
		body(t, res)
		seen = append(seen, fmt.Sprint(res.Header["X-A"], res.Header["Etag"], res.Trailer["X-T"]))
		rewriteInPlace(res.Header)
		rewriteInPlace(res.Trailer)
	}
	for _, got := range seen {
		if want := `[1] ["a"] [t]`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := fmt.Sprint(given["X-A"], trailer["X-T"]); got != "[1] [t]" {
		t.Errorf("the next RoundTripper's own fields are now %s", got)
	}
}

// A handler that rewrote the fields of its request in place rewrote what the response was
// found by: who asked for xx got what another had been told in French.
func TestWhatAHandlerDoesToItsRequestIsNotInTheKey(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Language")
		asked := r.Header["Accept-Language"][0]
		r.Header["Accept-Language"][0] = "xx"
		io.WriteString(w, asked)
	})
	for _, language := range []string{"fr", "de", "xx", "fr", "de"} {
		if got := body(t, s.get("/", "Accept-Language: "+language)); got != language {
			t.Errorf("who asks for %s gets %s", language, got)
		}
	}
	s.wantRuns(t, 3)
}
