package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// A search was answered with the response to one of the same bytes that meant
// something else.
func TestHowToReadARequestsBodyIsPartOfTheKey(t *testing.T) {
	o := &httpcache.Options{Methods: []string{"POST"}}
	read := func(h http.Header) string { return h.Get("Content-Type") + " " + h.Get("Content-Encoding") }
	s := newSite(o, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, read(r.Header))
	})
	rt := httpcache.New(o).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		return respond(r, read(r.Header), "Cache-Control: max-age=60"), nil
	}))
	bodies := [][]string{nil, {"Content-Type: a"}, {"Content-Type: b"}, {"Content-Type: a", "Content-Encoding: gzip"}, {"Content-Encoding: gzip"}, {"Content-Encoding: a"}}
	for range 2 {
		for _, fields := range bodies {
			r := httptest.NewRequest("POST", "http://example.com/", strings.NewReader("query"))
			r.Header = request("POST", "/", fields...).Header
			want := read(r.Header)
			if got := body(t, s.send(r)); got != want {
				t.Errorf("%q got the response to %q", want, got)
			}
			r, _ = http.NewRequest("POST", "http://example.com/", strings.NewReader("query"))
			r.Header = request("POST", "/", fields...).Header
			res, err := rt.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if got := body(t, res); got != want {
				t.Errorf("by the transport: %q got the response to %q", want, got)
			}
		}
	}
	s.wantRuns(t, int64(len(bodies)))
}

func TestANegativeMaxRequestBodyLetsEveryBodyPass(t *testing.T) {
	s := newSite(&httpcache.Options{Methods: []string{"POST"}, MaxRequestBody: -1}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.Copy(w, r.Body)
	})
	for _, text := range []string{"", "query"} {
		for range 2 {
			r := httptest.NewRequest("POST", "http://example.com/", strings.NewReader(text))
			if got := body(t, s.send(r)); got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		}
	}
	s.wantRuns(t, 4)
}

func TestClientTTLIsRoundedDown(t *testing.T) {
	for ttl, want := range map[time.Duration]string{time.Millisecond: "max-age=0", 2*time.Second - 1: "max-age=1"} {
		s := newSite(&httpcache.Options{TTL: time.Minute, ClientTTL: ttl}, saying())
		for range 2 {
			if got := s.get("/").Header.Get("Cache-Control"); got != want {
				t.Errorf("%v: clients are told %q, want %q", ttl, got, want)
			}
		}
	}
}
