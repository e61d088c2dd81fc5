package httpcache

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSmoke(t *testing.T) {
	c := New(nil)
	n := 0
	srv := httptest.NewServer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.Path == "/v" {
			w.Header().Set("Vary", "Foo")
		}
		fmt.Fprintf(w, "hello %d", n)
	})))
	defer srv.Close()
	get := func(path, foo string) {
		req, _ := http.NewRequest("GET", srv.URL+path, nil)
		if foo != "" {
			req.Header.Set("Foo", foo)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		m, _ := res.Body.Read(b)
		res.Body.Close()
		t.Log(path, foo, res.Status, res.Header, string(b[:m]))
	}
	get("/a", "")
	get("/a", "")
	get("/v", "1")
	get("/v", "1")
	get("/v", "2")
	get("/v", "2")
	get("/v", "1")
	t.Logf("%+v", c.Stats())
}
