package httpcache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// A versioned is a page that is stale at once, of which there are two versions.
type versioned struct {
	etag, text  string
	flushes     bool // after every few bytes
	silent      bool // it gives no Content-Length
	lastRanges  []string
	validations int
}

func (o *versioned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	o.lastRanges = r.Header["Range"]
	h.Set("Cache-Control", "max-age=0")
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "text/plain")
	h.Set("Etag", o.etag)
	if r.Header.Get("If-None-Match") == o.etag {
		o.validations++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if !o.silent {
		h.Set("Content-Length", strconv.Itoa(len(o.text)))
	}
	for rest := o.text; rest != ""; {
		n := min(len(rest), 1000)
		io.WriteString(w, rest[:n])
		rest = rest[n:]
		if o.flushes {
			http.NewResponseController(w).Flush()
		}
	}
}

// A Range on a stored response that was stale got all of the new one, as 200.
func TestAPartOfAStaleResponseIsAPartOfTheNewOne(t *testing.T) {
	long := strings.Repeat("0123456789", 1000)
	tests := []struct {
		name     string
		fields   []string
		status   int
		body, of string
	}{
		{"one part", []string{"Range: bytes=0-3"}, 206, "0123", "bytes 0-3/10000"},
		{"the end", []string{"Range: bytes=-2"}, 206, "89", "bytes 9998-9999/10000"},
		{"a long part", []string{"Range: bytes=1-"}, 206, long[1:], "bytes 1-9999/10000"},
		{"of this version", []string{"Range: bytes=0-3", `If-Range: "new"`}, 206, "0123", "bytes 0-3/10000"},
		{"of the old version", []string{"Range: bytes=0-3", `If-Range: "old"`}, 200, long, ""},
		{"none of it", []string{"Range: bytes=20000-"}, 416, "", "bytes */10000"},
		{"nonsense", []string{"Range: bytes=z"}, 200, long, ""},
		{"what the client has", []string{"Range: bytes=0-3", `If-None-Match: "new"`}, 304, "", ""},
		{"several parts", []string{"Range: bytes=0-1,5-6"}, 206, "parts", ""},
	}
	for _, tt := range tests {
		for _, how := range []string{"a new version", "a new version, flushed", "a new version of unknown length", "validated", "a Transport"} {
			t.Run(tt.name+"/"+how, func(t *testing.T) {
				page := &versioned{etag: `"old"`, text: "the old version"}
				if how == "validated" {
					page.etag, page.text = `"new"`, long
				}
				get := visitor(t, page, how == "a Transport", nil)
				get()
				page.etag, page.text, page.flushes, page.silent = `"new"`, long, strings.HasSuffix(how, "flushed"), strings.HasSuffix(how, "length")
				res, got := get(tt.fields...)
				h := res.Header
				if res.StatusCode != tt.status || h.Get("Content-Range") != tt.of {
					t.Fatalf("got %s with Content-Range %q, want %d with %q", res.Status, h.Get("Content-Range"), tt.status, tt.of)
				}
				switch {
				case tt.body == "parts":
					if !strings.Contains(got, "bytes 0-1/10000\r\nContent-Type: text/plain\r\n\r\n01\r\n") || !strings.Contains(got, "bytes 5-6/10000") || !strings.HasPrefix(h.Get("Content-Type"), "multipart/byteranges") {
						t.Errorf("got %q", got)
					}
				case tt.status != 416 && got != tt.body:
					t.Errorf("got %d bytes, want %d", len(got), len(tt.body))
				}
				if tt.status != 416 && h.Get("Etag") != `"new"` {
					t.Errorf("the header is not that of the new version: %v", h)
				}
				if validated := page.validations > 0; validated != (how == "validated") || len(page.lastRanges) > 0 {
					t.Errorf("validated %t; the handler was asked for %q", validated, page.lastRanges)
				}
				if res, whole := get(); res.StatusCode != 200 || whole != long {
					t.Errorf("then the whole is %s, of %d bytes", res.Status, len(whole))
				}
			})
		}
	}
}

// What is too large to be held back passes through.
func TestAPartOfWhatIsTooLargeIsTheWhole(t *testing.T) {
	long := strings.Repeat("0123456789", 1000)
	for _, silent := range []bool{true, false} {
		page := &versioned{etag: `"old"`, text: "old"}
		get := visitor(t, page, false, &httpcache.Options{MaxBody: 5000})
		get()
		page.etag, page.text, page.silent = `"new"`, long, silent
		if res, got := get("Range: bytes=0-3"); res.StatusCode != 200 || got != long || res.Header.Get("Etag") != `"new"` {
			t.Errorf("got %s, %d bytes of %s", res.Status, len(got), res.Header.Get("Etag"))
		}
	}
}

// visitor returns a function that gets the page through a cache, over a network.
func visitor(t *testing.T, page http.Handler, byTransport bool, o *httpcache.Options) func(fields ...string) (*http.Response, string) {
	cache, client := httpcache.New(o), &http.Client{Timeout: 30 * time.Second}
	if byTransport {
		client.Transport = cache.Transport(nil)
	} else {
		page = cache.Handler(page)
	}
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	return func(fields ...string) (*http.Response, string) {
		r, err := http.NewRequest("GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			r.Header.Add(name, value)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res, body(t, res)
	}
}
