package httpcache_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// below returns the site behind a middleware that sets these fields, such as
// "Vary: A", before the cache sees the request.
func (s *site) below(fields ...string) *site {
	return &site{cache: s.cache, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Set(name, value)
		}
		s.ServeHTTP(w, r)
	})}
}

const longAgo = "Thu, 01 Jan 1970 00:00:00 GMT"

// What a middleware outside had said of caching was left out of account, as its
// request ID is: pages were stored that their header forbade to store.
func TestWhatIsSaidOfCachingOutsideCounts(t *testing.T) {
	tests := []struct {
		outside string
		runs    int64 // for two requests
	}{
		{"Cache-Control: no-store", 2},
		{"Cache-Control: private", 2},
		{"Cache-Control: max-age=0", 2},
		{"Cdn-Cache-Control: no-store", 2},
		{"Expires: " + longAgo, 2},
		{"Cache-Control: max-age=60", 1},
		{"X-Request-Id: a", 1},
	}
	for _, tt := range tests {
		t.Run(tt.outside, func(t *testing.T) {
			s := newSite(&httpcache.Options{TTL: time.Minute}, saying())
			outer := s.below(tt.outside)
			outer.get("/")
			outer.get("/")
			s.wantRuns(t, tt.runs)
		})
	}
}

// A field that was as it had been before counted as the middleware's, so that the
// handler's own no-store was ignored where both said it.
func TestWhatTheHandlerSaysOfCachingCountsAlsoWhenItWasSaidOutside(t *testing.T) {
	for _, field := range []string{"Cache-Control: no-store", "Cache-Control: private", "Cdn-Cache-Control: no-store", "Expires: " + longAgo} {
		name, value, _ := strings.Cut(field, ": ")
		s := newSite(&httpcache.Options{TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(name, value)
			io.WriteString(w, "hello")
		})
		outer := s.below(field)
		outer.get("/")
		outer.get("/")
		if got := s.runs.Load(); got != 2 {
			t.Errorf("%s: the handler ran %d times, want 2", field, got)
		}
	}
}

// A response was stored without what a middleware outside had said that it varies
// by, and went to everybody.
func TestVaryOfAMiddlewareOutsideSelects(t *testing.T) {
	for _, own := range []string{"", "Accept-Language", "X-A"} {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if own != "" {
				w.Header().Add("Vary", own)
			}
			io.WriteString(w, r.Header.Get("Accept-Language"))
		})
		outer := s.below("Vary: Accept-Language")
		for range 2 {
			for _, language := range []string{"de", "en"} {
				if got := body(t, outer.get("/", "Accept-Language: "+language)); got != language {
					t.Errorf("the handler varies by %q: who wants %q got %q", own, language, got)
				}
			}
		}
		s.wantRuns(t, 2)
	}
}

// What was said outside is stored too, and it is said outside again on every hit.
func TestVaryOfAMiddlewareOutsideIsSentOnce(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60"))
	outer := s.below("Vary: Accept-Language")
	for i := range 2 {
		if got, want := outer.get("/").Header["Vary"], []string{"Accept-Language"}; !slices.Equal(got, want) {
			t.Errorf("%d: Vary is %q, want %q", i, got, want)
		}
	}
}

// A type that a middleware outside had set went to the first client, and was
// replaced on hits by the one that the body looks like.
func TestATypeThatWasSetOutsideIsKept(t *testing.T) {
	sizes := map[string]int{"short": 10, "long": 10_000} // the header of a short one waits for its end
	for name, size := range sizes {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Write(page("/", size))
		})
		outer := s.below("Content-Type: application/json")
		for i := range 2 {
			if got, want := outer.get("/").Header["Content-Type"], []string{"application/json"}; !slices.Equal(got, want) {
				t.Errorf("%s, %d: Content-Type is %q, want %q", name, i, got, want)
			}
		}
		s.wantRuns(t, 1)
	}
}

// A type that is set when the header has been written is nobody's.
func TestATypeThatIsSetTooLateIsNotTheStoredOne(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "hello")
		w.Header().Set("Content-Type", "application/json")
	})
	s.get("/")
	for _, method := range []string{"GET", "HEAD"} {
		if got, want := s.do(method, "/").Header.Get("Content-Type"), "text/plain; charset=utf-8"; got != want {
			t.Errorf("%s: Content-Type is %q, want %q", method, got, want)
		}
	}
	s.wantRuns(t, 1)
}
