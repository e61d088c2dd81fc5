package httpcache

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

func served(p *rules.Policy, target string) string {
	return string(p.AppendServed(nil, httptest.NewRequest("GET", target, nil)))
}

func TestAKeyIsWhatWasAskedForExactly(t *testing.T) {
	p := sharedPolicy()
	seen := map[string]string{}
	for _, target := range []string{
		"http://a.example/", "http://a.example/?", "http://b.example/", "http://a.example:8080/", "http://a.example/x", "http://a.example/X",
		"http://a.example//x", "http://a.example/x/", "http://a.example/%78", "http://a.example/x?a=1&b=2", "http://a.example/x?b=2&a=1",
		"http://a.example/x?a=1", "http://a.example/x?A=1", "http://a.example/x%3Fa=1", "http://a.example/x?a=%31",
	} {
		key := served(p, target)
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key, %q", target, other, key)
		}
		seen[key] = target
	}
	r := httptest.NewRequest("GET", "http://a.example/", nil)
	r.TLS = &tls.ConnectionState{}
	if key := string(p.AppendServed(nil, r)); key == served(p, "http://a.example/") {
		t.Error("http and https have one key")
	}
	if a, b := served(p, "http://A.example:80/"), served(p, "http://a.example/"); a != b {
		t.Errorf("the same host has two keys, %q and %q", a, b)
	}
	r = httptest.NewRequest("POST", "http://a.example/", nil)
	if key := string(p.AppendServed(nil, r)); key == served(p, "http://a.example/") {
		t.Error("GET and POST have one key")
	}
}

func TestAURLHasTheKeyOfItsRequests(t *testing.T) {
	for _, p := range []*rules.Policy{sharedPolicy(), (&Options{SortQuery: true, IgnoreParams: []string{"utm_*"}}).policy(true)} {
		for _, target := range []string{"http://a.example/", "http://a.example", "http://A.example:80/x%2Fy?b=1&a=2&utm_x=3", "https://a.example:443/%C3%A9"} {
			u, err := url.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", target, nil)
			want := string(p.AppendServed(nil, r))
			if got := string(p.AppendResource(nil, rules.HandlerFace, "GET", u.Scheme, u.Host, rules.RequestTarget(u))); got != want {
				t.Errorf("%s: got %q, want %q", target, got, want)
			}
		}
	}
}

func TestQueriesAreSortedAndFilteredOnlyWhenAsked(t *testing.T) {
	p := (&Options{SortQuery: true, IgnoreParams: []string{"utm_*", "ref"}}).policy(true)
	for query, want := range map[string]string{
		"": "", "a=1": "a=1", "b=1&a=2": "a=2&b=1", "b=2&b=1&a": "a&b=2&b=1",
		"utm_source=x&a=1": "a=1", "utm_=x": "", "%75tm_source=x&a=1": "a=1", "ref=1&reference=2": "reference=2",
	} {
		if got := p.CanonicalQuery(query); got != want {
			t.Errorf("canonicalQuery(%q) = %q, want %q", query, got, want)
		}
	}
	if got := p.VisibleQuery("b=1&utm_x=2&a=3"); got != "b=1&a=3" {
		t.Errorf("visibleQuery = %q", got)
	}
}

func TestRewrittenRequestsAreRecognised(t *testing.T) {
	tests := []struct {
		target string
		change func(*http.Request)
		want   bool
	}{
		{"http://a.example/x?a=1", func(*http.Request) {}, false},
		{"http://a.example/x%2Fy", func(*http.Request) {}, false},
		{"http://a.example/%C3%A9?", func(*http.Request) {}, false},
		{"http://a.example/x", func(r *http.Request) { r.URL.Path = "/" }, true},
		{"http://a.example/x?a=1", func(r *http.Request) { r.URL.RawQuery = "" }, true},
		{"http://a.example/x", func(r *http.Request) { r.URL.RawQuery = "a" }, true},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", tt.target, nil)
		r.RequestURI = r.URL.RequestURI()
		tt.change(r)
		if got := rules.Rewritten(r); got != tt.want {
			t.Errorf("%s as %s: got %v, want %v", tt.target, r.URL, got, tt.want)
		}
	}
}

func TestExtraKeysKeepRequestsApart(t *testing.T) {
	p := (&Options{KeyHeaders: []string{"x-tenant"}, KeyCookies: []string{"lang"}, Key: func(r *http.Request) string { return r.Header.Get("User") }}).policy(true)
	index := stored.NewIndex(nil)
	key := func(lines ...string) string {
		r := httptest.NewRequest("GET", "http://a.example/", nil)
		r.Header = header(lines...)
		return string(stored.AppendVariant(p, nil, "resource", index, r, ""))
	}
	seen := map[string][]string{}
	for _, lines := range [][]string{nil, {"X-Tenant: a"}, {"X-Tenant: b"}, {"Cookie: lang=a"}, {"Cookie: lang=b"}, {"Cookie: lang=a; lang=b"}, {"User: a"}, {"User: a", "X-Tenant: a"}} {
		k := key(lines...)
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have one key", lines, other)
		}
		seen[k] = lines
	}
	if key("Cookie: other=1") != key() {
		t.Error("a cookie that is no part of the key is in it")
	}
}

func TestInvalidatedBy(t *testing.T) {
	target := &url.URL{Scheme: "http", Host: "a.example", Path: "/x/y"}
	tests := []struct {
		name   string
		status int
		h      http.Header
		want   []string
	}{
		{"the target", 200, nil, []string{"http://a.example/x/y"}},
		{"a redirect", 303, header("Location: z"), []string{"http://a.example/x/y", "http://a.example/x/z"}},
		{"both fields", 201, header("Location: /l#f", "Content-Location: http://A.example:80/c"), []string{"http://a.example/x/y", "http://a.example/l", "http://A.example:80/c"}},
		{"another origin", 201, header("Location: http://b.example/", "Content-Location: http://a.example:8080/"), []string{"http://a.example/x/y"}},
		{"the other scheme", 201, header("Location: https://a.example:443/"), []string{"http://a.example/x/y", "https://a.example:443/"}},
		{"no URL", 201, header("Location: :"), []string{"http://a.example/x/y"}},
		{"an error", 500, header("Location: z"), nil},
		{"a client's error", 404, nil, nil},
	}
	for _, tt := range tests {
		got := rules.InvalidatedBy(target, tt.status, tt.h)
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
			continue
		}
		for i := range got {
			if got[i].String() != tt.want[i] {
				t.Errorf("%s: got %v, want %v", tt.name, got[i], tt.want[i])
			}
		}
	}
}

func TestCacheStatus(t *testing.T) {
	tests := []struct {
		s    rules.CacheStatus
		want string
	}{
		{rules.CacheStatus{Hit: true, HasTTL: true, TTL: 1500e6}, "memo; hit; ttl=1"},
		{rules.CacheStatus{Hit: true, HasTTL: true, TTL: -1500e6}, "memo; hit; ttl=-2"},
		{rules.CacheStatus{Forward: rules.UriMiss, Stored: true}, "memo; fwd=uri-miss; stored"},
		{rules.CacheStatus{Forward: rules.WasStale, Status: 304, Collapsed: true, Detail: "x"}, "memo; fwd=stale; fwd-status=304; collapsed; detail=x"},
	}
	for _, tt := range tests {
		if got := string(tt.s.AppendTo(nil, "memo")); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
