package function_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

var errDown = errors.New("down")

// wantLeft checks that Drain waits, and says what for.
func wantLeft(t *testing.T, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := memo.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), what) {
		t.Errorf("Drain: %v, want %q", err, what)
	}
}

func wantDrained(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := memo.Drain(ctx); err != nil {
		t.Errorf("Drain: %v", err)
	}
}

func TestDrainWaitsForExecutionsThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan bool)
		first := true
		f := memo.New(func(context.Context, int) (int, error) {
			if first {
				first = false
				return 1, nil
			}
			<-goOn
			return 2, nil
		}, memo.TTL(time.Second), memo.StaleWhileRevalidate(time.Hour))
		f.Call(t.Context(), 1)
		wantDrained(t)
		time.Sleep(2 * time.Second)
		f.Call(t.Context(), 1) // refreshes in the background
		synctest.Wait()
		wantLeft(t, " 1 executions")
		close(goOn)
		wantDrained(t)
		if got, _ := f.Call(t.Context(), 1); got != 2 {
			t.Errorf("got %d", got)
		}
	})
}

func TestDrainWaitsForResultsOnTheirWayToAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faultstore.New(memstore.New(nil))
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Name("f"), memo.Store(s), memo.StoreTimeout(10*time.Second))
		f.Call(t.Context(), 1)
		end := s.Before(faultstore.Swap, faultstore.Delay(3*time.Second))
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		f.Call(ctx, 2)
		wantLeft(t, " 1 results on their way to a store")
		wantDrained(t)
		end()
		if _, err := memo.New(f.Call, memo.Name("f"), memo.SharedName(), memo.Store(faultstore.New(s))).Peek(t.Context(), 2); err != nil {
			t.Errorf("the next process has %v", err)
		}
	})
}

func TestDrainWaitsForPendingInvalidations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faultstore.New(memstore.New(nil))
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Name("f"), memo.Store(s))
		f.Call(t.Context(), 1)
		mend := s.Down(errDown)
		if f.Invalidate(t.Context(), 1) == nil {
			t.Fatal("Invalidate has not failed")
		}
		wantLeft(t, " 1 invalidations")
		mend()
		wantDrained(t)
	})
}

func TestDrainWaitsForHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faultstore.New(memstore.New(nil))
		goOn := make(chan bool)
		cache := httpcache.New(nil, memo.Store(s), memo.Name("pages"))
		pages := cache.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-goOn }))
		go pages.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		wantLeft(t, " 1 executions")
		close(goOn)
		wantDrained(t)
		mend := s.Down(errDown)
		if cache.Purge(t.Context(), "/users/*") == nil {
			t.Fatal("Purge has not failed")
		}
		wantLeft(t, " 1 invalidations")
		mend()
		wantDrained(t)
	})
}
