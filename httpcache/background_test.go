package httpcache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-0226adef/memo/httpcache"
)

// A router uses the context of one request for the next as soon as the first has been
// answered. The handler that went on in the background took the parameters of somebody
// else's request for its own, and the page was stored under the wrong URL.
func TestBackgroundRefreshBehindARouterIsARequestOfItsOwn(t *testing.T) {
	type visitor struct{}
	asked, gate, ids := make(chan struct{}), make(chan struct{}), make(chan string)
	runs := 0 // of page 1, one after the other
	router := chi.NewRouter()
	router.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitor{}, r.Header.Get("Visitor"))))
		})
	})
	router.Use(httpcache.New(nil).Handler)
	router.Get("/pages/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pages/1" {
			if runs++; runs == 2 {
				close(asked)
				<-gate
				ids <- fmt.Sprint(chi.URLParam(r, "id"), " for ", r.Context().Value(visitor{}))
			}
		}
		w.Header().Set("Cache-Control", "max-age=0, stale-while-revalidate=60")
		fmt.Fprint(w, "page ", chi.URLParam(r, "id"))
	})
	server := httptest.NewServer(router)
	defer server.Close()
	get := func(page int, visitor string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprint(server.URL, "/pages/", page), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Visitor", visitor)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return body(t, res)
	}
	for range 2 {
		if got, want := get(1, "ann"), "page 1"; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	<-asked
	for page := 2; page < 50; page++ {
		get(page, "bob")
	}
	close(gate)
	if got, want := <-ids, "1 for ann"; got != want {
		t.Errorf("the handler was asked in the background for page %s, want %s", got, want)
	}
}
