package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/httpcache"
)

// hanging returns a handler whose first run ends after an hour.
func hanging() http.HandlerFunc {
	var runs atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		n := runs.Add(1)
		w.Header().Set("Cache-Control", "max-age=7200")
		if n == 1 {
			time.Sleep(time.Hour)
		}
		fmt.Fprintf(w, "answer %d", n)
	}
}

func TestNobodyWaitsForAHungRunLongerThanTheTimeout(t *testing.T) {
	for _, tt := range []struct{ given, want time.Duration }{
		{0, 30 * time.Second}, {2 * time.Second, 2 * time.Second}, {-1, time.Hour},
	} {
		for _, face := range []string{"handler", "transport"} {
			synctest.Test(t, func(t *testing.T) {
				c := httpcache.New(&httpcache.Options{WaitTimeout: tt.given})
				get := clientOf(c, face, hanging())
				go get()
				synctest.Wait()
				began := time.Now()
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						get()
						if took := time.Since(began); took != tt.want {
							t.Errorf("%s, WaitTimeout %v: waited %v, want %v", face, tt.given, took, tt.want)
						}
					})
				}
				wg.Wait()
				late := time.Now()
				get()
				if took := time.Since(late); took != 0 {
					t.Errorf("%s, WaitTimeout %v: who comes later waits %v for a run that others have waited for in vain", face, tt.given, took)
				}
				time.Sleep(time.Hour) // the run ends, and is stored
				if got := get(); got != "answer 1" {
					t.Errorf("%s, WaitTimeout %v: got %q in the end", face, tt.given, got)
				}
			})
		}
	}
}

// clientOf returns what gets a page through one of a cache's faces.
func clientOf(c *httpcache.Cache, face string, h http.HandlerFunc) func() string {
	if face == "handler" {
		s := &site{cache: c, Handler: c.Handler(h)}
		return func() string {
			b, _ := io.ReadAll(s.get("/").Body)
			return string(b)
		}
	}
	rt := c.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		s := &site{Handler: h}
		res := s.send(r)
		res.Request = r
		return res, nil
	}))
	return func() string {
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		res, err := rt.RoundTrip(req)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return string(b)
	}
}

func TestARunThatOthersHaveWaitedForInVainIsStoredWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, hanging())
		go s.get("/")
		synctest.Wait()
		if got := body(t, s.get("/")); got != "answer 2" {
			t.Errorf("got %q", got)
		}
		time.Sleep(time.Hour)
		if got := body(t, s.get("/")); got != "answer 1" {
			t.Errorf("got %q, want what the slow run has brought", got)
		}
		s.wantRuns(t, 2)
	})
}

// A handler that heeds no context goes on when its client has left. What it does then
// keeps nobody from sharing again.
func TestAHungRunWithoutAClientIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, hanging())
		first := request("GET", "/")
		ctx, leave := context.WithCancel(t.Context())
		go s.send(first.WithContext(ctx))
		synctest.Wait()
		s.get("/") // in vain
		leave()
		synctest.Wait()
		for range 3 {
			s.get("/")
		}
		s.wantRuns(t, 3)
		time.Sleep(time.Hour)
	})
}

func TestNobodyWaitsForAnotherProcessLongerThanTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, runs := newFleet(2, &httpcache.Options{WaitTimeout: 3 * time.Second}, hanging())
		go fleet[0].get("/")
		synctest.Wait()
		began := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				fleet[1].get("/")
				if took := time.Since(began); took != 3*time.Second {
					t.Errorf("waited %v, want 3s", took)
				}
			})
		}
		wg.Wait()
		if n := runs.Load(); n != 4 {
			t.Errorf("the handler ran %d times, want 4", n)
		}
		time.Sleep(time.Hour)
	})
}
