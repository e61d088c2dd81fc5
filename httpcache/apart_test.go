package httpcache_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/store/memstore"
)

// inbox is an origin that says to everyone who they are.
func inbox(runs *atomic.Int64, control string) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		runs.Add(1)
		h := http.Header{"Cache-Control": {control}, "Etag": {`"a"`}}
		who := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key") + r.Header.Get("Cookie") + fmt.Sprint(r.URL.User)
		return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(who)), ContentLength: -1, Request: r}, nil
	}
}

// as is what oauth2.Transport does.
func as(user string, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", user)
		return next.RoundTrip(r)
	})
}

func read(t *testing.T, rt http.RoundTripper, fields ...string) string {
	t.Helper()
	res, err := rt.RoundTrip(request("GET", "/", fields...))
	if err != nil {
		t.Fatal(err)
	}
	return body(t, res)
}

// Bob read Alice's inbox: what their Transports added below the cache, it did not see.
func TestTransportsOfOneCacheShareNothing(t *testing.T) {
	for _, shared := range []bool{false, true} {
		var runs atomic.Int64
		store := memstore.New(nil)
		caches := map[string]func() *httpcache.Cache{}
		one := httpcache.New(&httpcache.Options{Shared: shared})
		caches["one cache"] = func() *httpcache.Cache { return one }
		caches["two on one store"] = func() *httpcache.Cache {
			return httpcache.New(&httpcache.Options{Shared: shared}, memo.Store(store), memo.Name("pages"), memo.SharedName())
		}
		for name, cache := range caches {
			next := inbox(&runs, "max-age=60")
			alice, bob := cache().Transport(as("alice", next)), cache().Transport(as("bob", next))
			for range 2 {
				if a, b := read(t, alice), read(t, bob); !strings.HasPrefix(a, "alice") || !strings.HasPrefix(b, "bob") {
					t.Errorf("%s, shared %v: alice reads %q, and bob %q", name, shared, a, b)
				}
			}
			if n := runs.Swap(0); n != 2 {
				t.Errorf("%s, shared %v: %d requests, want one of each", name, shared, n)
			}
		}
	}
}

// Options.Partition says who shares all the same, and a purge reaches all.
func TestTransportsOfOnePartitionShare(t *testing.T) {
	var runs atomic.Int64
	store := memstore.New(nil)
	cache := func(partition string) *httpcache.Cache {
		return httpcache.New(&httpcache.Options{Partition: partition}, memo.Store(store), memo.Name("pages"), memo.SharedName())
	}
	next := inbox(&runs, "max-age=60")
	a, other := cache("a"), cache("b")
	for range 2 {
		read(t, a.Transport(next))
		read(t, cache("a").Transport(next))
		read(t, other.Transport(next))
	}
	if n := runs.Swap(0); n != 2 {
		t.Errorf("%d requests, want one of each partition", n)
	}
	if err := a.Purge(t.Context(), "http://example.com/"); err != nil {
		t.Fatal(err)
	}
	read(t, a.Transport(next))
	read(t, cache("b").Transport(next))
	if n := runs.Load(); n != 2 {
		t.Errorf("after a purge, %d requests, want one of each partition", n)
	}
}

// A store is no good to other processes where each has a partition of its own.
func TestATransportThatSharesNothingThroughItsStoreSaysSo(t *testing.T) {
	for partition, want := range map[string]int{"": 1, "a": 0} {
		var log bytes.Buffer
		var runs atomic.Int64
		c := httpcache.New(&httpcache.Options{Partition: partition}, memo.Store(memstore.New(nil)), memo.Name("pages"), memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		rt := c.Transport(inbox(&runs, "no-store"))
		read(t, rt)
		read(t, rt)
		if got := strings.Count(log.String(), "Options.Partition"); got != want {
			t.Errorf("partition %q: it is said %d times, want %d", partition, got, want)
		}
	}
}

// A private cache keeps apart whoever the request tells of, by whatever field.
func TestAPrivateCacheKeepsCredentialsApart(t *testing.T) {
	var runs atomic.Int64
	rt := httpcache.New(nil).Transport(inbox(&runs, "private, max-age=60"))
	for range 2 {
		for _, fields := range [][]string{nil, {"X-Api-Key: a"}, {"X-Api-Key: b"}, {"Authorization: a"}, {"Cookie: a=b"}} {
			want := ""
			if fields != nil {
				_, want, _ = strings.Cut(fields[0], ": ")
			}
			if got := read(t, rt, fields...); got != want {
				t.Errorf("%v reads %q", fields, got)
			}
		}
		for _, user := range []string{"alice", "bob"} {
			r := request("GET", "/")
			r.URL.User = url.User(user)
			res, err := rt.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if got := body(t, res); got != user {
				t.Errorf("%s reads %q", user, got)
			}
		}
	}
	if n := runs.Load(); n != 7 {
		t.Errorf("%d requests, want one for each", n)
	}
}

// What was stored for nobody in particular was lost when somebody in particular asked.
func TestARequestOfSomebodyLeavesTheAnonymousCopy(t *testing.T) {
	for _, field := range []string{"Authorization: a", "Cookie: a=b", "X-Api-Key: a", "Range: bytes=0-0", "Cache-Control: no-cache", "Accept: a"} {
		var runs atomic.Int64
		rt := httpcache.New(nil).Transport(inbox(&runs, "max-age=60"))
		read(t, rt)
		read(t, rt, field)
		before := runs.Load()
		read(t, rt, "Cache-Control: only-if-cached")
		if got := read(t, rt); got != "" || runs.Load() != before {
			t.Errorf("after a request with %s, got %q, and the origin was asked again", field, got)
		}
	}
}

// What nobody has said is fresh, was stored from a request with an API key, and given
// to the next.
func TestNothingIsAssumedForARequestThatTellsWhoSendsIt(t *testing.T) {
	certified := func(r *http.Request) { r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}} }
	with := func(name string) func(r *http.Request) { return func(r *http.Request) { r.Header.Set(name, "a") } }
	tests := map[string]struct {
		credential func(*http.Request)
		options    httpcache.Options
		personal   bool
	}{
		"X-Api-Key":           {with("X-Api-Key"), httpcache.Options{}, true},
		"X-Auth-Token":        {with("X-Auth-Token"), httpcache.Options{}, true},
		"Proxy-Authorization": {with("Proxy-Authorization"), httpcache.Options{}, true},
		"a certificate":       {certified, httpcache.Options{}, true},
		"one of the options'": {with("X-Tenant"), httpcache.Options{CredentialHeaders: []string{"x-tenant"}}, true},
		"none of the options": {with("X-Api-Key"), httpcache.Options{CredentialHeaders: []string{}}, false},
		"Accept":              {with("Accept"), httpcache.Options{}, false},
	}
	for name, tt := range tests {
		for life, o := range map[string]httpcache.Options{"TTL": {TTL: time.Minute}, "HeuristicMax": {HeuristicMax: time.Hour}} {
			o.CredentialHeaders = tt.options.CredentialHeaders
			s := newSite(&o, saying("Last-Modified: "+longAgo))
			ask := func(change func(*http.Request)) string {
				r := request("GET", "/")
				if change != nil {
					change(r)
				}
				return body(t, s.send(r))
			}
			ask(tt.credential)
			ask(tt.credential)
			runs := map[bool]int64{true: 2, false: 1}[tt.personal]
			s.wantRuns(t, runs)
			ask(nil)
			ask(nil)
			if tt.personal {
				runs++
			}
			s.wantRuns(t, runs)
			ask(tt.credential) // which is not given what was assumed of nobody's page
			if tt.personal {
				runs++
			}
			s.wantRuns(t, runs)
			if t.Failed() {
				t.Fatalf("by %s, %s", name, life)
			}
		}
		public := newSite(&httpcache.Options{CredentialHeaders: tt.options.CredentialHeaders}, saying("Cache-Control: public, max-age=60"))
		for range 2 {
			r := request("GET", "/")
			tt.credential(r)
			public.send(r)
		}
		public.wantRuns(t, 1)
	}
}

// Nobody waits for the response to somebody's request.
func TestRequestsWithCredentialsDoNotWaitForOneAnother(t *testing.T) {
	for collapse, want := range map[bool]int64{false: 3, true: 1} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(&httpcache.Options{CollapsePersonal: collapse}, func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				saying("Cache-Control: public, max-age=60")(w, r)
			})
			for range 3 {
				go s.get("/", "X-Api-Key: a")
			}
			synctest.Wait()
			time.Sleep(2 * time.Second)
			s.wantRuns(t, want)
		})
	}
}

// The cookie of a stored response came again with every hit, and brought a session back
// that had been ended.
func TestAPrivateCacheSetsACookieOnce(t *testing.T) {
	var validated atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Etag", `"a"`)
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("Set-Cookie", "validated=1")
			validated.Store(true)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Set-Cookie", "session=1")
		w.Header().Set("Set-Cookie2", "session=1")
		io.WriteString(w, "hello")
	}))
	defer srv.Close()
	jar := &forgetful{}
	client := &http.Client{Jar: jar, Transport: httpcache.New(&httpcache.Options{StoreSetCookie: true}).Transport(srv.Client().Transport)}
	names := func() string {
		var list []string
		for _, c := range jar.last {
			list = append(list, c.Name)
		}
		return strings.Join(list, " ")
	}
	ask := func(fields ...string) *http.Response {
		jar.last = nil
		r, _ := http.NewRequestWithContext(context.Background(), "GET", srv.URL, nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		io.Copy(io.Discard, res.Body)
		return res
	}
	if ask(); names() != "session" {
		t.Errorf("the origin's cookies are %q", names())
	}
	if res := ask(); names() != "" || res.Header.Get("Set-Cookie2") != "" {
		t.Errorf("a hit sets %q", names())
	}
	if ask("Cache-Control", "no-cache"); !validated.Load() || names() != "validated" {
		t.Errorf("a validation sets %q", names())
	}
	if ask(); names() != "" {
		t.Errorf("a hit after a validation sets %q", names())
	}
}

// forgetful is a jar that sends nothing.
type forgetful struct {
	cookiejar.Jar
	last []*http.Cookie
}

func (j *forgetful) SetCookies(_ *url.URL, cookies []*http.Cookie) { j.last = cookies }
func (j *forgetful) Cookies(*url.URL) []*http.Cookie               { return nil }

// The first response that varies is stored, though there is an index in any case.
func TestATransportStoresTheFirstResponseThatVaries(t *testing.T) {
	var runs atomic.Int64
	rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		runs.Add(1)
		h := http.Header{"Cache-Control": {"max-age=60"}, "Vary": {"Accept"}}
		return &http.Response{StatusCode: 200, Header: h, Body: http.NoBody, ContentLength: 0, Request: r}, nil
	}))
	read(t, rt, "Accept: a")
	read(t, rt, "Accept: a")
	if n := runs.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// Names that are not in canonical form said nothing to the cache, and Bob read Alice's inbox.
func TestFieldsWithOtherNamesTellUsersApartToo(t *testing.T) {
	for _, name := range []string{"authorization", "cookie", "x-api-key", "X-API-Key", "accept-language"} {
		for _, control := range []string{"private, max-age=60", "max-age=60", "max-age=60, public"} {
			rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				h := http.Header{"Cache-Control": {control}, "Vary": {"Accept-Language"}}
				return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(r.Header[name][0])), ContentLength: -1, Request: r}, nil
			}))
			for _, user := range []string{"alice", "bob"} {
				r := request("GET", "/")
				r.Header[name] = []string{user}
				res, err := rt.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				if got := body(t, res); got != user {
					t.Errorf("%s, %s: %s reads what is %s's", name, control, user, got)
				}
			}
		}
	}
}

// Fields that a handler has written by other names than the canonical ones count as well.
func TestAHandlersFieldsCountByAnyName(t *testing.T) {
	for field, stored := range map[string]bool{
		"cache-control: private": false, "cache-control: no-store": false, "set-cookie: a=b": false, "VARY: *": false, "ETag: \"a\"": true,
	} {
		s := newSite(&httpcache.Options{TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
			name, value, _ := strings.Cut(field, ": ")
			w.Header()[name] = []string{value}
			io.WriteString(w, "hello")
		})
		s.get("/")
		res := s.get("/")
		want := int64(2)
		if stored {
			want = 1
		}
		s.wantRuns(t, want)
		if tags := res.Header["Etag"]; stored && (len(tags) != 1 || tags[0] != `"a"`) {
			t.Errorf("%s: a hit has %q", field, tags)
		}
	}
}

// What gateways that have authenticated a client, and clients of common APIs, tell a
// server makes a request personal by default: Options.TTL is not for its response.
func TestTTLIsNotForWhoeverIsNamed(t *testing.T) {
	for _, name := range []string{
		"X-Api-Key", "Api-Key", "X-Auth-Token", "Proxy-Authorization", "Dpop", "Token", "Access-Token", "Session-Token", // clients
		"X-Forwarded-User", "X-Forwarded-Preferred-Username", "X-Auth-Request-Groups", // oauth2-proxy
		"Remote-Email", "X-Authentik-Username", "X-Pomerium-Jwt-Assertion", "Tailscale-User-Login", // other proxies
		"X-Consumer-Username", "X-Credential-Identifier", "X-Authenticated-Userid", // Kong
		"X-Goog-Authenticated-User-Email", "X-Amzn-Oidc-Identity", "X-Ms-Client-Principal-Name", "Cf-Access-Authenticated-User-Email", // clouds
	} {
		s := newSite(&httpcache.Options{TTL: time.Hour}, saying())
		s.get("/", name+": alice")
		s.get("/", name+": bob")
		s.get("/", "User-Agent: a", "Sec-Fetch-User: ?1", "Accept: */*", "X-Request-Id: 1", "X-Forwarded-For: 127.0.0.1", "X-Requested-With: a")
		s.get("/", "User-Agent: b")
		if got := s.runs.Load(); got != 3 {
			t.Errorf("%s: the handler ran %d times, want 3: once for each who is named, and once for all others", name, got)
		}
	}
}
