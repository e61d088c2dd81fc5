package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// newFleet returns sites that share nothing but a store. They ask it every time, and wait
// for it however slow the machine is.
func newFleet(n int, o *httpcache.Options, serve http.HandlerFunc) (fleet []*site, runs *atomic.Int64) {
	shared := memstore.New(nil)
	runs = new(atomic.Int64)
	for range n {
		s := &site{cache: httpcache.New(o, memo.Store(faultstore.New(shared).Bare()), memo.Name("pages"), memo.LocalTTL(0), memo.StoreTimeout(time.Minute))}
		s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			runs.Add(1)
			serve(w, r)
		}))
		fleet = append(fleet, s)
	}
	return fleet, runs
}

// A part, or what a POST says of its own URL, is the result of no execution that a
// purge in another process could overtake.
func TestWhatAPurgeOfAnotherProcessHasOvertakenIsNotStored(t *testing.T) {
	ctx := context.Background()
	for method, fields := range map[string][]string{"GET": {"Range: bytes=0-0"}, "POST": nil} {
		for how, purge := range map[string]func(*httpcache.Cache) error{
			"url": func(c *httpcache.Cache) error { return c.Purge(ctx, "http://example.com/") },
			"tag": func(c *httpcache.Cache) error { return c.PurgeTags(ctx, "t") },
			"all": func(c *httpcache.Cache) error { return c.Clear(ctx) },
		} {
			began, purged := make(chan struct{}), make(chan struct{})
			var runs atomic.Int64
			fleet, _ := newFleet(2, nil, func(w http.ResponseWriter, r *http.Request) {
				run, h := runs.Add(1), w.Header()
				h["Cache-Control"], h["Cache-Tag"], h["Content-Location"] = []string{"max-age=60"}, []string{"t"}, []string{"/"}
				if r.Header.Get("Range") != "" {
					h.Set("Content-Range", "bytes 0-0/5")
					w.WriteHeader(http.StatusPartialContent)
				}
				w.(http.Flusher).Flush()
				if run == 1 {
					close(began)
					<-purged
				}
				fmt.Fprint(w, run)
			})
			var wg sync.WaitGroup
			wg.Go(func() { fleet[0].do(method, "/", fields...) })
			<-began
			if err := purge(fleet[1].cache); err != nil {
				t.Fatal(err)
			}
			close(purged)
			wg.Wait()
			for i, s := range fleet {
				if got := body(t, s.get("/", fields...)); got == "1" {
					t.Errorf("%s %v, purge by %s: process %d answers with what was made before", method, fields, how, i)
				}
			}
		}
	}
}

func TestAFleetSharesItsResponses(t *testing.T) {
	for _, vary := range []string{"", "A"} {
		fleet, runs := newFleet(3, nil, saying("Cache-Control: max-age=60", "Vary: "+vary, "X-A: 1"))
		for i, s := range fleet {
			res := s.get("/", "A: 1")
			if b := body(t, res); b != "answer 1" || res.Header.Get("X-A") != "1" || res.Header.Get("Etag") == "" {
				t.Errorf("Vary %q, process %d: got %q, %v", vary, i, b, res.Header)
			}
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("Vary %q: the handler ran %d times, want 1", vary, n)
		}
	}
}

func TestAPurgeReachesTheFleet(t *testing.T) {
	ctx := context.Background()
	purges := map[string]func(*site) error{
		"url":  func(s *site) error { return s.cache.Purge(ctx, "http://example.com/") },
		"post": func(s *site) error { s.do("POST", "/"); return nil },
		"tag":  func(s *site) error { return s.cache.PurgeTags(ctx, "t") },
		"all":  func(s *site) error { return s.cache.Clear(ctx) },
	}
	for name, purge := range purges {
		for _, vary := range []string{"", "A"} {
			t.Run(name+" "+vary, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fleet, _ := newFleet(2, nil, func(w http.ResponseWriter, r *http.Request) {
						memo.AddTags(r.Context(), "t")
						saying("Cache-Control: max-age=60", "Vary: "+vary)(w, r)
					})
					for _, s := range fleet {
						s.get("/")
					}
					if err := purge(fleet[0]); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second) // in which tags and Clear are seen by who is not notified
					if got := fleet[1].get("/").Header.Get("Cache-Status"); !strings.Contains(got, "miss") {
						t.Errorf("the other process goes on with what was dropped: %s", got)
					}
				})
			})
		}
	}
}

func TestAFleetRunsTheHandlerOnceForAColdPage(t *testing.T) { synctest.Test(t, coldPageInAFleet) }

func coldPageInAFleet(t *testing.T) {
	gate := make(chan struct{})
	fleet, runs := newFleet(4, nil, func(w http.ResponseWriter, r *http.Request) {
		<-gate
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write(page("/", 10_000))
	})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if b := body(t, fleet[i%len(fleet)].get("/")); !isPage("/", []byte(b)) {
				t.Errorf("got %d bytes", len(b))
			}
		})
	}
	time.AfterFunc(50*time.Millisecond, func() { close(gate) })
	wg.Wait()
	if n := runs.Load(); n != 1 {
		t.Errorf("the handler ran %d times, want 1", n)
	}
}

// A request with a Cookie or Authorization waited until another process had the
// response, which was not for it.
func TestPersonalRequestsDoNotWaitForAnotherProcess(t *testing.T) {
	requests := map[string][2][]string{ // the first process's, and the second's
		"cookies":                 {{"Cookie: a"}, {"Cookie: b"}},
		"authorizations":          {{"Authorization: a"}, {"Authorization: b"}},
		"a cookie behind none":    {nil, {"Cookie: a"}},
		"a cookie and a response": {{"Cookie: a", "Share: 1"}, {"Cookie: b", "Share: 1"}},
	}
	for name, fields := range requests {
		for _, collapse := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", collapse), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fleet, runs := newFleet(2, &httpcache.Options{CollapsePersonal: collapse}, func(w http.ResponseWriter, r *http.Request) {
						time.Sleep(time.Second)
						w.Header().Set("Cache-Control", "private")
						if r.Header.Get("Share") != "" {
							w.Header().Set("Cache-Control", "public, max-age=60")
						}
						fmt.Fprint(w, r.Header)
					})
					began := time.Now()
					var wg sync.WaitGroup
					for i, s := range fleet {
						wg.Go(func() {
							r := request("GET", "/", fields[i]...)
							if got, want := body(t, s.send(r)), fmt.Sprint(r.Header); got != want && r.Header.Get("Share") == "" {
								t.Errorf("process %d got %q, want %q", i, got, want)
							}
						})
						synctest.Wait()
						if got, want := runs.Load(), int64(i+1); got != want && !collapse {
							t.Errorf("the handler runs %d times, want %d", got, want)
						}
					}
					wg.Wait()
					if took := time.Since(began); took != time.Second && !collapse {
						t.Errorf("the second process has waited: both took %v", took)
					}
				})
			})
		}
	}
}

func TestAStoreThatIsDownLeavesTheHandler(t *testing.T) {
	s := &site{cache: httpcache.New(nil, memo.Store(down()), memo.Name("pages"))}
	s.Handler = s.cache.Handler(saying("Cache-Control: max-age=60"))
	for range 2 {
		if b := body(t, s.get("/")); b != "answer 1" {
			t.Errorf("got %q", b)
		}
	}
	if err := s.cache.Purge(context.Background(), "http://example.com/"); err == nil {
		t.Error("a purge that has not reached the store says nothing")
	}
}

// down returns a store that is.
func down() store.Store {
	return faultstore.New(memstore.New(nil), faultstore.Fail(errors.New("the store is down"))).Bare()
}
