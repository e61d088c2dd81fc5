package httpcache_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-0226adef/memo/httpcache"
)

type baseKey struct{}

func TestARefreshHasTheValuesOfTheServersBaseContext(t *testing.T) {
	c := httpcache.New(nil)
	runs := make(chan any, 2)
	srv := httptest.NewUnstartedServer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=0, stale-while-revalidate=60")
		io.WriteString(w, "hello")
		runs <- r.Context().Value(baseKey{})
	})))
	srv.Config.BaseContext = func(l net.Listener) context.Context {
		return context.WithValue(context.Background(), baseKey{}, l.Addr().String())
	}
	srv.Start()
	defer srv.Close()
	for range 2 { // the second answer is stale, and refreshed
		res, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got, want := <-runs, srv.Listener.Addr().String(); got != want {
			t.Errorf("the handler sees %v, want %v", got, want)
		}
	}
}
