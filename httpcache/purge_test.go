package httpcache_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0226adef/memo/httpcache"
)

// asSent returns a request as a server reads it, whose target may hold what no
// url.URL would make of it.
func asSent(t *testing.T, method, target string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: example.com\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Clients leave these bytes as they are, and url.URL escapes them. What was stored
// under the one spelling could not be dropped by the other.
var unescaped = []string{
	"/a|b", `/a"b`, "/a^b", "/a{b}", `/a\b`, "/é", "/\xff", "/a|b?c=d|e", "/a|b?", "/a%2Fb|c",
	"/a[b]", "/a'b", "/a;b", "/a%7cb", "/a%2Fb", "//a", // which have one spelling
}

func TestPurgeFindsAPathAsItWasSent(t *testing.T) {
	for _, target := range unescaped {
		s := newSite(nil, saying("Cache-Control: max-age=60"))
		s.send(asSent(t, "GET", target))
		s.send(asSent(t, "GET", target))
		if err := s.cache.Purge(context.Background(), "http://example.com"+target); err != nil {
			t.Errorf("%q: %v", target, err)
		}
		s.send(asSent(t, "GET", target))
		if got := s.runs.Load(); got != 2 {
			t.Errorf("%q: the handler ran %d times, want 2", target, got)
		}
	}
}

// Resolving a Location escapes it once more.
func TestAnUnsafeRequestDropsAPathAsItWasSent(t *testing.T) {
	for _, target := range unescaped {
		for _, location := range []bool{false, true} {
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				if location {
					w.Header().Set("Location", "http://example.com"+target)
				}
			})
			changes := target
			if location {
				changes = "/elsewhere"
			}
			s.send(asSent(t, "GET", target))
			s.send(asSent(t, "POST", changes))
			s.send(asSent(t, "GET", target))
			if got := s.runs.Load(); got != 3 {
				t.Errorf("%q, named by Location %v: the handler ran %d times, want 3", target, location, got)
			}
		}
	}
}

func TestPurgeFindsWhatATransportHasStored(t *testing.T) {
	for _, target := range unescaped {
		runs := 0
		c := httpcache.New(nil)
		rt := c.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			runs++
			return respond(r, "hello", "Cache-Control: max-age=60"), nil
		}))
		get := func() {
			req, err := http.NewRequest("GET", "http://example.com"+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body(t, res)
		}
		get()
		get()
		if err := c.Purge(context.Background(), "http://example.com"+target); err != nil {
			t.Errorf("%q: %v", target, err)
		}
		get()
		if runs != 2 {
			t.Errorf("%q: the origin was asked %d times, want 2", target, runs)
		}
	}
}
