package httpcache_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// httpExpiries are the ways to expire http://example.com/a/b, which has the tag t.
var httpExpiries = map[string]func(context.Context, *httpcache.Cache) error{
	"URL":     func(ctx context.Context, c *httpcache.Cache) error { return c.Expire(ctx, "https://example.com/a/b") },
	"path":    func(ctx context.Context, c *httpcache.Cache) error { return c.Expire(ctx, "/a/b") },
	"pattern": func(ctx context.Context, c *httpcache.Cache) error { return c.Expire(ctx, "/a/*") },
	"tag":     func(ctx context.Context, c *httpcache.Cache) error { return c.ExpireTags(ctx, "s", "t") },
}

// eachHTTPExpiry runs a test in a bubble for each of them, with a store and without, of what
// varies and of what does not. The site's responses have these fields.
func eachHTTPExpiry(t *testing.T, fields []string, test func(t *testing.T, s *site, expire func())) {
	for name, expire := range httpExpiries {
		for _, shared := range []string{"process", "store"} {
			for _, vary := range []string{"", "Vary: Accept"} {
				t.Run(strings.Join([]string{name, shared, vary}, "/"), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var opts []memo.Option
						if shared == "store" {
							opts = []memo.Option{memo.Store(memstore.New(nil)), memo.Name("pages"), memo.NoLocal()}
						}
						s := &site{cache: httpcache.New(nil, opts...)}
						all := append([]string{"Cache-Tag: t"}, fields...)
						if vary != "" {
							all = append(all, vary)
						}
						answer := saying(all...)
						s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							s.runs.Add(1)
							answer(w, r)
						}))
						test(t, s, func() {
							t.Helper()
							if err := expire(t.Context(), s.cache); err != nil {
								t.Fatal(err)
							}
						})
					})
				})
			}
		}
	}
}

// want gets a page and checks what it says.
func (s *site) want(t *testing.T, target, body string) {
	t.Helper()
	got, err := io.ReadAll(s.get(target).Body)
	if err != nil || string(got) != body {
		t.Errorf("%s says %q, want %q", target, got, body)
	}
}

func TestExpiredResponseIsServedWhileItIsRefreshed(t *testing.T) {
	fields := []string{"Cache-Control: max-age=3600, stale-while-revalidate=60"}
	eachHTTPExpiry(t, fields, func(t *testing.T, s *site, expire func()) {
		s.want(t, "/a/b", "answer 1")
		s.want(t, "/a/b", "answer 1")
		time.Sleep(time.Minute)
		expire()
		s.want(t, "/a/b", "answer 1")
		synctest.Wait()
		s.want(t, "/a/b", "answer 2")
		s.wantRuns(t, 2)
	})
}

func TestExpiredResponseIsServedNoLongerThanWhileItMayBeStale(t *testing.T) {
	fields := []string{"Cache-Control: max-age=3600, stale-while-revalidate=60"}
	eachHTTPExpiry(t, fields, func(t *testing.T, s *site, expire func()) {
		s.want(t, "/a/b", "answer 1")
		expire()
		time.Sleep(61 * time.Second)
		s.want(t, "/a/b", "answer 2")
	})
}

func TestExpiryWithoutAStaleWindowAsksTheHandler(t *testing.T) {
	eachHTTPExpiry(t, []string{"Cache-Control: max-age=3600"}, func(t *testing.T, s *site, expire func()) {
		s.want(t, "/a/b", "answer 1")
		expire()
		s.want(t, "/a/b", "answer 2")
		s.want(t, "/a/b", "answer 2")
		s.wantRuns(t, 2)
	})
}

func TestExpiryMeetsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, saying("Cache-Control: max-age=3600"))
		s.want(t, "/a/b?c", "answer 1")
		s.want(t, "/ab", "answer 2")
		for name, expire := range httpExpiries {
			if name == "pattern" {
				continue
			}
			if err := expire(t.Context(), s.cache); err != nil {
				t.Fatal(err)
			}
		}
		s.want(t, "/a/b?c", "answer 1")
		s.want(t, "/ab", "answer 2")
	})
}

func TestResponseOfAHandlerFromBeforeAnExpiryIsStale(t *testing.T) {
	for name, expire := range httpExpiries {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				goOn := make(chan bool)
				answer := saying("Cache-Control: max-age=3600", "Cache-Tag: t")
				var runs atomic.Int64
				s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
					if runs.Add(1) == 1 {
						<-goOn
					}
					answer(w, r)
				})
				go s.get("/a/b")
				synctest.Wait()
				if err := expire(t.Context(), s.cache); err != nil {
					t.Fatal(err)
				}
				s.want(t, "/a/b", "answer 1") // it does not wait for the one before
				close(goOn)
				synctest.Wait()
				s.want(t, "/a/b", "answer 1")
				s.wantRuns(t, 2)
			})
		})
	}
}

func TestExpiredResponseIsValidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var validated atomic.Int64
		answer := saying("Cache-Control: max-age=3600", `Etag: "1"`)
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `"1"` {
				validated.Add(1)
				w.Header().Set("Etag", `"1"`)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			answer(w, r)
		})
		s.want(t, "/a/b", "answer 1")
		if err := s.cache.Expire(t.Context(), "/a/b"); err != nil {
			t.Fatal(err)
		}
		s.want(t, "/a/b", "answer 1")
		s.want(t, "/a/b", "answer 1")
		if validated.Load() != 1 {
			t.Errorf("the handler was asked %d times whether it still holds, want once", validated.Load())
		}
	})
}

func TestExpiryReachesOtherCachesOfTheStore(t *testing.T) {
	for name, expire := range httpExpiries {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := memstore.New(nil)
				caches := make([]*site, 2)
				for i := range caches {
					s := &site{cache: httpcache.New(nil, memo.Store(faultstore.New(shared).Bare()), memo.Name("pages"))}
					answer := saying("Cache-Control: max-age=3600", "Cache-Tag: t")
					s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						s.runs.Add(1)
						answer(w, r)
					}))
					caches[i] = s
				}
				for _, s := range caches {
					s.want(t, "/a/b", "answer 1")
				}
				caches[1].wantRuns(t, 0)
				if err := expire(t.Context(), caches[0].cache); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				caches[1].get("/a/b")
				caches[1].wantRuns(t, 1)
			})
		})
	}
}

func TestExpireRefusesWhatIsNoURL(t *testing.T) {
	err := httpcache.New(nil).Expire(t.Context(), "users/1")
	if err == nil || !strings.Contains(err.Error(), "Expire needs absolute URLs") {
		t.Errorf("the error is %v", err)
	}
}
