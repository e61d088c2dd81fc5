//go:build !race

package httpcache

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// (The race detector has sync.Pool drop buffers at random, and the next one is
// allocated.)
func TestAHitAllocatesNothing(t *testing.T) {
	page := New(nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Write(make([]byte, 2048))
	}))
	r := httptest.NewRequest("GET", "/users/42?x=1", nil)
	first := httptest.NewRecorder()
	page.ServeHTTP(first, r)
	has := r.Clone(t.Context())
	has.Header.Set("If-None-Match", first.Header().Get("Etag"))
	for name, r := range map[string]*http.Request{"page": r, "304": has} {
		w := &sink{make(http.Header)}
		if n := testing.AllocsPerRun(1000, func() { clear(w.h); page.ServeHTTP(w, r) }); n > 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
