package httpcache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The writer of http.TimeoutHandler cannot flush. What came after a flush was lost.
func TestAWriterThatCannotFlushGetsTheWholeResponse(t *testing.T) {
	long := strings.Repeat("x", 32_000)
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "hello")
		http.NewResponseController(w).Flush()
		time.Sleep(time.Millisecond) // whoever writes to the client comes to the flush first
		io.WriteString(w, long)
	})
	srv := httptest.NewServer(http.TimeoutHandler(s, time.Minute, "too late"))
	defer srv.Close()
	for range 2 {
		res, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(got) != "hello"+long {
			t.Errorf("got %d bytes, want %d", len(got), 5+len(long))
		}
	}
}
