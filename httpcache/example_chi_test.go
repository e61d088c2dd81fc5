package httpcache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

// The cache is a middleware of the usual form, and a write purges what it has
// changed by its tag.
func ExampleCache_Handler_chi() {
	cache := httpcache.New(&httpcache.Options{TTL: time.Minute})
	name := "tea"

	r := chi.NewRouter()
	r.Use(cache.Handler)
	r.Get("/products/{id}", func(w http.ResponseWriter, r *http.Request) {
		memo.AddTags(r.Context(), "product:"+chi.URLParam(r, "id"))
		fmt.Fprint(w, name)
	})
	r.Post("/rename/{id}", func(w http.ResponseWriter, r *http.Request) {
		name = r.URL.Query().Get("to")
		if err := cache.PurgeTags(context.WithoutCancel(r.Context()), "product:"+chi.URLParam(r, "id")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})

	send := func(method, target string) string {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		return w.Body.String()
	}
	fmt.Println(send("GET", "/products/42"), send("GET", "/products/42"))
	send("POST", "/rename/42?to=coffee")
	fmt.Println(send("GET", "/products/42"), cache.Stats().Hits)
	// Output:
	// tea tea
	// coffee 1
}
