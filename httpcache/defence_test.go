package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0226adef/memo/httpcache"
)

// What anyone can send, and what handlers may believe, must not decide what others
// get: docs/http.md says how each of these is met.

func TestForwardedFieldsAreNoPartOfTheKeyUnlessNamed(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.Host, r.Header.Get("X-Forwarded-Host"))
	}
	careless := newSite(nil, echo)
	careless.get("/", "X-Forwarded-Host: evil.example")
	if got := body(t, careless.get("/")); got != "example.comevil.example" {
		t.Errorf("got %q; what this test is about has changed", got)
	}
	careful := newSite(&httpcache.Options{KeyHeaders: []string{"X-Forwarded-Host"}}, echo)
	careful.get("/", "X-Forwarded-Host: evil.example")
	if got := body(t, careful.get("/")); got != "example.com" {
		t.Errorf("with the field in the key: got %q", got)
	}
}

func TestAGetWithABodyIsNeitherStoredNorServed(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "body %q", b)
	})
	fat := func() string {
		return body(t, s.send(httptest.NewRequest("GET", "http://example.com/", strings.NewReader("evil"))))
	}
	if got := fat(); got != `body "evil"` {
		t.Errorf("got %q", got)
	}
	if got := body(t, s.get("/")); got != `body ""` {
		t.Errorf("others get %q", got)
	}
	if got := fat(); got != `body "evil"` {
		t.Errorf("got %q", got)
	}
}

func TestAnOverriddenMethodIsNotStored(t *testing.T) {
	s := newSite(&httpcache.Options{TTL: 60e9}, func(w http.ResponseWriter, r *http.Request) {
		if m := r.Header.Get("X-Http-Method-Override"); m != "" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	if res := s.get("/", "X-HTTP-Method-Override: DELETE"); res.StatusCode != 404 {
		t.Fatalf("got %s", res.Status)
	}
	if res := s.get("/"); res.StatusCode != 200 {
		t.Errorf("others get %s", res.Status)
	}
}

func TestTheHandlerDoesNotSeeParametersThatAreNotInTheKey(t *testing.T) {
	s := newSite(&httpcache.Options{IgnoreParams: []string{"utm_*"}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.URL.RawQuery, " ", r.RequestURI)
	})
	if got := body(t, s.get("/?utm_source=evil&a=1")); got != "a=1 /?a=1" {
		t.Errorf("got %q", got)
	}
	s.get("/?a=1")
	s.wantRuns(t, 1)
}

func TestErrorsAreStoredOnlyIfTheySaySo(t *testing.T) {
	for _, status := range []int{400, 405, 414, 431, 500, 502, 503} {
		s := newSite(&httpcache.Options{TTL: 60e9}, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Oversized") != "" {
				w.WriteHeader(status)
			}
		})
		s.get("/", "X-Oversized: 1")
		if res := s.get("/"); res.StatusCode != 200 {
			t.Errorf("after a %d others get %s", status, res.Status)
		}
	}
}

// Cache deception: a page of somebody's own, asked for by a path that looks like a
// file that all may have.
func TestAPathThatLooksPublicMakesNothingPublic(t *testing.T) {
	s := newSite(&httpcache.Options{TTL: 60e9}, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "account of ", r.Header.Get("Cookie"))
	})
	s.get("/account/x.css", "Cookie: victim")
	if got := body(t, s.get("/account/x.css")); got != "account of " {
		t.Errorf("the attacker gets %q", got)
	}
}

// Paths are compared as they came: what a handler may take for the same path has
// keys of its own, and is not what others ask for.
func TestPathsAreNotNormalised(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.RequestURI)
	})
	for range 2 {
		for _, target := range []string{"/a/b", "/a%2Fb", "/a//b", "/a/./b", "/a/b?", "/a/b;x", "/A/b"} {
			r := request("GET", target)
			r.RequestURI = target
			if got := body(t, s.send(r)); got != target {
				t.Errorf("%s got the page of %s", target, got)
			}
		}
	}
}

func TestWhatOthersPutIntoTheHeaderIsNotStored(t *testing.T) {
	s := newSite(nil, saying("Cache-Control: max-age=60", "X-Own: 1"))
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", r.Header.Get("Id"))
		w.Header().Set("Set-Cookie", "session="+r.Header.Get("Id"))
		w.Header().Set("Vary", "Accept-Encoding")
		s.ServeHTTP(w, r)
	})
	for _, id := range []string{"a", "b"} {
		w := httptest.NewRecorder()
		outer.ServeHTTP(w, request("GET", "/", "Id: "+id))
		h := w.Result().Header
		if h.Get("X-Request-Id") != id || h.Get("Set-Cookie") != "session="+id || h.Get("X-Own") != "1" || h.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s got %v", id, h)
		}
	}
	s.wantRuns(t, 1)
}

func TestMountsThatStripAPrefixDoNotShareResponses(t *testing.T) {
	s := newSite(nil, nil)
	mux := http.NewServeMux()
	for _, name := range []string{"a", "b"} {
		h := s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(w, name, r.URL.Path)
		}))
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, h))
	}
	for range 2 {
		for _, name := range []string{"a", "b"} {
			r := request("GET", "/"+name+"/x")
			r.RequestURI = r.URL.RequestURI()
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if got := w.Body.String(); got != name+"/x" {
				t.Errorf("/%s/x is %q", name, got)
			}
		}
	}
	if n := s.cache.Stats().Hits; n != 2 {
		t.Errorf("%d hits, want 2", n)
	}
}

func TestHostsDoNotShareResponses(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.Host)
	})
	for _, host := range []string{"a.example", "b.example", "a.example:81"} {
		r := request("GET", "/")
		r.Host = host
		if got := body(t, s.send(r)); got != host {
			t.Errorf("%s got the page of %s", host, got)
		}
	}
}

func TestTenantsDoNotShareResponses(t *testing.T) {
	o := &httpcache.Options{KeyHeaders: []string{"X-Tenant"}, KeyCookies: []string{"shop"}, Key: func(r *http.Request) string { return r.Header.Get("X-User") }}
	s := newSite(o, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.Header)
	})
	requests := [][]string{nil, {"X-Tenant: a"}, {"X-Tenant: b"}, {"X-User: a"}, {"Cookie: shop=a"}, {"Cookie: shop=b"}}
	for range 2 {
		for _, fields := range requests {
			r := request("GET", "/", fields...)
			if got, want := body(t, s.send(r)), fmt.Sprint(r.Header); got != want {
				t.Errorf("%q got the page of %s", fields, got)
			}
		}
	}
	s.wantRuns(t, int64(len(requests)))
}
