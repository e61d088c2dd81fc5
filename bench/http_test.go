package bench

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0226adef/memo/httpcache"
)

// An httpPeer is a way to answer requests for one page.
type httpPeer struct {
	name string
	wrap func(http.Handler) http.Handler
}

// httpPeers are the handler alone, one that serves bytes from a map by path and
// query (which no HTTP cache can be quicker than: it looks at nothing else), and
// the cache.
var httpPeers = []httpPeer{
	{"bare", func(h http.Handler) http.Handler { return h }},
	{"map", mapHandler},
	{"memo", httpcache.New(nil).Handler},
}

var pageBody = bytes.Repeat([]byte("0123456789abcdef"), 128) // 2 KiB

// servePage is the handler: it has its bytes in memory.
func servePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "max-age=3600")
	h.Set("Content-Length", "2048")
	w.Write(pageBody)
}

func mapHandler(next http.Handler) http.Handler {
	type answer struct {
		header http.Header
		body   []byte
	}
	var answers sync.Map
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.URL.Path + "?" + r.URL.RawQuery
		held, ok := answers.Load(key)
		if !ok {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			held = answer{rec.Header(), rec.Body.Bytes()}
			answers.Store(key, held)
		}
		h := w.Header()
		for name, values := range held.(answer).header {
			h[name] = values
		}
		w.Write(held.(answer).body)
	})
}

// nowhere is an http.ResponseWriter that costs nothing.
type nowhere struct {
	header http.Header
	status int
	n      int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(status int)      { w.status = status }
func (w *nowhere) Write(p []byte) (int, error) { w.n += len(p); return len(p), nil }

func (w *nowhere) reset() {
	clear(w.header)
	w.status, w.n = 0, 0
}

// pageRequest is a request as a server hands it to a handler. The query and the
// fields are a browser's.
func pageRequest() *http.Request {
	r := httptest.NewRequest("GET", "/accounts/profile?tab=orders&page=2", nil)
	for name, value := range map[string]string{
		"Accept":          "text/html,application/xhtml+xml",
		"Accept-Encoding": "gzip, deflate, br",
		"Accept-Language": "en-GB,en;q=0.9",
		"User-Agent":      "Mozilla/5.0 (X11; Linux x86_64)",
		"Referer":         "https://example.com/accounts",
	} {
		r.Header.Set(name, value)
	}
	return r
}

// BenchmarkHTTPHit measures a page that is stored: sent, and found to be what the
// client has. The handler alone does not do the second.
func BenchmarkHTTPHit(b *testing.B) {
	for _, p := range shuffled(httpPeers) {
		b.Run("page/serial/peer="+p.name, func(b *testing.B) { benchmarkPage(b, p, false) })
	}
	b.Run("304/serial/peer=memo", func(b *testing.B) { benchmarkPage(b, httpPeers[2], true) })
}

func benchmarkPage(b *testing.B, p httpPeer, conditional bool) {
	h, r := p.wrap(http.HandlerFunc(servePage)), pageRequest()
	w := &nowhere{header: http.Header{}}
	for range 2 {
		w.reset()
		h.ServeHTTP(w, r)
	}
	want := http.StatusOK
	if conditional {
		r.Header.Set("If-None-Match", w.header.Get("Etag"))
		want = http.StatusNotModified
	}
	b.ReportAllocs()
	for b.Loop() {
		w.reset()
		h.ServeHTTP(w, r)
	}
	if got := w.status; got != want && got != 0 {
		b.Fatalf("got %d, want %d", got, want)
	}
}

// TestPagesAreAnswered checks that the peers do what is measured.
func TestPagesAreAnswered(t *testing.T) {
	for _, p := range httpPeers {
		h := p.wrap(http.HandlerFunc(servePage))
		for range 2 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, pageRequest())
			if !bytes.Equal(w.Body.Bytes(), pageBody) || w.Header().Get("Content-Length") != "2048" {
				t.Errorf("%s: got %d bytes, %v", p.name, w.Body.Len(), w.Header())
			}
		}
	}
	h := httpPeers[2].wrap(http.HandlerFunc(servePage))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, pageRequest())
	if !strings.Contains(w.Header().Get("Cache-Status"), "hit") {
		t.Errorf("memo does not hit: %v", w.Header())
	}
}
