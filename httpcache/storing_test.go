package httpcache

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/exchange"
	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

func TestMayStore(t *testing.T) {
	tests := []struct {
		name            string
		status          int
		request         []string
		lines           []string
		shared, private rules.Reason
	}{
		{"fresh", 200, nil, []string{"Cache-Control: max-age=5"}, "", ""},
		{"says nothing", 200, nil, nil, rules.NothingToReuse, rules.NothingToReuse},
		{"can be validated", 200, nil, []string{`Etag: "a"`}, "", ""},
		{"stale already", 200, nil, []string{"Expires: 0"}, rules.NothingToReuse, rules.NothingToReuse},
		{"stale, and may be used so", 200, nil, []string{"Cache-Control: max-age=0, stale-while-revalidate=5"}, "", ""},
		{"no-store", 200, nil, []string{"Cache-Control: max-age=5, no-store"}, rules.SaidNoStore, rules.SaidNoStore},
		{"no-store, understood", 200, nil, []string{"Cache-Control: max-age=5, no-store, must-understand"}, "", ""},
		{"no-store, not understood", 599, nil, []string{"Cache-Control: max-age=5, no-store, must-understand"}, rules.BadStatus, rules.BadStatus},
		{"must-understand, not understood", 599, nil, []string{"Cache-Control: max-age=5, must-understand"}, rules.BadStatus, rules.BadStatus},
		{"no-cache", 200, nil, []string{"Cache-Control: no-cache", `Etag: "a"`}, "", ""},
		{"private", 200, nil, []string{"Cache-Control: private, max-age=5"}, rules.SaidPrivate, ""},
		{"private fields", 200, nil, []string{`Cache-Control: private="a", max-age=5`}, "", ""},
		{"any status, if it says so", 599, nil, []string{"Cache-Control: max-age=5"}, "", ""},
		{"an error that says so", 503, nil, []string{"Cache-Control: max-age=5"}, "", ""},
		{"an error that says nothing", 503, nil, []string{`Etag: "a"`}, rules.NotExplicit, rules.NotExplicit},
		{"an error that is stale", 503, nil, []string{"Cache-Control: max-age=0", `Etag: "a"`}, rules.NothingToReuse, rules.NothingToReuse},
		{"public", 599, nil, []string{"Cache-Control: public", "Last-Modified: NOW-1000"}, "", ""},
		{"partial", 206, nil, []string{"Cache-Control: max-age=5"}, rules.PartialResponse, rules.PartialResponse},
		{"not modified", 304, nil, []string{"Cache-Control: max-age=5"}, rules.BadStatus, rules.BadStatus},
		{"interim", 103, nil, []string{"Cache-Control: max-age=5"}, rules.BadStatus, rules.BadStatus},
		{"Vary: *", 200, nil, []string{"Cache-Control: max-age=5", "Vary: a, *"}, rules.VaryAll, rules.VaryAll},
		{"asked not to", 200, []string{"Cache-Control: no-store"}, []string{"Cache-Control: max-age=5"}, rules.AskedNoStore, rules.AskedNoStore},
		{"authorized", 200, []string{"Authorization: a"}, []string{"Cache-Control: max-age=5"}, rules.Authorized, ""},
		{"authorized, public", 200, []string{"Authorization: a"}, []string{"Cache-Control: max-age=5, public"}, "", ""},
		{"authorized, must-revalidate", 200, []string{"Authorization: a"}, []string{"Cache-Control: max-age=5, must-revalidate"}, "", ""},
		{"authorized, s-maxage", 200, []string{"Authorization: a"}, []string{"Cache-Control: s-maxage=5"}, "", rules.NothingToReuse},
		{"sets a cookie", 200, nil, []string{"Cache-Control: max-age=5", "Set-Cookie: a=b"}, rules.SetsCookie, ""},
		{"withholds the cookie", 200, nil, []string{`Cache-Control: max-age=5, no-cache="set-cookie"`, "Set-Cookie: a=b"}, "", ""},
		{"for a cookie, fresh", 200, []string{"Cookie: a=b"}, []string{"Cache-Control: max-age=5"}, "", ""},
		{"for a cookie, public", 200, []string{"Cookie: a=b"}, []string{"Cache-Control: public", "Last-Modified: NOW-1000"}, "", ""},
		{"for a cookie, with a validator only", 200, []string{"Cookie: a=b"}, []string{"Last-Modified: NOW-1000"}, rules.Personal, ""},
		{"for a cookie, no-cache", 200, []string{"Cookie: a=b"}, []string{"Cache-Control: no-cache", "Last-Modified: NOW-1000"}, rules.Personal, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, face := range []struct {
				policy *rules.Policy
				want   rules.Reason
			}{{sharedPolicy(), tt.shared}, {privatePolicy(), tt.private}} {
				p, req := face.policy, header(tt.request...)
				r := receivedNow(p, tt.status, tt.lines...)
				l := p.LifeOf(r, 0, false, p.Shared && p.IsPersonal(&http.Request{Header: req, URL: new(url.URL)}))
				asked := rules.RequestDirectives(req)
				if got := p.MayStore(r, req, &asked, &l); got != face.want {
					t.Errorf("shared %v: got %q, want %q", p.Shared, got, face.want)
				}
			}
		})
	}
}

func TestStoreSetCookieFollowsTheRFC(t *testing.T) {
	p := (&Options{StoreSetCookie: true}).policy(true)
	r := receivedNow(p, 200, "Cache-Control: max-age=5", "Set-Cookie: a=b")
	l := p.LifeOf(r, 0, false, false)
	if got := p.MayStore(r, nil, &rules.Directives{}, &l); got != rules.Storable {
		t.Errorf("got %q, want it stored", got)
	}
	if h := p.StoredFields(r); h.Get("Set-Cookie") != "a=b" {
		t.Errorf("Set-Cookie is not stored: %v", h)
	}
}

func TestStoredFieldsLeaveOutWhatIsForOneConnection(t *testing.T) {
	p := sharedPolicy()
	r := receivedNow(p, 200, "Cache-Control: no-cache=\"x-c\", private=\"x-p\", max-age=5", "Connection: x-a, close", "Keep-Alive: a", "X-A: 1", "X-B: 2",
		"X-C: 3", "X-P: 4", "Proxy-Authenticate: a", "Transfer-Encoding: chunked", "Upgrade: a", "Te: a", "Age: 5", "Cache-Status: a", "Cache-Tag: a", "Surrogate-Key: b")
	h := p.StoredFields(r)
	if len(h) != 2 || h.Get("X-B") != "2" || h.Get("Cache-Control") == "" {
		t.Errorf("got %v, want Cache-Control and X-B", h)
	}
	if h := privatePolicy().StoredFields(r); h.Get("X-P") != "4" {
		t.Errorf("a private cache leaves out what is private: %v", h)
	}
}

func TestTagsAreReadFromBothFields(t *testing.T) {
	got := rules.TagsOf(header("Cache-Tag: a, b c", "Surrogate-Key: d  e", "Surrogate-Key: f"))
	if want := []string{"a", "b c", "d", "e", "f"}; !exchange.ContainsAll(got, want) || len(got) != len(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKeepForCoversEveryUse(t *testing.T) {
	p := (&Options{StaleIfError: time.Minute, KeepStale: time.Hour}).policy(true)
	tests := []struct {
		name        string
		validatable bool
		lines       []string
		want        time.Duration
	}{
		{"freshness", false, []string{"Cache-Control: max-age=5, must-revalidate"}, 5 * time.Second},
		{"errors", false, []string{"Cache-Control: max-age=5"}, 65 * time.Second},
		{"errors, by the response's word", false, []string{"Cache-Control: max-age=5, stale-if-error=1"}, 6 * time.Second},
		{"validation", true, []string{"Cache-Control: max-age=5"}, time.Hour + 5*time.Second},
		{"refreshing", false, []string{"Cache-Control: max-age=5, stale-while-revalidate=100"}, 105 * time.Second},
	}
	for _, tt := range tests {
		r := receivedNow(p, 200, tt.lines...)
		term := rules.Terms{Life: p.LifeOf(r, 0, false, false), CacheControl: r.CacheControl, Status: 200}
		if got := p.KeepFor(&term, tt.validatable, someDay); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
