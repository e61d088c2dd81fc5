package httpcache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// A page that was stored for the same URL answered those who wanted another
// protocol, or a stream of events: they were asked about only on a miss.
func TestWhoWantsAnotherProtocolGetsNoStoredPage(t *testing.T) {
	for _, field := range []string{"Upgrade: websocket", "Accept: text/event-stream"} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			s := newSite(&httpcache.Options{Methods: []string{"POST"}}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set("X-Wanted", r.Header.Get("Upgrade")+r.Header.Get("Accept"))
				w.WriteHeader(http.StatusOK)
			})
			s.do(method, "/")
			_, want, _ := strings.Cut(field, ": ")
			for range 2 {
				if got := s.do(method, "/", field).Header.Get("X-Wanted"); got != want {
					t.Errorf("%s, %s: got what is for %q", method, field, got)
				}
			}
			s.do(method, "/")
			stored := int64(1)
			if method == "HEAD" {
				stored = 2 // a response without a body is not
			}
			s.wantRuns(t, stored+2)
		}
	}
}

// Clients of a stream of events that had not said so in Accept waited for the end
// of the first one's, which was stored.
func TestAStreamOfEventsIsKnownByItsType(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "Text/Event-Stream; charset=utf-8"} {
		for _, accept := range []string{"*/*", "text/event-stream, */*"} {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", kind)
					w.Header().Set("Cache-Control", "max-age=60")
					io.WriteString(w, "data: a\n\n")
					time.Sleep(time.Second)
				})
				for range 3 {
					go s.get("/", "Accept: "+accept)
				}
				synctest.Wait()
				s.wantRuns(t, 3)
				time.Sleep(time.Second)
				if got, want := s.get("/").Header.Get("Cache-Status"), "detail=stream"; !strings.HasSuffix(got, want) {
					t.Errorf("Cache-Status is %q, want %s", got, want)
				}
				if n := s.cache.Stats().Stored; n != 0 {
					t.Errorf("%d responses are stored", n)
				}
			})
		}
	}
}

// Requests that went past the cache were handed on without it: their clients got
// the tags that are between the handler and the cache, and nobody counted them.
func TestWhatGoesPastTheCacheIsStillItsAnswer(t *testing.T) {
	withBody := func(method, text string) *http.Request {
		return httptest.NewRequest(method, "http://example.com/", strings.NewReader(text))
	}
	tests := map[string]*http.Request{
		"If-Match":                 request("GET", "/", `If-Match: "a"`),
		"If-Unmodified-Since":      request("HEAD", "/", "If-Unmodified-Since: "+longAgo),
		"a GET with a body":        withBody("GET", "x"),
		"a POST that is too long":  withBody("POST", "longer than four"),
		"a POST that breaks off":   httptest.NewRequest("POST", "http://example.com/", brokenReader{}),
		"a POST with a condition":  request("POST", "/", `If-Match: "a"`),
		"a method of no such kind": request("OPTIONS", "/"),
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			o := &httpcache.Options{Methods: []string{"POST"}, MaxRequestBody: 4}
			s := newSite(o, saying("Cache-Control: max-age=60", "Cache-Tag: secret", "Surrogate-Key: secret"))
			h := s.send(r).Header
			if h.Get("Cache-Tag") != "" || h.Get("Surrogate-Key") != "" {
				t.Errorf("the client sees the tags: %v", h)
			}
			if got := h.Get("Cache-Status"); !strings.HasPrefix(got, "memo; fwd=") {
				t.Errorf("Cache-Status is %q", got)
			}
			if got := s.cache.Stats(); got.Passes != 1 || counted(got) != 1 || got.Stored != 0 {
				t.Errorf("it is counted as %+v, want one of Passes", got)
			}
		})
	}
}

// counted is how many requests the counters know of.
func counted(s httpcache.Stats) uint64 {
	return s.Hits + s.StaleHits + s.Revalidated + s.Collapsed + s.Misses + s.Passes
}

func TestWhatDoesNotCountIsSaidInTheDocOfStats(t *testing.T) {
	tests := []struct {
		method, field string
		want          uint64
	}{
		{"GET", "Accept: */*", 1},
		{"HEAD", "Accept: */*", 1},
		{"PUT", "Accept: */*", 1},
		{"GET", "Range: bytes=0-1", 1},
		{"GET", "Cache-Control: no-store", 1},
		{"GET", "Cache-Control: only-if-cached", 0},
		{"GET", "Accept: text/event-stream", 0},
		{"GET", "Upgrade: websocket", 0},
		{"PUT", "Upgrade: websocket", 0},
		{"CONNECT", "Accept: */*", 0},
	}
	for _, tt := range tests {
		s := newSite(nil, saying("Cache-Control: max-age=60"))
		s.do(tt.method, "/", tt.field)
		if got := counted(s.cache.Stats()); got != tt.want {
			t.Errorf("%s, %s: counted %d times, want %d", tt.method, tt.field, got, tt.want)
		}
	}
}
