package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// A site is a handler behind a cache, called without a network.
type site struct {
	http.Handler
	cache *httpcache.Cache
	runs  atomic.Int64 // of the handler
}

func newSite(o *httpcache.Options, serve http.HandlerFunc) *site {
	s := &site{cache: httpcache.New(o)}
	s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.runs.Add(1)
		serve(w, r)
	}))
	return s
}

// do sends a request with header fields such as "Accept: a", and returns the
// response.
func (s *site) do(method, target string, fields ...string) *http.Response {
	return s.send(request(method, target, fields...))
}

func (s *site) get(target string, fields ...string) *http.Response {
	return s.do("GET", target, fields...)
}

func (s *site) send(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func request(method, target string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, "http://example.com"+target, nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("the body could not be read: %v", err)
	}
	return string(b)
}

// wantRuns checks how often the handler has been run.
func (s *site) wantRuns(t *testing.T, want int64) {
	t.Helper()
	if got := s.runs.Load(); got != want {
		t.Errorf("the handler ran %d times, want %d", got, want)
	}
}

// saying returns a handler that writes these fields, and its own count as body.
func saying(fields ...string) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		fmt.Fprintf(w, "answer %d", n.Add(1))
	}
}

func TestAFreshResponseIsServedWithoutTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, saying("Cache-Control: max-age=60", "X-A: 1"))
		first := s.get("/")
		time.Sleep(10 * time.Second)
		second := s.get("/")
		s.wantRuns(t, 1)
		if a, b := body(t, first), body(t, second); a != "answer 1" || a != b {
			t.Errorf("got %q, then %q", a, b)
		}
		for name, want := range map[string]string{
			"Age": "10", "X-A": "1", "Date": first.Header.Get("Date"), "Content-Length": "",
			"Cache-Status": "memo; hit; ttl=50", "Content-Type": "text/plain; charset=utf-8",
		} {
			if got := second.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if got := first.Header.Get("Cache-Status"); got != "memo; fwd=uri-miss; stored" {
			t.Errorf("the miss says %q", got)
		}
		time.Sleep(50 * time.Second)
		if got := body(t, s.get("/")); got != "answer 2" {
			t.Errorf("after a minute: got %q", got)
		}
	})
}

func TestWhatSaysNothingIsNotStored(t *testing.T) {
	s := newSite(nil, saying())
	s.get("/")
	if got := s.get("/").Header.Get("Cache-Status"); got != "memo; fwd=bypass; detail=no-freshness" && got != "memo; fwd=uri-miss; detail=no-freshness" {
		t.Errorf("Cache-Status is %q", got)
	}
	s.wantRuns(t, 2)
}

func TestOptionsTTLIsForTheCacheAndClientTTLForClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(&httpcache.Options{TTL: time.Hour, ClientTTL: time.Minute}, saying())
		first := s.get("/")
		time.Sleep(59 * time.Minute)
		second := s.get("/")
		s.wantRuns(t, 1)
		for _, res := range []*http.Response{first, second} {
			if got := res.Header.Get("Cache-Control"); got != "max-age=60" {
				t.Errorf("clients are told %q", got)
			}
		}
		time.Sleep(time.Minute)
		s.get("/")
		s.wantRuns(t, 2)
	})
}

func TestTheHandlersCacheControlIsLeftAlone(t *testing.T) {
	s := newSite(&httpcache.Options{TTL: time.Hour, ClientTTL: time.Minute}, saying("Cache-Control: max-age=5, foo"))
	for range 2 {
		if got := s.get("/").Header["Cache-Control"]; len(got) != 1 || got[0] != "max-age=5, foo" {
			t.Errorf("got %q", got)
		}
	}
}

func TestHeadIsAnsweredFromGet(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60"))
	s.get("/")
	res := s.do("HEAD", "/")
	s.wantRuns(t, 1)
	if b := body(t, res); b != "" || res.Header.Get("Content-Length") != "8" {
		t.Errorf("got %q and Content-Length %s", b, res.Header.Get("Content-Length"))
	}
}

func TestAHeadThatAgreesUpdatesWhatIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Etag", r.Header.Get("Tag"))
			w.Header().Set("X-Method", r.Method)
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		})
		s.get("/", `Tag: "a"`)
		time.Sleep(2 * time.Minute)
		s.do("HEAD", "/", `Tag: "a"`)
		if res := s.get("/"); res.Header.Get("X-Method") != "HEAD" || body(t, res) != "hello" {
			t.Errorf("got %v", res.Header)
		}
		s.wantRuns(t, 2)
		s.do("HEAD", "/", `Tag: "b"`, "Cache-Control: no-cache")
		s.get("/", `Tag: "b"`)
		s.wantRuns(t, 4) // what does not agree drops what is stored
	})
}

func TestClientsAreToldWhatTheyHave(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT", "X-A: 1"))
	s.get("/")
	etag := s.get("/").Header.Get("Etag")
	if !strings.HasPrefix(etag, `W/"`) {
		t.Fatalf("the cache has made the ETag %q", etag)
	}
	for _, condition := range []string{"If-None-Match: " + etag, `If-None-Match: "x", ` + etag[len("W/"):], "If-None-Match: *", "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT"} {
		res := s.get("/", condition)
		if res.StatusCode != http.StatusNotModified || body(t, res) != "" {
			t.Errorf("%s: got %s", condition, res.Status)
		}
		for _, name := range []string{"Etag", "Date", "Cache-Control", "Age"} {
			if res.Header.Get(name) == "" {
				t.Errorf("%s: the 304 has no %s", condition, name)
			}
		}
		for _, name := range []string{"Content-Length", "Content-Type", "X-A"} {
			if res.Header.Get(name) != "" {
				t.Errorf("%s: the 304 has %s", condition, name)
			}
		}
	}
	for _, condition := range []string{`If-None-Match: "x"`, "If-Modified-Since: Mon, 01 Jan 2023 00:00:00 GMT"} {
		if res := s.get("/", condition); res.StatusCode != http.StatusOK {
			t.Errorf("%s: got %s", condition, res.Status)
		}
	}
	s.wantRuns(t, 1)
}

func TestAMadeETagDependsOnTheBodyAlone(t *testing.T) {
	etag := func(text string) string {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, text)
		})
		s.get("/")
		return s.get("/").Header.Get("Etag")
	}
	if a, b := etag("a"), etag("a"); a != b || a == "" {
		t.Errorf("one body has the tags %q and %q", a, b)
	}
	if a, b := etag("a"), etag("b"); a == b {
		t.Errorf("two bodies have the tag %q", a)
	}
}

func TestTheFirstAnswerOfAShortResponseHasTheETagAlready(t *testing.T) {
	tests := map[string]struct {
		serve http.HandlerFunc
		tag   bool
	}{
		"short":     {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }, true},
		"in pieces": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "a"); io.WriteString(w, "b") }, true},
		"empty":     {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }, true},
		"long":      {func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 3000)) }, false},
		"flushed":   {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "a"); w.(http.Flusher).Flush() }, false},
		"too late for fields": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.Header().Set("X-Late", "1")
			w.WriteHeader(500)
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				tt.serve(w, r)
			})
			first, second := s.get("/"), s.get("/")
			if a, b := body(t, first), body(t, second); a != b || first.StatusCode != 200 {
				t.Errorf("got %s, %q, then %q", first.Status, a, b)
			}
			tag := first.Header.Get("Etag")
			if (tag != "") != tt.tag || tag != "" && tag != second.Header.Get("Etag") {
				t.Errorf("the tags are %q and %q", tag, second.Header.Get("Etag"))
			}
			if first.Header.Get("X-Late") != "" || second.Header.Get("X-Late") != "" {
				t.Error("a field came after the header, and went out")
			}
			s.cache.Clear(context.Background())
			if tt.tag {
				if res := s.get("/", "If-None-Match: "+tag); res.StatusCode != http.StatusNotModified || body(t, res) != "" {
					t.Errorf("who has it already gets %s", res.Status)
				}
			}
		})
	}
}

func TestConditionsOfTheFirstClientAreEvaluatedOnTheWholeResponse(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			t.Error("the handler is asked for a part of the truth")
		}
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Etag", `"a"`)
		io.WriteString(w, "hello")
	})
	if res := s.get("/", `If-None-Match: "a"`); res.StatusCode != http.StatusNotModified || body(t, res) != "" {
		t.Errorf("got %s", res.Status)
	}
	if got := body(t, s.get("/")); got != "hello" {
		t.Errorf("got %q", got)
	}
	s.wantRuns(t, 1)
}

func TestIfMatchIsForTheHandler(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60"))
	s.get("/")
	s.get("/", `If-Match: "x"`)
	s.get("/", "If-Unmodified-Since: Mon, 01 Jan 2024 00:00:00 GMT")
	s.wantRuns(t, 3)
}

func TestAStaleResponseIsValidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Etag", `"a"`)
			w.Header().Set("X-Seen", r.Header.Get("If-None-Match"))
			if r.Header.Get("If-None-Match") == `"a"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("X-Old", "1")
			io.WriteString(w, "hello")
		})
		s.get("/")
		time.Sleep(61 * time.Second)
		for range 2 {
			res := s.get("/")
			if got := body(t, res); got != "hello" || res.StatusCode != 200 {
				t.Errorf("got %s, %q", res.Status, got)
			}
			if res.Header.Get("X-Seen") != `"a"` || res.Header.Get("X-Old") != "1" || res.Header.Get("Age") != "0" {
				t.Errorf("the header is not the one of both: %v", res.Header)
			}
		}
		s.wantRuns(t, 2)
		if n := s.cache.Stats().Revalidated; n != 1 {
			t.Errorf("Revalidated is %d, want 1", n)
		}
	})
}

func TestA304ForAnotherResponseIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if r.Header.Get("If-None-Match") != "" {
				w.Header().Set("Etag", `"b"`)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Etag", `"a"`)
			io.WriteString(w, "whole")
		})
		s.get("/")
		time.Sleep(61 * time.Second)
		if res := s.get("/"); res.StatusCode != 200 || body(t, res) != "whole" || res.Header.Get("Etag") != `"a"` {
			t.Errorf("got %s %v", res.Status, res.Header)
		}
		s.wantRuns(t, 3)
	})
}

func TestStaleWhileRevalidateServesAtOnceAndRefreshesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := saying("Cache-Control: max-age=60, stale-while-revalidate=60")
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			answer(w, r)
		})
		s.get("/")
		time.Sleep(61 * time.Second)
		began := time.Now()
		for range 5 {
			if got := body(t, s.get("/")); got != "answer 1" {
				t.Errorf("within the window: got %q", got)
			}
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("the clients waited for %v", waited)
		}
		time.Sleep(2 * time.Second)
		s.wantRuns(t, 2)
		if got := body(t, s.get("/")); got != "answer 2" {
			t.Errorf("after the refresh: got %q", got)
		}
		time.Sleep(130 * time.Second)
		if got := body(t, s.get("/")); got != "answer 3" {
			t.Errorf("after the window: got %q", got)
		}
	})
}

func TestAStaleResponseStandsInForAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		answer := saying("Cache-Control: max-age=60, stale-if-error=60")
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			if fail.Load() {
				w.Header().Set("X-Error", "1")
				http.Error(w, "broken", http.StatusInternalServerError)
				return
			}
			answer(w, r)
		})
		s.get("/")
		fail.Store(true)
		time.Sleep(61 * time.Second)
		res := s.get("/")
		if got := body(t, res); got != "answer 1" || res.StatusCode != 200 || res.Header.Get("X-Error") != "" {
			t.Errorf("got %s, %q, %v", res.Status, got, res.Header)
		}
		time.Sleep(61 * time.Second)
		if res := s.get("/"); res.StatusCode != 500 || body(t, res) != "broken\n" {
			t.Errorf("after the window: got %s", res.Status)
		}
	})
}

func TestOnlyIfCachedNeverRunsTheHandler(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60"))
	if res := s.get("/", "Cache-Control: only-if-cached"); res.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("got %s", res.Status)
	}
	s.get("/")
	if res := s.get("/", "Cache-Control: only-if-cached"); res.StatusCode != http.StatusOK {
		t.Errorf("got %s", res.Status)
	}
	s.wantRuns(t, 1)
}

func TestClientsMayAskForValidationUnlessTheOptionsForbidIt(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60"))
	s.get("/")
	if got := body(t, s.get("/", "Cache-Control: no-cache")); got != "answer 2" {
		t.Errorf("got %q", got)
	}
	if got := body(t, s.get("/")); got != "answer 2" {
		t.Errorf("what a reload brought is not stored: got %q", got)
	}
	s.get("/", "Cache-Control: no-store")
	if got := body(t, s.get("/")); got != "answer 2" {
		t.Errorf("what no-store brought is stored: got %q", got)
	}

	deaf := newSite(&httpcache.Options{IgnoreRequests: true}, saying("Cache-Control: max-age=60"))
	deaf.get("/")
	deaf.get("/", "Cache-Control: no-cache")
	deaf.get("/", "Pragma: no-cache")
	deaf.wantRuns(t, 1)
}

func TestRangesAreServedFromTheWhole(t *testing.T) {
	const etag = `"a"`
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("Etag", etag)
		io.WriteString(w, "0123456789")
	})
	s.get("/")
	tests := []struct {
		name, wantBody, wantRange string
		fields                    []string
		status                    int
	}{
		{"the first", "01", "bytes 0-1/10", []string{"Range: bytes=0-1"}, 206},
		{"the rest", "789", "bytes 7-9/10", []string{"Range: bytes=7-"}, 206},
		{"the last", "9", "bytes 9-9/10", []string{"Range: bytes=-1"}, 206},
		{"nothing", "Requested Range Not Satisfiable\n", "bytes */10", []string{"Range: bytes=10-"}, 416},
		{"nonsense", "0123456789", "", []string{"Range: bytes=a"}, 200},
		{"if it is that", "01", "bytes 0-1/10", []string{"Range: bytes=0-1", "If-Range: " + etag}, 206},
		{"if it is another", "0123456789", "", []string{"Range: bytes=0-1", `If-Range: "x"`}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := s.get("/", tt.fields...)
			if got := body(t, res); got != tt.wantBody || res.StatusCode != tt.status || res.Header.Get("Content-Range") != tt.wantRange {
				t.Errorf("got %s, %q, %q", res.Status, got, res.Header.Get("Content-Range"))
			}
			if n := res.Header.Get("Content-Length"); tt.status != 416 && n != fmt.Sprint(len(tt.wantBody)) {
				t.Errorf("Content-Length is %s", n)
			}
		})
	}
	res := s.get("/", "Range: bytes=0-1, 8-")
	if b := body(t, res); res.StatusCode != 206 || !strings.Contains(b, "Content-Range: bytes 8-9/10\r\n") || !strings.HasPrefix(res.Header.Get("Content-Type"), "multipart/byteranges; boundary=") {
		t.Errorf("two parts: got %s, %v, %q", res.Status, res.Header, b)
	}
	s.wantRuns(t, 1)
}

func TestAPartAnswersTheSameRangeOnly(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Range", "bytes 0-4/10")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, r.Header.Get("Range"))
	})
	for range 2 {
		if res := s.get("/", "Range: bytes=0-4"); res.StatusCode != 206 || body(t, res) != "bytes=0-4" {
			t.Errorf("got %s", res.Status)
		}
	}
	s.wantRuns(t, 1)
	s.get("/", "Range: bytes=0-3")
	s.get("/", "Range: bytes=0-4", `If-Range: "a"`)
	s.get("/")
	s.wantRuns(t, 4)
	s.cache.Purge(context.Background(), "http://example.com/")
	s.get("/", "Range: bytes=0-4")
	s.wantRuns(t, 5)
}

func TestEveryVariantIsKept(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Language")
		if r.Header.Get("Accept-Language") == "de" {
			w.Header().Add("Vary", "X-Region")
		}
		fmt.Fprint(w, r.Header.Get("Accept-Language"), r.Header.Get("X-Region"))
	})
	requests := [][]string{{}, {"Accept-Language: en"}, {"Accept-Language: de"}, {"Accept-Language: de", "X-Region: at"}}
	for range 3 { // the second round learns of X-Region
		for _, fields := range requests {
			s.get("/", fields...)
		}
	}
	before := s.runs.Load()
	for _, fields := range requests {
		want := ""
		for _, f := range fields {
			want += strings.SplitN(f, ": ", 2)[1]
		}
		if got := body(t, s.get("/", fields...)); got != want {
			t.Errorf("%q: got %q", fields, got)
		}
	}
	s.wantRuns(t, before)
}

func TestPurgeDropsEveryVariant(t *testing.T) {
	ctx := context.Background()
	s := newSite(nil, saying("Cache-Control: max-age=60", "Vary: A"))
	s.get("/x?a", "A: 1")
	s.get("/x?a", "A: 2")
	s.get("/x?b")
	if err := s.cache.Purge(ctx, "http://EXAMPLE.com:80/x?a"); err != nil {
		t.Fatal(err)
	}
	s.get("/x?b")
	s.wantRuns(t, 3)
	s.get("/x?a", "A: 1")
	s.get("/x?a", "A: 2")
	s.wantRuns(t, 5)
	if err := s.cache.Purge(ctx, "/x", ":"); err == nil {
		t.Error("URLs without a host are purged in silence")
	}
	if err := s.cache.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	s.get("/x?b")
	s.wantRuns(t, 6)
}

func TestASuccessfulUnsafeRequestDropsWhatItChanges(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "M-SEARCH"} {
		t.Run(method, func(t *testing.T) {
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				if r.Method != "GET" {
					w.Header().Set("Location", "/l")
					w.Header().Set("Content-Location", "http://other.example/c")
					if r.URL.RawQuery == "fail" {
						w.WriteHeader(http.StatusInternalServerError)
						return
					}
				}
				w.WriteHeader(http.StatusOK)
			})
			for _, target := range []string{"/", "/?fail", "/l", "/c"} {
				s.get(target)
			}
			s.do(method, "/?fail")
			s.get("/?fail")
			s.wantRuns(t, 5)
			s.do(method, "/")
			s.get("/c")
			s.wantRuns(t, 6)
			s.get("/")
			s.get("/l")
			s.wantRuns(t, 8)
		})
	}
}

func TestAPostThatDescribesItsTargetAnswersGet(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Location", r.URL.Path)
		w.Header().Set("Cache-Control", r.URL.RawQuery)
		if r.URL.Path == "/other" {
			w.Header().Set("Content-Location", "/")
		}
		io.WriteString(w, r.Method)
	})
	s.do("POST", "/a")
	if got := body(t, s.get("/a")); got != "GET" {
		t.Errorf("without a word about freshness: got %q", got)
	}
	s.do("POST", "/other?max-age=60")
	if got := body(t, s.get("/other?max-age=60")); got != "GET" {
		t.Errorf("without describing its target: got %q", got)
	}
	post := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Location", "/a")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, r.Method)
	})
	post.do("POST", "/a")
	if got := body(t, post.get("/a")); got != "POST" {
		t.Errorf("got %q", got)
	}
}

func TestAMethodOfTheOptionsHasItsBodyInTheKey(t *testing.T) {
	s := newSite(&httpcache.Options{Methods: []string{"POST"}, MaxRequestBody: 10}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Method, b)
	})
	post := func(text string) string {
		return body(t, s.send(httptest.NewRequest("POST", "http://example.com/", strings.NewReader(text))))
	}
	for range 2 {
		for _, text := range []string{"a", "b"} {
			if got := post(text); got != "POST "+text {
				t.Errorf("got %q", got)
			}
		}
		if got := body(t, s.get("/")); got != "GET " {
			t.Errorf("got %q", got)
		}
	}
	s.wantRuns(t, 3)
	for range 2 {
		if got := post("a long request"); got != "POST a long request" {
			t.Errorf("got %q", got)
		}
	}
	s.wantRuns(t, 5)
	s.cache.Purge(context.Background(), "http://example.com/")
	post("a")
	s.wantRuns(t, 6)
}
