package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// logKey is where the caches of newLogFleet keep their log.
const logKey = "::notes:pages:"

var errCut = errors.New("the wire is cut")

// newLogFleet returns processes that share a store, with pages that are fresh for an
// hour and trusted for as long. The wires are how each reaches the store.
func newLogFleet(n int) (fleet []*site, wires []*faultstore.Store, shared store.Store, runs *atomic.Int64) {
	shared, runs = memstore.New(nil), new(atomic.Int64)
	for range n {
		w := faultstore.New(shared)
		s := &site{cache: httpcache.New(nil, memo.Store(w.Bare()), memo.Name("pages"), memo.LocalTTL(time.Hour))}
		s.Handler = s.cache.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
			fmt.Fprint(w, runs.Add(1))
		}))
		fleet, wires = append(fleet, s), append(wires, w)
	}
	return fleet, wires, shared, runs
}

// Nobody can tell what a log said that is gone, or that something else has taken the
// place of: what was stored before is made again.
func TestALogThatIsLostMakesEverythingFromBeforeTooOld(t *testing.T) {
	ctx := context.Background()
	for name, lose := range map[string]func(store.Store) error{
		"dropped":         func(s store.Store) error { return s.Delete(ctx, logKey) },
		"a short garbage": func(s store.Store) error { return s.Set(ctx, logKey, []byte("x"), 0) },
		"a long garbage":  func(s store.Store) error { return s.Set(ctx, logKey, make([]byte, 100), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fleet, _, shared, _ := newLogFleet(2)
				for _, s := range fleet {
					s.get("/a")
				}
				if err := lose(shared); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				for range 2 {
					for i, s := range fleet {
						if got := body(t, s.get("/a")); got != "2" {
							t.Errorf("process %d: got %s, want 2", i, got)
						}
					}
				}
				if err := fleet[0].cache.Purge(t.Context(), "/*"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if got := body(t, fleet[1].get("/a")); got != "3" {
					t.Errorf("after a purge by the new log: got %s, want 3", got)
				}
			})
		})
	}
}

// A purge that does not reach the store says so, counts in its own process at once,
// and in the others when the store can be reached again.
func TestAPatternThatDoesNotReachTheStoreIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, wires, _, _ := newLogFleet(2)
		for _, s := range fleet {
			s.get("/a")
		}
		mend := wires[0].Before(faultstore.Get|faultstore.Add|faultstore.Swap, faultstore.Fail(errCut))
		if err := fleet[0].cache.Purge(t.Context(), "/*"); !errors.Is(err, errCut) {
			t.Errorf("Purge = %v, want %v", err, errCut)
		}
		if got := body(t, fleet[0].get("/a")); got == "1" {
			t.Error("the process that has purged answers with what it purged")
		}
		time.Sleep(2 * time.Second)
		mend()
		time.Sleep(5 * time.Second) // the breaker closes, and the purge is repeated
		if got := body(t, fleet[1].get("/a")); got == "1" {
			t.Error("the other process was never told")
		}
	})
}

// While the log cannot be read, nobody can tell what others have purged: what is older
// than a second is made again, and nobody is made to wait long.
func TestWhileTheLogCannotBeReadNothingOldIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, wires, _, _ := newLogFleet(2)
		for _, s := range fleet {
			s.get("/a")
		}
		wires[1].Before(faultstore.Get|faultstore.Add|faultstore.Swap, faultstore.Fail(errCut))
		if err := fleet[0].cache.Purge(t.Context(), "/*"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := body(t, fleet[1].get("/a")); got == "1" {
			t.Error("a page that was purged is used by a process that cannot read the log")
		}
	})
}

// Where more is purged than is remembered, too much is made again, and nothing old is
// returned.
func TestPatternsThatAreForgottenCountForEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, _, _, _ := newLogFleet(2)
		for _, s := range fleet {
			s.get("/a")
		}
		if err := fleet[0].cache.Purge(t.Context(), "/a"+"*"); err != nil {
			t.Fatal(err)
		}
		for i := range 1100 { // more than the log holds
			if err := fleet[0].cache.Purge(t.Context(), fmt.Sprintf("/b/%d/*", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		for i, s := range fleet {
			if got := body(t, s.get("/a")); got != "2" {
				t.Errorf("process %d: got %s, want 2", i, got)
			}
		}
	})
	s := newSite(nil, saying("Cache-Control: max-age=3600"))
	s.get("/a")
	s.cache.Purge(t.Context(), "/a*")
	for i := range 5000 { // more than a process remembers
		s.cache.Purge(t.Context(), fmt.Sprintf("/b/%d/*", i))
	}
	s.get("/a")
	s.wantRuns(t, 2)
}

// A cache in use reads the log in the background: no hit waits for the store.
func TestHitsDoNotWaitForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, wires, _, _ := newLogFleet(1)
		var read faultstore.Log
		wires[0].Before(faultstore.Get, faultstore.Keys(logKey, read.Note))
		fleet[0].get("/a")
		slow := make(chan struct{}) // the log is read when something comes from it
		wires[0].Before(faultstore.Get, faultstore.Keys(logKey, func(context.Context, faultstore.Call) error { <-slow; return nil }))
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			began := time.Now()
			fleet[0].get("/a")
			if time.Since(began) > 0 {
				t.Error("a hit has waited for the log")
			}
			synctest.Wait()
			select {
			case slow <- struct{}{}:
				synctest.Wait()
			default:
			}
		}
		if n := len(read.Keys()); n < 5 || n > 12 {
			t.Errorf("the log was read %d times in 5 s, want about 10", n)
		}
	})
}
