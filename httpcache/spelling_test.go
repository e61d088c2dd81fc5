package httpcache_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0226adef/memo/httpcache"
)

// Spellings that RFC 3986, section 6.2, calls equivalent, and those that differ in a
// delimiter's being escaped where it separates nothing: as a host and a target.
var equivalent = [][]string{
	{"example.com /a", "EXAMPLE.com /a", "example.com. /a", "example.com:80 /a", "example.com:443 /a", "example.com: /a", "example.com.:443 /a"},
	{"example.com:8080 /a", "example.com.:8080 /a", "Example.COM:8080 /a"},
	{"[::1]:8080 /", "[::1]:8080 /./"},
	{"example.com /x%2Fy", "example.com /x%2fy"},
	{"example.com /~a", "example.com /%7Ea", "example.com /%7ea", "example.com /%7E%61"},
	{"example.com /(a)", "example.com /%28a)", "example.com /%28a%29"},
	{"example.com /a:b@c,d;e=f+g!$&'*", "example.com /a%3Ab%40c%2Cd%3be%3Df%2Bg%21%24%26%27%2A"},
	{"example.com /%C3%A9", "example.com /%c3%a9", "example.com /é"},
	{"example.com /a%7Cb", "example.com /a|b", "example.com /a%7cb"},
	{"example.com /a", "example.com /a?", "example.com /./a", "example.com /b/../a", "example.com /%2E/a", "example.com /b/%2e%2E/a", "example.com /../a"},
	{"example.com /a/", "example.com /a/.", "example.com /a/b/..", "example.com /a/?"},
	{"example.com /a?b=%2F", "example.com /a?b=/", "example.com /a?b=%2f"},
	{"example.com /a?b=~", "example.com /a?b=%7E", "example.com /a?%62=~"},
	{"example.com /a?b=(1,2)", "example.com /a?b=%281%2C2%29", "example.com /a?b=%281,2)"},
	{"example.com /a?b=%26", "example.com /./a?b=%26"},
}

// And those that it does not.
var different = [][2]string{
	{"example.com /a", "example.com /A"},
	{"example.com /a/b", "example.com /a%2Fb"},
	{"example.com /a?b", "example.com /a%3Fb"},
	{"example.com /a?b=1&c=2", "example.com /a?b=1%26c=2"},
	{"example.com /a?b=1&c=2", "example.com /a?c=2&b=1"},
	{"example.com /a?b=1", "example.com /a"},
	{"example.com /a?b=+", "example.com /a?b=%2B"},
	{"example.com /a", "example.com /a/"},
	{"example.com /a", "example.com //a"},
	{"example.com /a", "www.example.com /a"},
	{"example.com /a", "example.com:8080 /a"},
	{"example.com /%25", "example.com /%2525"},
}

// received returns a request as a server reads it, for a host and a target.
func received(t *testing.T, method, spelling string, overTLS bool) *http.Request {
	t.Helper()
	host, target, _ := strings.Cut(spelling, " ")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if overTLS {
		r.TLS = &tls.ConnectionState{}
	}
	return r
}

func TestAPurgeFindsEverySpellingThatIsEquivalentAndBothSchemes(t *testing.T) {
	for _, spellings := range equivalent {
		for _, stored := range spellings {
			for _, purged := range spellings {
				for _, scheme := range []string{"http", "HTTPS"} {
					for _, vary := range []string{"", "Vary: A"} {
						s := newSite(nil, saying("Cache-Control: max-age=60", vary))
						both := func() {
							s.send(received(t, "GET", stored, false))
							s.send(received(t, "GET", stored, true))
						}
						both()
						both() // now it is known what they vary by
						before := s.runs.Load()
						if both(); s.runs.Load() != before {
							t.Errorf("%s, asked for as %q: nothing is stored", vary, stored)
						}
						if err := s.cache.Purge(context.Background(), scheme+"://"+strings.Replace(purged, " ", "", 1)); err != nil {
							t.Fatal(err)
						}
						if both(); s.runs.Load() != before+2 {
							t.Errorf("%s, stored as %q and purged as %q by %s: the handler ran %d times more, want 2", vary, stored, purged, scheme, s.runs.Load()-before)
						}
					}
				}
			}
		}
	}
}

func TestASuccessfulUnsafeRequestDropsEverySpelling(t *testing.T) {
	for _, spellings := range equivalent {
		for _, stored := range spellings {
			for _, changed := range spellings {
				s := newSite(nil, saying("Cache-Control: max-age=60"))
				s.send(received(t, "GET", stored, true))
				s.send(received(t, "POST", changed, false))
				s.send(received(t, "GET", stored, true))
				if got := s.runs.Load(); got != 3 {
					t.Errorf("stored as %q, changed as %q: the handler ran %d times, want 3", stored, changed, got)
				}
			}
		}
	}
}

func TestALocationOfTheOtherSchemeIsOfTheSameOrigin(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60", "Location: https://example.com/made"))
	s.get("/made")
	s.do("POST", "/")
	s.get("/made")
	s.wantRuns(t, 3)
}

func TestAPurgeFindsNoOtherURL(t *testing.T) {
	for _, pair := range different {
		for i, stored := range pair {
			s := newSite(nil, saying("Cache-Control: max-age=60"))
			s.send(received(t, "GET", stored, false))
			if err := s.cache.Purge(context.Background(), "http://"+strings.Replace(pair[1-i], " ", "", 1)); err != nil {
				t.Fatal(err)
			}
			s.send(received(t, "GET", stored, false))
			if got := s.runs.Load(); got != 1 {
				t.Errorf("stored as %q, and purged as %q: the handler ran %d times, want 1", stored, pair[1-i], got)
			}
		}
	}
}

// A handler may tell apart what the RFC calls equivalent.
func TestSpellingsShareNoResponse(t *testing.T) {
	for _, spellings := range equivalent {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Write([]byte(r.RequestURI))
		})
		for range 2 {
			for _, spelling := range spellings {
				_, target, _ := strings.Cut(spelling, " ")
				if got := body(t, s.send(received(t, "GET", spelling, false))); got != target {
					t.Errorf("%q is answered with what is for %q", spelling, got)
				}
			}
		}
	}
}

func TestAnOddSpellingDoesNotDropTheUsualOne(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60"))
	s.send(received(t, "GET", "example.com /~a", false))
	for range 3 {
		s.send(received(t, "GET", "example.com. /%7ea?", false))
		s.send(received(t, "GET", "example.com /~a", false))
	}
	s.wantRuns(t, 2)
}

// The options say what is no part of a URL.
func TestAPurgeGoesByTheOptionsForQueries(t *testing.T) {
	o := &httpcache.Options{SortQuery: true, IgnoreParams: []string{"utm_*"}}
	for _, stored := range []string{"/a?b=1&c=~", "/a?c=%7e&b=1", "/a?c=~&utm_x=1&b=1", "/a?b=1&c=~&"} {
		for _, purged := range []string{"/a?c=~&b=1", "/a?b=1&c=%7E&%75tm_y=2"} {
			s := newSite(o, saying("Cache-Control: max-age=60"))
			s.get(stored)
			s.get(stored)
			s.wantRuns(t, 1)
			if err := s.cache.Purge(context.Background(), "https://example.com"+purged); err != nil {
				t.Fatal(err)
			}
			want := int64(2)
			if strings.HasSuffix(stored, "&") {
				want = 1 // an empty parameter is one, for all that RFC 3986 knows
			}
			if s.get(stored); s.runs.Load() != want {
				t.Errorf("stored as %s, purged as %s: the handler ran %d times, want %d", stored, purged, s.runs.Load(), want)
			}
		}
	}
}

func TestAPurgeFindsEverySpellingThatATransportHasStored(t *testing.T) {
	for _, spellings := range equivalent {
		for _, stored := range spellings {
			for _, purged := range spellings {
				runs := 0
				c := httpcache.New(nil)
				rt := c.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
					runs++
					return respond(r, "hello", "Cache-Control: max-age=60"), nil
				}))
				for range 2 {
					for range 2 {
						req, err := http.NewRequest("GET", "http://"+strings.Replace(stored, " ", "", 1), nil)
						if err != nil {
							t.Fatal(err)
						}
						res, err := rt.RoundTrip(req)
						if err != nil {
							t.Fatal(err)
						}
						body(t, res)
					}
					if err := c.Purge(context.Background(), "https://"+strings.Replace(purged, " ", "", 1)); err != nil {
						t.Fatal(err)
					}
				}
				if runs != 2 {
					t.Errorf("stored as %q, purged as %q: the origin was asked %d times, want 2", stored, purged, runs)
				}
			}
		}
	}
}
