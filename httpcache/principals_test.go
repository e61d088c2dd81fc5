package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-0226adef/memo/httpcache"
)

// A response must never reach a request whose fields differ in what the response
// varies by.
func TestNoResponseReachesARequestItDoesNotVaryFor(t *testing.T) {
	names := []string{"Accept-Language", "Cookie", "X-A", "X-B"}
	rapid.Check(t, func(t *rapid.T) {
		// The handler names different fields for different requests, as handlers do
		// that look at one field only when another has a certain value.
		varies := map[string][]string{}
		for _, v := range []string{"", "1", "2"} {
			varies[v] = rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 3, rapid.ID).Draw(t, "vary"+v)
		}
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			fields := append([]string{"X-A"}, varies[r.Header.Get("X-A")]...)
			w.Header().Set("Vary", strings.Join(fields, ", "))
			for _, name := range fields {
				fmt.Fprintf(w, "%s=%q\n", name, r.Header.Get(name))
			}
		})
		for range rapid.IntRange(2, 12).Draw(t, "requests") {
			var fields []string
			for _, name := range names {
				if v := rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, name); v != "" {
					fields = append(fields, name+": "+v)
				}
			}
			r := request("GET", "/", fields...)
			res := s.send(r)
			b, _ := io.ReadAll(res.Body)
			for line := range strings.Lines(string(b)) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				if want := fmt.Sprintf("%q", r.Header.Get(name)); value != want {
					t.Fatalf("%q got a response for %s=%s", fields, name, value)
				}
			}
		}
	})
}

// A response that is private or was authorized must never reach anybody else.
func TestNothingPrivateReachesAnotherPrincipal(t *testing.T) {
	controls := []string{"", "private", "private, max-age=60", "max-age=60", "no-store", "no-cache", "public, max-age=60", "s-maxage=60", "max-age=60, must-revalidate"}
	rapid.Check(t, func(t *rapid.T) {
		collapse := rapid.Bool().Draw(t, "collapse")
		s := newSite(&httpcache.Options{CollapsePersonal: collapse, TTL: 60e9}, func(w http.ResponseWriter, r *http.Request) {
			control := r.Header.Get("Want")
			if control != "" {
				w.Header().Set("Cache-Control", control)
			}
			if r.Header.Get("Session") != "" {
				w.Header().Set("Set-Cookie", "session="+r.Header.Get("Me"))
			}
			w.Header().Set("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
			if r.Header.Get("If-Modified-Since") != "" {
				w.Header().Del("Cache-Control")
				w.WriteHeader(http.StatusNotModified) // as one does who compares dates only
				return
			}
			fmt.Fprintf(w, "%s|%s|%s|%s", r.Header.Get("Me"), control, r.Header.Get("Authorization")+r.Header.Get("Cookie"), w.Header().Get("Set-Cookie"))
		})
		var wg sync.WaitGroup
		for i := range rapid.IntRange(2, 10).Draw(t, "requests") {
			me := fmt.Sprint(i)
			fields := []string{"Me: " + me, "Want: " + rapid.SampledFrom(controls).Draw(t, "control")}
			switch rapid.IntRange(0, 3).Draw(t, "principal") {
			case 1:
				fields = append(fields, "Authorization: "+me)
			case 2:
				fields = append(fields, "Cookie: "+me)
			case 3:
				fields = append(fields, "Session: "+me)
			}
			wg.Go(func() {
				res := s.get("/", fields...)
				b, _ := io.ReadAll(res.Body)
				maker, rest, _ := strings.Cut(string(b), "|")
				if maker == me || rest == "" {
					return
				}
				parts := strings.Split(rest, "|")
				control, principal, cookie := parts[0], parts[1], parts[2]
				public := strings.Contains(control, "public") || strings.Contains(control, "s-maxage") || strings.Contains(control, "must-revalidate")
				switch {
				case strings.Contains(control, "private") || strings.Contains(control, "no-store"):
					t.Errorf("%s got %q, which is private", me, b)
				case cookie != "":
					t.Errorf("%s got %q, which sets a cookie", me, b)
				case principal != "" && !public && !strings.Contains(control, "max-age"):
					t.Errorf("%s got %q, which was made for a principal", me, b)
				case strings.Contains(fields[len(fields)-1], "Authorization") && !public:
					t.Errorf("%s, who is authorized, got %q (%s)", me, b, res.Header.Get("Cache-Status"))
				}
			})
		}
		wg.Wait()
	})
}
