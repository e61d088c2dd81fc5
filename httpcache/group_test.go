package httpcache_test

import (
	"net/http"
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A default group takes in every function that has no other, and so the pages of a
// Cache without one, whether that was made before or after.
func TestTheDefaultGroupTakesInWhatHasNoOther(t *testing.T) {
	defer memo.SetDefault()
	ctx := t.Context()
	for _, isShared := range []bool{false, true} {
		for when, before := range map[string]bool{"a Cache made before the default": true, "one made after it": false} {
			for how, drop := range map[string]func(g *memo.Group, c *httpcache.Cache) error{
				"tags of the group":   func(g *memo.Group, _ *httpcache.Cache) error { return g.InvalidateTags(ctx, "t") },
				"the group's Clear":   func(g *memo.Group, _ *httpcache.Cache) error { return g.Clear(ctx) },
				"tags of the Cache":   func(_ *memo.Group, c *httpcache.Cache) error { return c.PurgeTags(ctx, "t") },
				"nothing, to compare": func(*memo.Group, *httpcache.Cache) error { return nil },
			} {
				memo.SetDefault()
				var opts []memo.Option
				if isShared {
					opts = []memo.Option{memo.Store(memstore.New(nil)), memo.Name("pages")}
				}
				g := memo.NewGroup("shop")
				var s *site
				made := func() {
					s = &site{cache: httpcache.New(nil, opts...)}
					s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						s.runs.Add(1)
						memo.AddTags(r.Context(), "t")
						saying("Cache-Control: max-age=60")(w, r)
					}))
				}
				if before {
					made()
				}
				memo.SetDefault(g)
				if !before {
					made()
				}
				if err := s.cache.PurgeTags(ctx, "other"); err != nil { // before any request
					t.Fatal(err)
				}
				s.get("/")
				s.get("/")
				s.wantRuns(t, 1)
				if err := drop(g, s.cache); err != nil {
					t.Fatal(err)
				}
				s.get("/")
				if want := int64(2); how == "nothing, to compare" {
					s.wantRuns(t, 1)
				} else if got := s.runs.Load(); got != want {
					t.Errorf("%s, store %v, by %s: %d runs, want %d", when, isShared, how, got, want)
				}
				if g.Stats().Executions == 0 {
					t.Errorf("%s: the group's Stats know nothing of the pages", when)
				}
			}
		}
	}
}

// A Cache in a group of its own stays there.
func TestACacheInAGroupIsNotTakenInByTheDefault(t *testing.T) {
	defer memo.SetDefault()
	def, own := memo.NewGroup("default"), memo.NewGroup("own")
	memo.SetDefault(def)
	s := &site{cache: httpcache.New(nil, own)}
	s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.runs.Add(1)
		memo.AddTags(r.Context(), "t")
		saying("Cache-Control: max-age=60")(w, r)
	}))
	s.get("/")
	def.InvalidateTags(t.Context(), "t")
	s.get("/")
	s.wantRuns(t, 1)
	own.InvalidateTags(t.Context(), "t")
	s.get("/")
	s.wantRuns(t, 2)
}

// The pages of every Cache are reached, by the name that their group goes by in stores: a
// Cache without one joins the default group, be it with its first request.
func TestInvalidateTagsReachesPages(t *testing.T) {
	defer memo.SetDefault()
	for _, isDefault := range []bool{false, true} {
		shared := memstore.New(nil)
		build := func() *site {
			memo.SetDefault()
			if isDefault {
				memo.SetDefault(memo.NewGroup("shop"))
			}
			s := &site{cache: httpcache.New(nil, memo.Store(faultstore.New(shared)), memo.Name("pages"))}
			s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s.runs.Add(1)
				saying("Cache-Control: max-age=60", "Cache-Tag: every page")(w, r)
			}))
			return s
		}
		build().get("/") // another process's request
		s := build()
		drop := func() {
			if err := memo.InvalidateTags(t.Context(), "every page"); err != nil {
				t.Log(err) // the store of another test's group
			}
		}
		drop() // before any request here
		for want := int64(1); want < 3; want++ {
			s.get("/")
			s.get("/")
			s.wantRuns(t, want)
			drop()
		}
	}
}
