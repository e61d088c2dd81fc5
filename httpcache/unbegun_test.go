package httpcache_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// answering is a middleware that writes a response in place of a handler that has
// written none, as frameworks do for handlers that return errors.
func answering(status int, inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &begun{ResponseWriter: w}
		inner.ServeHTTP(b, r)
		if !b.is {
			http.Error(w, "from outside", status)
		}
	})
}

type begun struct {
	http.ResponseWriter
	is bool
}

func (b *begun) WriteHeader(status int) {
	b.is = b.is || status >= 200
	b.ResponseWriter.WriteHeader(status)
}

func (b *begun) Write(p []byte) (int, error) {
	b.is = true
	return b.ResponseWriter.Write(p)
}

// A handler that returned without writing had begun an empty 200: a middleware
// outside could not say 404 any more, and Options.TTL stored the 200 for everyone.
func TestAHandlerThatWritesNothingBeginsNothing(t *testing.T) {
	nothing := map[string]http.HandlerFunc{
		"nothing":        func(w http.ResponseWriter, r *http.Request) {},
		"fields":         func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Cache-Control", "max-age=60") },
		"an empty file":  func(w http.ResponseWriter, r *http.Request) { io.Copy(w, strings.NewReader("")) },
		"a broken file":  func(w http.ResponseWriter, r *http.Request) { io.Copy(w, unreadable{}) },
		"tags":           func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Cache-Tag", "t") },
		"a hijack fails": func(w http.ResponseWriter, r *http.Request) { http.NewResponseController(w).Hijack() },
	}
	for name, serve := range nothing {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
			for _, status := range []int{403, 404, 500} {
				s := newSite(&httpcache.Options{TTL: time.Minute, Methods: []string{"POST"}}, serve)
				outer := answering(status, s)
				for range 2 {
					w := httptest.NewRecorder()
					outer.ServeHTTP(w, request(method, "/"))
					if w.Code != status || !strings.Contains(w.Body.String(), "from outside") {
						t.Errorf("%s, %s: got %d %q, want %d from outside", name, method, w.Code, w.Body, status)
					}
					if w.Header().Get("Cache-Tag") != "" {
						t.Errorf("%s, %s: clients see Cache-Tag", name, method)
					}
				}
				s.wantRuns(t, 2)
				if n := s.cache.Stats().Stored; n != 0 {
					t.Errorf("%s, %s: %d responses are stored", name, method, n)
				}
			}
		}
	}
}

type unreadable struct{}

func (unreadable) Read([]byte) (int, error) { return 0, errors.New("broken") }

// What the handler has put into the header is there for whoever writes in its place.
func TestTheFieldsOfAHandlerThatWritesNothingStay(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Www-Authenticate", "Basic") })
	w := httptest.NewRecorder()
	answering(401, s).ServeHTTP(w, request("GET", "/"))
	if got := w.Header().Get("Www-Authenticate"); w.Code != 401 || got != "Basic" {
		t.Errorf("got %d, %q", w.Code, got)
	}
}

// net/http takes a handler that has written nothing for one that says 200.
func TestAServerSays200ForAHandlerThatWritesNothing(t *testing.T) {
	url, client := serveOver(t, &httpcache.Options{TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) {})
	for range 2 {
		res, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 || res.ContentLength != 0 {
			t.Errorf("got %s, %d bytes", res.Status, res.ContentLength)
		}
	}
}

// Those who wait for a handler that then writes nothing run it themselves, each with
// a middleware of its own outside.
func TestWhoWaitsForAHandlerThatWritesNothingRunsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(&httpcache.Options{TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second) })
		outer := answering(404, s)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				w := httptest.NewRecorder()
				outer.ServeHTTP(w, request("GET", "/"))
				if w.Code != 404 {
					t.Errorf("got %d", w.Code)
				}
			})
		}
		wg.Wait()
		s.wantRuns(t, 5)
	})
}

// A validation, in the background or not, to which the handler writes nothing leaves
// what is stored as it is.
func TestAValidationThatBringsNothingKeepsWhatIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var silent atomic.Bool
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			if !silent.Load() {
				saying("Cache-Control: max-age=10, stale-while-revalidate=60")(w, r)
			}
		})
		s.get("/")
		silent.Store(true)
		time.Sleep(20 * time.Second)
		for range 3 {
			if got := body(t, s.get("/")); got != "answer 1" {
				t.Errorf("got %q", got)
			}
			synctest.Wait()
			time.Sleep(2 * time.Second)
		}
		w := httptest.NewRecorder()
		answering(500, s).ServeHTTP(w, request("GET", "/", "Cache-Control: no-cache"))
		if w.Code != 500 {
			t.Errorf("asked for anew, got %d", w.Code)
		}
		if got := body(t, s.get("/")); got != "answer 1" {
			t.Errorf("got %q", got)
		}
	})
}

// A DELETE whose handler just returns is a success for net/http.
func TestAnUnsafeMethodWhoseHandlerWritesNothingDropsWhatItChanges(t *testing.T) {
	s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			saying("Cache-Control: max-age=60")(w, r)
		}
	})
	s.get("/")
	s.do("DELETE", "/")
	s.get("/")
	s.wantRuns(t, 3)
}

// Frameworks keep the handler's ResponseWriter and its request, and write errors
// by them when the handler has returned.
func TestTheHandlersWriterAndRequestWorkWhenItHasReturned(t *testing.T) {
	var kept http.ResponseWriter
	var asked *http.Request
	s := newSite(&httpcache.Options{TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) { kept, asked = w, r })
	for range 2 {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, request("GET", "/"))
		if err := asked.Context().Err(); err != nil {
			t.Errorf("the handler's context has ended, the client's request has not: %v", err)
		}
		kept.Header().Set("X-A", "1")
		kept.WriteHeader(http.StatusForbidden)
		io.WriteString(kept, "no ")
		io.Copy(kept, strings.NewReader("entry"))
		http.NewResponseController(kept).Flush()
		if w.Code != 403 || w.Body.String() != "no entry" || !w.Flushed || w.Header().Get("X-A") != "1" {
			t.Errorf("got %d %q, %v", w.Code, w.Body, w.Header())
		}
	}
	s.wantRuns(t, 2)
}

// A handler that panicked in the middle of a response had written nothing that a
// middleware that recovers, or its client, could see: the cache kept short bodies
// back, and broke the connection of long ones.
func TestWhatAHandlerWroteBeforeItPanickedGoesOut(t *testing.T) {
	for _, size := range []int{0, 1, 2000, 3000, 100_000} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("X-A", "1")
			if size > 0 {
				w.Write(bytes.Repeat([]byte("x"), size))
			}
			panic("broken")
		})
		see := func(inner http.Handler) string {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					if recover() != nil {
						w.WriteHeader(http.StatusInternalServerError)
					}
				}()
				inner.ServeHTTP(w, r)
			}))
			defer srv.Close()
			res, err := srv.Client().Get(srv.URL)
			if err != nil {
				return err.Error()
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			return fmt.Sprint(res.Status, len(b), err, res.Header["X-A"])
		}
		if got, want := see(httpcache.New(nil).Handler(h)), see(h); got != want {
			t.Errorf("%d bytes: got %s, without a cache %s", size, got, want)
		}
	}
}

// What the handler did to its header when it had written a long body was done to one
// that had not been sent.
func TestNothingIsAddedToAHeaderAfterALongWrite(t *testing.T) {
	url, client := serveOver(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write(make([]byte, 100_000))
		w.Header().Set("X-Late", "1")
		w.WriteHeader(http.StatusInternalServerError)
	})
	for range 2 {
		if res, b := fetch(t, client, url); res.StatusCode != 200 || len(b) != 100_000 || res.Header.Get("X-Late") != "" {
			t.Errorf("got %s, %d bytes, %v", res.Status, len(b), res.Header)
		}
	}
}
