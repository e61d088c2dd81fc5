package httpcache_test

import (
	"net/http"
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

func TestHandlerGetsARequestOfWithBypassUntouched(t *testing.T) {
	s := newSite(&httpcache.Options{Methods: []string{"POST"}}, saying("Cache-Control: max-age=60", "Cache-Tag: mine"))
	s.get("/")
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		r := request(method, "/")
		h := s.send(r.WithContext(memo.WithBypass(r.Context()))).Header
		if h.Get("Cache-Tag") == "" || h.Get("Cache-Status") != "" || h.Get("Etag") != "" {
			t.Errorf("%s: the client sees %v, want the handler's own", method, h)
		}
	}
	s.wantRuns(t, 5)
	if got := s.cache.Stats(); counted(got) != 1 {
		t.Errorf("counted as %+v, want the first request alone", got)
	}
	s.get("/")
	s.wantRuns(t, 5) // the page is still stored, and not replaced
}

func TestTransportHandsOnARequestOfWithBypassUntouched(t *testing.T) {
	n := 0
	var got *http.Request
	rt := httpcache.New(nil).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		n++
		got = r
		return respond(r, "page", "Cache-Control: max-age=60"), nil
	}))
	send := func(r *http.Request) *http.Response {
		t.Helper()
		res, err := rt.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body(t, res)
		return res
	}
	r, _ := http.NewRequest("GET", "http://example.com/", nil)
	send(r)
	past := r.WithContext(memo.WithBypass(r.Context()))
	for range 2 {
		if res := send(past); got != past || res.Header.Get("Cache-Status") != "" {
			t.Errorf("the transport below got %p, want %p; Cache-Status %q", got, past, res.Header.Get("Cache-Status"))
		}
	}
	send(r)
	if n != 3 {
		t.Errorf("%d requests went through, want 3", n)
	}
}
