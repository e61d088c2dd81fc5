package httpcache

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

func BenchmarkHit(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 2048)
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain")
		h.Set("Cache-Control", "max-age=3600")
		h.Set("Content-Length", "2048")
		w.Write(body)
	})
	run := func(name string, h http.Handler, inm string) {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/users/42?x=1", nil)
			r.Header.Set("User-Agent", "Mozilla/5.0")
			r.Header.Set("Accept", "*/*")
			r.Header.Set("Accept-Encoding", "gzip")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			w = httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if inm != "" {
				r.Header.Set("If-None-Match", w.Header().Get("Etag"))
			}
			b.ReportAllocs()
			s := &sink{make(http.Header)}
			for b.Loop() {
				clear(s.h)
				h.ServeHTTP(s, r)
			}
		})
	}
	run("bare", bare, "")
	run("cache", New(nil).Handler(bare), "")
	run("304", New(nil).Handler(bare), "x")
}
