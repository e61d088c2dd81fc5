package middlewaretest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// A client sees the same with a cache as without, the first time and every other time:
// but for the fields that are the cache's own.
func TestAClientSeesTheSameWithACache(t *testing.T) {
	all := kinds(t)
	if len(all) < 40 {
		t.Fatalf("%d kinds of handlers", len(all))
	}
	for _, s := range stacks() {
		t.Run(s.name, func(t *testing.T) {
			for _, k := range all {
				if differs(s.name, k.name) {
					continue
				}
				bare := see(t, s.build(k, nil), k)
				for name, o := range map[string]httpcache.Options{"by default": {}, "with TTL": {TTL: time.Minute}} {
					if strings.HasSuffix(s.name, "outside Compress") { // which says Vary only where it compresses
						o.KeyHeaders = []string{"Accept-Encoding"}
					}
					got := see(t, s.build(k, httpcache.New(&o).Handler), k)
					for i := range got {
						if g, w := got[i].without(bare[i]), bare[i].like(got[i]).text(); g != w {
							t.Errorf("%s, %s, request %d:\n    with a cache %s\n    without      %s", k.name, name, i, g, w)
						}
					}
				}
			}
		})
	}
}

// differs reports whether a middleware and a kind cannot be compared: they are not right
// together without a cache either, or both answers are.
func differs(stack, kind string) bool {
	switch kind {
	case "304", "content not modified", "trailers": // conditions are evaluated on another ETag; trailers become fields
		switch _, mw, _ := strings.Cut(stack, "side "); mw {
		case "ETag", "timeout", "NoCache", "Compress": // (NoCache hides conditions from the handler, Compress leaves Vary out of 304)
			return true
		}
	case "flushes first": // chi compresses without saying so
		return strings.HasSuffix(stack, "side Compress")
	}
	return false
}

// in304 are the fields of a 304 that clients need (RFC 9110, section 15.4.5).
var in304 = []string{"Cache-Control", "Content-Location", "Etag", "Expires", "Last-Modified", "Vary", "Access-Control-Allow-Origin"}

// An answer is what a client gets.
type answer struct {
	status  int
	header  http.Header
	body    string
	trailer http.Header
	failed  bool
}

// see asks for a kind a few times, with and without compression.
func see(t *testing.T, h http.Handler, k kind) (answers []answer) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	defer srv.Close()
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for i := range 4 {
		method := k.method
		if method == "" {
			method = "GET"
		}
		var body io.Reader
		if method == "POST" {
			body = strings.NewReader("a body")
		}
		r, err := http.NewRequest(method, srv.URL+"/page", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", []string{"identity", "gzip"}[i/2])
		for i := 0; i < len(k.fields); i += 2 {
			r.Header.Set(k.fields[i], k.fields[i+1])
		}
		answers = append(answers, ask(client, r))
	}
	return answers
}

func ask(client *http.Client, r *http.Request) answer {
	res, err := client.Do(r)
	if err != nil {
		return answer{failed: true}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if res.Header.Get("Content-Encoding") == "gzip" {
		if z, zerr := gzip.NewReader(bytes.NewReader(b)); zerr == nil {
			b, err = io.ReadAll(z)
		}
	}
	a := answer{res.StatusCode, res.Header, string(b), res.Trailer, err != nil}
	if a.failed {
		a.body = "" // how much came before is a matter of buffers
	}
	if res.ContentLength >= 0 && res.Header.Get("Content-Length") == "" {
		a.header.Set("Content-Length", fmt.Sprint(res.ContentLength))
	}
	return a
}

// without is the answer's text without what is the cache's own in it: Cache-Status, Age
// and an ETag where there is none otherwise.
func (a answer) without(bare answer) string {
	a.header = maps.Clone(a.header)
	delete(a.header, "Cache-Status")
	delete(a.header, "Age")
	if bare.header.Get("Etag") == "" && strings.HasPrefix(a.header.Get("Etag"), "W/") {
		delete(a.header, "Etag")
	}
	return a.like(bare).text()
}

// like is the answer without its length if the other has none: whether a server knows it
// before it sends the header is a matter of buffers.
func (a answer) like(other answer) answer {
	if other.header.Get("Content-Length") == "" || a.header.Get("Content-Encoding") == "gzip" {
		a.header = maps.Clone(a.header)
		delete(a.header, "Content-Length")
	}
	return a
}

func (a answer) text() string {
	var b strings.Builder
	fmt.Fprint(&b, a.status, " ")
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if name != "Date" && (a.status != http.StatusNotModified || slices.Contains(in304, name)) {
			fmt.Fprintf(&b, "%s: %q; ", name, a.header[name])
		}
	}
	fmt.Fprint(&b, len(a.body), " bytes ", fmt.Sprintf("%.40q", a.body), " trailer ", a.trailer)
	if a.failed {
		b.WriteString(", cut off")
	}
	return b.String()
}
