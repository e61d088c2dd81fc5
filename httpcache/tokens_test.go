package httpcache_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// tokenCookie returns the cookie of that name that a response sets, or nil.
func tokenCookie(r *http.Response, name string) *http.Cookie {
	for _, c := range r.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// tokenSite is one process, whose page is cached, and changes by a POST.
func tokenSite(s *memstore.Store, version *atomic.Int64, change func(context.Context, *httpcache.Cache) error) http.Handler {
	cache := httpcache.New(&httpcache.Options{TTL: time.Hour}, memo.Store(faultstore.New(s).Bare()), memo.Name("pages"), memo.LocalTTL(time.Hour))
	mux := http.NewServeMux()
	mux.Handle("GET /page", cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		memo.AddTags(r.Context(), "t")
		io.WriteString(w, strings.Repeat("x", int(version.Load())))
	})))
	mux.HandleFunc("POST /page", func(w http.ResponseWriter, r *http.Request) {
		version.Add(1)
		if err := change(r.Context(), cache); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return httpcache.Tokens(mux, nil)
}

func TestClientSeesWhatItHasChangedInWhateverProcess(t *testing.T) {
	for name, change := range map[string]func(context.Context, *httpcache.Cache) error{
		"Purge":           func(ctx context.Context, c *httpcache.Cache) error { return c.Purge(ctx, "http://example.com/page") },
		"Purge of a path": func(ctx context.Context, c *httpcache.Cache) error { return c.Purge(ctx, "/page") },
		"PurgeTags":       func(ctx context.Context, c *httpcache.Cache) error { return c.PurgeTags(ctx, "t") },
		"Expire":          func(ctx context.Context, c *httpcache.Cache) error { return c.Expire(ctx, "/*") },
		"ExpireTags":      func(ctx context.Context, c *httpcache.Cache) error { return c.ExpireTags(ctx, "t") },
		"Clear":           func(ctx context.Context, c *httpcache.Cache) error { return c.Clear(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			s, version := memstore.New(nil), new(atomic.Int64)
			here, there := tokenSite(s, version, change), tokenSite(s, version, change)
			get := func(h http.Handler, cookie *http.Cookie) int {
				r := httptest.NewRequest("GET", "/page", nil)
				if cookie != nil {
					r.AddCookie(cookie)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w.Body.Len()
			}
			get(there, nil)
			get(here, nil)
			w := httptest.NewRecorder()
			there.ServeHTTP(w, httptest.NewRequest("POST", "/page", nil))
			cookie := tokenCookie(w.Result(), "memo-token")
			if cookie == nil || !cookie.HttpOnly || cookie.MaxAge != 60 || cookie.Path != "/" || cookie.Secure {
				t.Fatalf("the response sets the cookie %v", cookie)
			}
			if got := get(here, cookie); got != 1 {
				t.Errorf("with the cookie the page is of version %d, want 1", got)
			}
			if got := get(here, cookie); got != 1 {
				t.Errorf("with the cookie once more it is of version %d", got)
			}
		})
	}
}

func TestCookieIsSetOnlyWhereSomethingHasChanged(t *testing.T) {
	f := memo.New(func(context.Context, string) (int, error) { return 1, nil })
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    bool
	}{
		"nothing": {func(w http.ResponseWriter, r *http.Request) { f.Call(r.Context(), "k") }, false},
		"before Write": {func(w http.ResponseWriter, r *http.Request) {
			f.Invalidate(r.Context(), "k")
			io.WriteString(w, "done")
		}, true},
		"before a header of its own": {func(w http.ResponseWriter, r *http.Request) {
			f.Set(r.Context(), "k", 2)
			w.WriteHeader(http.StatusAccepted)
		}, true},
		"before Flush": {func(w http.ResponseWriter, r *http.Request) {
			f.Clear(r.Context())
			http.NewResponseController(w).Flush()
		}, true},
		"before a copy": {func(w http.ResponseWriter, r *http.Request) {
			f.Expire(r.Context(), "k")
			io.Copy(w, strings.NewReader("done"))
		}, true},
		"and nothing written": {func(w http.ResponseWriter, r *http.Request) { f.Invalidate(r.Context(), "k") }, true},
		"after an early hint": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			f.Invalidate(r.Context(), "k")
		}, true},
		"too late": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "done")
			f.Invalidate(r.Context(), "k")
		}, false},
	} {
		server := httptest.NewServer(httpcache.Tokens(tt.handler, &httpcache.TokenOptions{Name: "own", Secure: true, MaxAge: 1500 * time.Millisecond}))
		response, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		server.CloseClientConnections()
		server.Close()
		cookie := tokenCookie(response, "own")
		if (cookie != nil) != tt.want {
			t.Errorf("%s: the cookie is %v", name, cookie)
		}
		if cookie != nil && (!cookie.Secure || cookie.MaxAge != 2) {
			t.Errorf("%s: the cookie is %v, want a secure one for two seconds", name, cookie)
		}
	}
}
