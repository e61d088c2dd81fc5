package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

// visit asks a handler for a page and prints what it gets.
func visit(h http.Handler, target string, cookies ...string) {
	r := httptest.NewRequest("GET", target, nil)
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Printf("%s (%s)\n", strings.TrimSpace(w.Body.String()), w.Header().Get("Cache-Status"))
}

func Example() {
	articles := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("rendering", r.URL.Path)
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "An article")
	})
	cache := httpcache.New(nil)
	mux := http.NewServeMux()
	mux.Handle("/articles/", cache.Handler(articles))

	visit(mux, "/articles/42")
	visit(mux, "/articles/42")
	// Output:
	// rendering /articles/42
	// An article (memo; fwd=uri-miss; stored)
	// An article (memo; hit; ttl=60)
}

func ExampleNew() {
	cache := httpcache.New(&httpcache.Options{
		TTL:          time.Minute,        // for responses that say nothing
		StaleIfError: time.Hour,          // rather an old page than an error
		IgnoreParams: []string{"utm_*"},  // what campaigns add to links
		KeyCookies:   []string{"locale"}, // everything is there in several languages
	}, memo.LocalBytes(1<<30))

	h := cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "front page, for %q", r.URL.RawQuery)
	}))
	visit(h, "/?utm_source=news")
	visit(h, "/")
	// Output:
	// front page, for "" (memo; fwd=vary-miss; stored)
	// front page, for "" (memo; hit; ttl=60)
}

func ExampleCache_Handler() {
	cache := httpcache.New(nil)
	h := cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		memo.SetTTL(r.Context(), time.Hour) // for this cache; browsers go by Cache-Control
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Vary", "Accept-Language")
		io.WriteString(w, "Hello")
	}))
	visit(h, "/")
	visit(h, "/")
	// Output:
	// Hello (memo; fwd=uri-miss; stored)
	// Hello (memo; hit; ttl=3600)
}

func ExampleCache_Transport() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("the origin is asked")
		w.Header().Set("Cache-Control", "private, max-age=60")
		io.WriteString(w, "my data")
	}))
	defer origin.Close()

	client := &http.Client{Transport: httpcache.New(nil).Transport(nil)}
	for range 2 {
		res, err := client.Get(origin.URL)
		if err != nil {
			log.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			log.Fatal(err)
		}
		res.Body.Close()
		fmt.Printf("%s\n", b)
	}
	// Output:
	// the origin is asked
	// my data
	// my data
}

// A reverse proxy that caches, in front of it all.
func ExampleCache_Handler_reverseProxy() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "s-maxage=60")
		fmt.Fprint(w, "from the origin")
	}))
	defer origin.Close()
	target, err := url.Parse(origin.URL)
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	cache := httpcache.New(&httpcache.Options{StaleIfError: time.Minute})

	h := cache.Handler(proxy)
	visit(h, "/")
	visit(h, "/")
	// Output:
	// from the origin (memo; fwd=uri-miss; stored)
	// from the origin (memo; hit; ttl=60)
}

func ExampleCache_Purge() {
	title := "Old title"
	cache := httpcache.New(&httpcache.Options{TTL: time.Hour})
	h := cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, title)
	}))
	visit(h, "http://example.com/articles/42")
	title = "New title"
	visit(h, "http://example.com/articles/42")
	if err := cache.Purge(context.Background(), "http://example.com/articles/42"); err != nil {
		log.Fatal(err)
	}
	visit(h, "http://example.com/articles/42")
	// Output:
	// Old title (memo; fwd=uri-miss; stored)
	// Old title (memo; hit; ttl=3600)
	// New title (memo; fwd=uri-miss; stored)
}

func ExampleCache_PurgeTags() {
	ctx := context.Background()
	cache := httpcache.New(&httpcache.Options{TTL: time.Hour})
	h := cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		memo.AddTags(r.Context(), "user:42")
		io.WriteString(w, r.URL.Path)
	}))
	visit(h, "/users/42")
	visit(h, "/users/42/friends")
	// The user has been saved: every page that shows them has to be made anew.
	if err := cache.PurgeTags(ctx, "user:42"); err != nil {
		log.Fatal(err)
	}
	visit(h, "/users/42/friends")
	// Output:
	// /users/42 (memo; fwd=uri-miss; stored)
	// /users/42/friends (memo; fwd=uri-miss; stored)
	// /users/42/friends (memo; fwd=uri-miss; stored)
}

// What has expired is validated: the handler may say that it still holds.
func ExampleCache_Expire() {
	cache := httpcache.New(nil)
	h := cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, "a page")
	}))
	visit(h, "/")
	if err := cache.Expire(context.Background(), "/*"); err != nil {
		log.Fatal(err)
	}
	visit(h, "/")
	visit(h, "/")
	// Output:
	// a page (memo; fwd=uri-miss; stored)
	// a page (memo; fwd=stale; fwd-status=304; stored)
	// a page (memo; hit; ttl=3600)
}

func ExampleCache_ExpireTags() {
	cache := httpcache.New(&httpcache.Options{TTL: time.Hour, StaleIfError: time.Hour})
	fails := false
	h := cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		memo.AddTags(r.Context(), "user:42")
		io.WriteString(w, r.URL.Path)
	}))
	visit(h, "/users/42")
	fails = true
	if err := cache.ExpireTags(context.Background(), "user:42"); err != nil {
		log.Fatal(err)
	}
	visit(h, "/users/42")
	// Output:
	// /users/42 (memo; fwd=uri-miss; stored)
	// /users/42 (memo; hit; ttl=-1; detail=stale-if-error)
}

func ExampleCache_Clear() {
	cache := httpcache.New(&httpcache.Options{TTL: time.Hour})
	h := cache.Handler(http.NotFoundHandler())
	visit(h, "/")
	cache.Clear(context.Background())
	visit(h, "/")
	// Output:
	// 404 page not found (memo; fwd=uri-miss; stored)
	// 404 page not found (memo; fwd=uri-miss; stored)
}

func ExampleCache_Stats() {
	cache := httpcache.New(&httpcache.Options{TTL: time.Hour})
	h := cache.Handler(http.NotFoundHandler())
	for range 10 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	s := cache.Stats()
	fmt.Println(s.Hits, "hits,", s.Misses, "miss,", s.Stored, "stored")
	// Output: 9 hits, 1 miss, 1 stored
}

// A client that has changed something gets a cookie, and whichever process it asks next shows
// the change.
func ExampleTokens() {
	cache := httpcache.New(&httpcache.Options{TTL: time.Hour})
	pages := cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			cache.Purge(r.Context(), "/") // or any function's Invalidate, further down
		}
		io.WriteString(w, "a page")
	}))
	h := httpcache.Tokens(pages, nil)
	for _, method := range []string{"GET", "POST"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		fmt.Println(method, len(w.Result().Cookies()), "cookies")
	}
	// Output:
	// GET 0 cookies
	// POST 1 cookies
}
