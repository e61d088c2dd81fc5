package httpcache_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

// freshFor returns for how long a client may use a response that it gets now (RFC
// 9111, section 4.2).
func freshFor(t *testing.T, res *http.Response) time.Duration {
	t.Helper()
	_, text, _ := strings.Cut(res.Header.Get("Cache-Control"), "max-age=")
	seconds, err := strconv.Atoi(text)
	if err != nil {
		t.Errorf("Cache-Control is %q", res.Header.Get("Cache-Control"))
	}
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		t.Errorf("Date is %q", res.Header.Get("Date"))
	}
	age, _ := strconv.Atoi(res.Header.Get("Age"))
	return time.Duration(seconds)*time.Second - max(time.Since(date), time.Duration(age)*time.Second)
}

// After as long as clients were told to keep a response, all later answers were stale
// for them on arrival: they said max-age=60 and Age: 600.
func TestWhatClientsAreToldIsTrueFromTheMomentOfTheAnswer(t *testing.T) {
	const etag = `"a"`
	lives := map[string]struct {
		options httpcache.Options
		say     func(w http.ResponseWriter, r *http.Request)
	}{
		"ClientTTL": {httpcache.Options{TTL: time.Hour, ClientTTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) {}},
		"SetTTL": {httpcache.Options{ClientTTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
			memo.SetTTL(r.Context(), time.Hour)
		}},
		"SetTTL beside the handler's own": {httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
			memo.SetTTL(r.Context(), time.Hour)
			w.Header().Set("Cache-Control", "max-age=60")
		}},
		"a targeted field": {httpcache.Options{ClientTTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cdn-Cache-Control", "max-age=600, stale-while-revalidate=3000")
		}},
		"a guess": {httpcache.Options{ClientTTL: time.Minute, HeuristicMax: time.Hour}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Last-Modified", longAgo)
		}},
	}
	for name, life := range lives {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(&life.options, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Etag", etag)
				w.Header().Set("Accept-Ranges", "bytes")
				life.say(w, r)
				if r.Header.Get("If-None-Match") == etag {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				io.WriteString(w, "hello")
			})
			ask := func() {
				t.Helper()
				for what, res := range map[string]*http.Response{
					"page": s.get("/"), "304": s.get("/", "If-None-Match: "+etag), "HEAD": s.do("HEAD", "/"), "part": s.get("/", "Range: bytes=0-0"),
				} {
					if got := freshFor(t, res); got != time.Minute {
						t.Errorf("%s, %s: a client may keep it for %v, want a minute (%v)", name, what, got, res.Header)
					}
				}
			}
			ask()
			time.Sleep(10 * time.Minute)
			ask()
			time.Sleep(45 * time.Minute)
			ask()
			synctest.Wait()
			if got := freshFor(t, s.get("/", "Cache-Control: no-cache")); got != time.Minute {
				t.Errorf("%s, validated: a client may keep it for %v", name, got)
			}
		})
	}
}

// What the handler itself says of clients and caches alike has an age.
func TestWhatTheHandlerSaysHasAnAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(&httpcache.Options{ClientTTL: time.Minute}, saying("Cache-Control: max-age=60"))
		s.get("/")
		time.Sleep(20 * time.Second)
		if got := freshFor(t, s.get("/")); got != 40*time.Second {
			t.Errorf("a client may keep it for %v", got)
		}
	})
}

// A handler that hands on what another server says, as httputil.ReverseProxy does, has an
// Age and an old Date in its first answer: clients took that for stale at once.
func TestClientsAreToldTheSameInTheFirstAnswer(t *testing.T) {
	for _, o := range []*httpcache.Options{{TTL: time.Hour, ClientTTL: time.Minute}, {}} {
		s := newSite(o, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Age", "300")
			w.Header().Set("Date", time.Now().Add(-5*time.Minute).UTC().Format(http.TimeFormat))
			if o.TTL == 0 {
				w.Header().Set("Cache-Control", "max-age=60")
				memo.SetTTL(r.Context(), time.Hour)
			}
			io.WriteString(w, "hello")
		})
		for i := range 2 {
			if got := freshFor(t, s.get("/")); got < 58*time.Second || got > time.Minute {
				t.Errorf("answer %d: a client may keep it for %v, want a minute", i, got)
			}
		}
		s.wantRuns(t, 1)
	}
}
