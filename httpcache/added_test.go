package httpcache_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// Of what a cache adds to responses, nothing may make wrong what was right without
// it.

// compressing is a middleware that compresses for those who want it, in the fewest
// lines that work with a handler that leaves length and type to net/http.
func compressing(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			inner.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		inner.ServeHTTP(rewritten{w, z}, r)
	})
}

type rewritten struct {
	http.ResponseWriter
	to io.Writer
}

func (w rewritten) Write(p []byte) (int, error) { return w.to.Write(p) }

// footed is a middleware that adds to every body.
func footed(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		io.WriteString(w, "<footer>")
	})
}

// typed is a middleware that makes HTML of every body, which net/http then sees.
func typed(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		inner.ServeHTTP(rewritten{w, &b}, r)
		fmt.Fprintf(w, "<html>%s", &b)
	})
}

// The length and the type that the cache put into stored responses were those of the
// handler's body: what a middleware outside made of it was cut off.
func TestWhatAMiddlewareOutsideMakesOfABodyIsWhole(t *testing.T) {
	for _, size := range []int{100, 10_000} {
		text := strings.Repeat("0123456789", size/10)
		handlers := map[string]http.HandlerFunc{
			"silent": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) },
			"404":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404); io.WriteString(w, text) },
			"content": func(w http.ResponseWriter, r *http.Request) { // which leaves the length out where there is an encoding
				http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader(text))
			},
		}
		for name, serve := range handlers {
			for around, outer := range map[string]func(http.Handler) http.Handler{"compressing": compressing, "footed": footed, "typed": typed} {
				if name == "content" && around != "compressing" {
					continue // wrong without a cache, too
				}
				see := func(inner http.Handler) (seen []string) {
					srv := httptest.NewServer(outer(inner))
					defer srv.Close()
					for range 3 {
						for _, encoding := range []string{"identity", "gzip"} {
							r, _ := http.NewRequest("GET", srv.URL, nil)
							r.Header.Set("Accept-Encoding", encoding)
							res, err := srv.Client().Do(r)
							if err != nil {
								t.Fatal(err)
							}
							b, err := io.ReadAll(res.Body)
							res.Body.Close()
							seen = append(seen, fmt.Sprintln(res.StatusCode, len(b), err, res.ContentLength, res.Header["Content-Type"], res.Header["Content-Encoding"]))
						}
					}
					return seen
				}
				got, want := see(httpcache.New(&httpcache.Options{TTL: time.Minute}).Handler(serve)), see(serve)
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("%s, %s, %d bytes, request %d: got %swithout a cache it is %s", name, around, size, i, got[i], want[i])
					}
				}
			}
		}
	}
}

// A download that is resumed after it was cut off is the same as one that was not:
// the cache served ranges of what the handler sends whole, and vouched by a strong
// ETag for what a middleware had compressed.
func TestAResumedDownloadBehindACompressingMiddlewareIsWhole(t *testing.T) {
	text := strings.Repeat("0123456789", 1000)
	for _, fields := range [][]string{nil, {"Etag", `"a"`}, {"Last-Modified", longAgo}} {
		c := httpcache.New(&httpcache.Options{TTL: time.Minute})
		srv := httptest.NewServer(compressing(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(fields); i += 2 {
				w.Header().Set(fields[i], fields[i+1])
			}
			io.WriteString(w, text)
		}))))
		defer srv.Close()
		get := func(fields ...string) *http.Response {
			r, _ := http.NewRequest("GET", srv.URL, nil)
			for i := 0; i < len(fields); i += 2 {
				r.Header.Set(fields[i], fields[i+1])
			}
			res, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { res.Body.Close() })
			return res
		}
		for range 2 {
			whole := get("Accept-Encoding", "gzip")
			for _, validator := range []string{whole.Header.Get("Etag"), whole.Header.Get("Last-Modified"), ""} {
				resume := []string{"Accept-Encoding", "gzip", "Range", "bytes=100-"}
				if validator != "" {
					resume = append(resume, "If-Range", validator)
				}
				if res := get(resume...); res.StatusCode != 200 {
					t.Errorf("%v: resumed by %q: got %s, of which no client can make a whole", fields, validator, res.Status)
				}
			}
			if tag := whole.Header.Get("Etag"); strings.HasPrefix(tag, `"`) && fields == nil {
				t.Errorf("the cache says %s of what somebody else has encoded", tag)
			}
		}
	}
}

// Options.Ranges is for those that nobody encodes outside.
func TestRangesAreServedOfAnythingIfSoAsked(t *testing.T) {
	for asked, want := range map[bool]int{false: 200, true: 206} {
		s := newSite(&httpcache.Options{Ranges: asked}, saying("Cache-Control: max-age=60"))
		s.get("/")
		if res := s.get("/", "Range: bytes=0-1"); res.StatusCode != want {
			t.Errorf("Ranges %v: got %s", asked, res.Status)
		}
		s.wantRuns(t, 1)
	}
}

// A file that was overwritten went out as it had been for up to a day.
func TestAFileThatIsOverwrittenIsServedAnew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.txt")
	write := func(text string, age time.Duration) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age).Truncate(time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{"long ago": 1000 * time.Hour, "in this second": 0} {
		c := httpcache.New(nil)
		h := c.Handler(http.FileServer(http.Dir(dir)))
		for i := range 4 {
			text := fmt.Sprint("text ", i)
			write(text, age)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, request("GET", "/a.txt"))
			if w.Code != 200 || w.Body.String() != text {
				t.Errorf("modified %s: got %d %q, want %q", name, w.Code, w.Body, text)
			}
		}
	}
}

// How long a response is fresh is guessed by a Handler if it is asked to, and by a
// Transport unless it is asked not to.
func TestFreshnessIsGuessedWhereThatIsAskedFor(t *testing.T) {
	for _, tt := range []struct {
		max               time.Duration
		handler, together int64 // how often each runs for two requests
	}{{0, 2, 1}, {time.Hour, 1, 1}, {-1, 2, 2}} {
		synctest.Test(t, func(t *testing.T) {
			say := saying("Last-Modified: "+longAgo, "Date: "+time.Now().UTC().Format(http.TimeFormat))
			s := newSite(&httpcache.Options{HeuristicMax: tt.max}, say)
			s.get("/")
			s.get("/")
			s.wantRuns(t, tt.handler)
			var sent int64
			rt := httpcache.New(&httpcache.Options{HeuristicMax: tt.max}).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				sent++
				w := httptest.NewRecorder()
				say(w, r)
				return w.Result(), nil
			}))
			for range 2 {
				res, err := rt.RoundTrip(request("GET", "/"))
				if err != nil {
					t.Fatal(err)
				}
				body(t, res)
			}
			if sent != tt.together {
				t.Errorf("HeuristicMax %v: a transport asked %d times, want %d", tt.max, sent, tt.together)
			}
		})
	}
}

// What says nothing of caching is as it would be without a cache, and so is what a
// client may do with it.
func TestAHandlerThatSaysNothingOfCachingIsRunEveryTime(t *testing.T) {
	for _, field := range []string{"X-A: 1", "Last-Modified: " + longAgo, `Etag: W/"a"`, `Etag: "a"`} {
		s := newSite(nil, saying(field))
		for i := range 3 {
			if got, want := body(t, s.get("/")), fmt.Sprint("answer ", i+1); got != want {
				t.Errorf("%s: got %q, want %q", field, got, want)
			}
		}
		if n := s.cache.Stats().Stored; n > 0 && field != `Etag: "a"` {
			t.Errorf("%s: %d responses are stored", field, n)
		}
	}
}
