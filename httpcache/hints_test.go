package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
)

func TestAHandlerSaysHowLongItsResponseIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			memo.SetTTL(r.Context(), time.Minute)
			saying("Cache-Control: max-age=1")(w, r)
		})
		s.get("/")
		time.Sleep(59 * time.Second)
		if got := s.get("/").Header.Get("Cache-Control"); got != "max-age=1" {
			t.Errorf("clients are told %q", got)
		}
		s.wantRuns(t, 1)
		time.Sleep(time.Second)
		s.get("/")
		s.wantRuns(t, 2)
	})
}

func TestALifetimeForThisCacheIsStrongerThanNoCacheForOthers(t *testing.T) {
	for control, runs := range map[string]int64{"no-cache": 1, "no-store": 2, "private": 2} {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			memo.SetTTL(r.Context(), time.Minute)
			saying("Cache-Control: "+control)(w, r)
		})
		s.get("/")
		s.get("/")
		s.wantRuns(t, runs)
	}
}

func TestAHandlerKeepsItsResponseOutOfTheCache(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if late {
				io.WriteString(w, "some of it")
			}
			memo.NoStore(r.Context())
		})
		s.get("/")
		s.get("/")
		s.wantRuns(t, 2)
	}
}

func TestTagsPurgeResponses(t *testing.T) {
	ctx := context.Background()
	for _, vary := range []string{"", "A"} {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Vary", vary)
			switch r.URL.Path {
			case "/tag":
				w.Header().Set("Cache-Tag", "a, b")
			case "/key":
				w.Header().Set("Surrogate-Key", "a b")
			case "/add":
				memo.AddTags(r.Context(), "b")
			}
			w.WriteHeader(http.StatusOK)
		})
		paths := []string{"/tag", "/key", "/add", "/none"}
		all := func() {
			for _, path := range paths {
				for _, name := range []string{"Cache-Tag", "Surrogate-Key"} {
					if res := s.get(path); res.Header.Get(name) != "" {
						t.Errorf("clients see %s", name)
					}
				}
			}
		}
		all()
		s.wantRuns(t, 4)
		if err := s.cache.PurgeTags(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		all()
		s.wantRuns(t, 7)
		s.cache.PurgeTags(ctx, "other")
		all()
		s.wantRuns(t, 7)
	}
}

func TestClientsSeeTagsOnlyWhenTheOptionsSaySo(t *testing.T) {
	s := newSite(&httpcache.Options{KeepTags: true}, saying("Cache-Control: max-age=60", "Cache-Tag: a"))
	for range 2 {
		if got := s.get("/").Header.Get("Cache-Tag"); got != "a" {
			t.Errorf("got %q", got)
		}
	}
}

func TestWhatAHandlerIsMadeOfHandsItsTagsUp(t *testing.T) {
	users := memo.NewGroup("users")
	var version atomic.Int64
	user := memo.Wrap(func(ctx context.Context, id int) (int64, error) {
		memo.AddTags(ctx, fmt.Sprint("user:", id))
		return version.Load(), nil
	}, users)
	for _, vary := range []string{"", "A"} {
		s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
			v, err := user(r.Context(), 42)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Vary", vary)
			fmt.Fprint(w, v)
		})
		s.get("/")
		want := fmt.Sprint(version.Add(1))
		users.InvalidateTags(context.Background(), "user:42")
		for range 2 {
			if got := body(t, s.get("/")); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		s.wantRuns(t, 2)
	}
}

// A handler that answers "not modified" need not say again by what its response is
// found.
func TestTagsSurviveAValidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := memo.NewGroup("users")
		user := memo.Wrap(func(ctx context.Context, id int) (int, error) {
			memo.AddTags(ctx, "function")
			return id, nil
		}, users)
		for _, tag := range []string{"field", "added", "function"} {
			for _, vary := range []string{"", "A"} {
				for _, by := range []string{"GET", "HEAD"} {
					s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Cache-Control", "max-age=60")
						w.Header().Set("Etag", `"a"`)
						if r.Header.Get("If-None-Match") != "" {
							w.WriteHeader(http.StatusNotModified)
							return
						}
						if r.Method == "HEAD" {
							w.WriteHeader(http.StatusOK)
							return
						}
						w.Header().Set("Vary", vary)
						w.Header().Set("Cache-Tag", "field")
						memo.AddTags(r.Context(), "added")
						user(r.Context(), 42)
						w.WriteHeader(http.StatusOK)
					})
					s.get("/")
					time.Sleep(2 * time.Minute)
					s.do(by, "/")
					s.get("/")
					s.wantRuns(t, 2)
					s.cache.PurgeTags(context.Background(), tag)
					users.InvalidateTags(context.Background(), tag)
					if got := s.get("/").Header.Get("Cache-Status"); !strings.Contains(got, "miss") {
						t.Errorf("%s, Vary %q, by %s: after the purge: %s", tag, vary, by, got)
					}
					s.wantRuns(t, 3)
				}
			}
		}
	})
}

func TestACacheBelongsToItsGroup(t *testing.T) {
	ctx := context.Background()
	g := memo.NewGroup("site")
	c := httpcache.New(nil, memo.Options{g})
	s := &site{cache: c}
	s.Handler = c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.runs.Add(1)
		saying("Cache-Control: max-age=60", "Cache-Tag: a")(w, r)
	}))
	s.get("/")
	g.InvalidateTags(ctx, "a")
	s.get("/")
	s.wantRuns(t, 2)
	g.Clear(ctx)
	s.get("/")
	s.wantRuns(t, 3)
}
