package httpcache_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// What a purge meets, of these.
var spread = []string{
	"a.example /users/1", "a.example /users/1?x=1", "a.example /users/12", "a.example /users/", "a.example /users", "a.example /Users/1",
	"b.example:8080 /users/1", "b.example:8080 /users/2/photos", "a.example /user%73/%31?", "a.example /x/../users/3", "a.example /",
}

func TestAPurgeByPatternMeetsWhatItSays(t *testing.T) {
	for _, tt := range []struct {
		purge string
		want  []int // of spread
	}{
		{"/users/1", []int{0, 6, 8}},
		{"/users/%31", []int{0, 6, 8}},
		{"/users/1?", []int{0, 6, 8}},
		{"/users/1?x=1", []int{1}},
		{"/users/*", []int{0, 1, 2, 3, 6, 7, 8, 9}},
		{"/user%73/*", []int{0, 1, 2, 3, 6, 7, 8, 9}},
		{"/users*", []int{0, 1, 2, 3, 4, 6, 7, 8, 9}},
		{"/users/1*", []int{0, 1, 2, 6, 8}},
		{"/users/1?*", []int{1}},
		{"/*", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"https://a.example/users/*", []int{0, 1, 2, 3, 8, 9}},
		{"http://A.example:443/users/1*", []int{0, 1, 2, 8}},
		{"//b.example:8080/*", []int{6, 7}},
		{"https://c.example/*", nil},
	} {
		for _, isShared := range []bool{false, true} {
			for _, vary := range []string{"", "Vary: A"} {
				var opts []memo.Option
				if isShared {
					opts = []memo.Option{memo.Store(memstore.New(nil)), memo.Name("pages")}
				}
				s := &site{cache: httpcache.New(nil, opts...)}
				s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s.runs.Add(1)
					saying("Cache-Control: max-age=60", vary)(w, r)
				}))
				for range 3 { // until it is known what they vary by
					for _, spelling := range spread {
						s.send(received(t, "GET", spelling, false))
					}
				}
				if err := s.cache.Purge(context.Background(), tt.purge); err != nil {
					t.Fatal(err)
				}
				want := tt.want
				for range 2 {
					var got []int
					for i, spelling := range spread {
						before := s.runs.Load()
						if s.send(received(t, "GET", spelling, false)); s.runs.Load() != before {
							got = append(got, i)
						}
					}
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("%s (store %v, %s): met %v, want %v", tt.purge, isShared, vary, got, want)
					}
					want = nil // they are stored again
				}
			}
		}
	}
}

func TestWhatIsNoURLAndNoPatternIsAnError(t *testing.T) {
	c := httpcache.New(nil)
	for _, s := range []string{"", "*", "users/1", "https://a.example*", "https://*", ":", "mailto:a@example.com", "/a%2*"} {
		if err := c.Purge(context.Background(), s); err == nil {
			t.Errorf("Purge(%q) drops nothing, and says nothing", s)
		}
	}
}

// A request that begins after the purge has its own run, and the next one finds that.
func TestAPatternOvertakesARunUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, vary := range []string{"", "A"} {
			var version atomic.Int64
			s := newSite(nil, func(w http.ResponseWriter, r *http.Request) {
				seen := version.Load()
				time.Sleep(time.Second)
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set("Vary", vary)
				fmt.Fprint(w, seen)
			})
			var wg sync.WaitGroup
			for range 3 { // who was there before shares the run
				wg.Go(func() {
					if got := body(t, s.get("/users/1")); got != "0" && vary == "" {
						t.Errorf("who had begun before the purge got %s", got)
					}
				})
			}
			time.Sleep(time.Second / 2)
			version.Add(1)
			if err := s.cache.Purge(t.Context(), "/users/*"); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				wg.Go(func() {
					if got := body(t, s.get("/users/1")); got != "1" {
						t.Errorf("after the purge: got %s, want 1", got)
					}
				})
			}
			wg.Wait()
			if got := body(t, s.get("/users/1")); got != "1" {
				t.Errorf("when all had ended: got %s, want 1", got)
			}
			if vary == "" {
				s.wantRuns(t, 2)
			}
		}
	})
}

func TestAPatternReachesEveryProcessWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New(nil)
		var runs atomic.Int64
		var fleet []*site
		for range 3 {
			s := &site{cache: httpcache.New(nil, memo.Store(faultstore.New(shared).Bare()), memo.Name("pages"), memo.LocalTTL(time.Hour))}
			s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=3600")
				fmt.Fprint(w, runs.Add(1))
			}))
			fleet = append(fleet, s)
		}
		all := func(want string) {
			t.Helper()
			for i, s := range fleet {
				if got := body(t, s.get("/users/1")); got != want {
					t.Errorf("process %d: got %s, want %s", i, got, want)
				}
			}
		}
		all("1")
		for i, s := range fleet {
			if err := s.cache.Purge(t.Context(), "/users/*"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			all(fmt.Sprint(i + 2))
			all(fmt.Sprint(i + 2))
			if err := s.cache.Purge(t.Context(), "/others/*"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			all(fmt.Sprint(i + 2))
		}
	})
}
