package memo_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A laggard is a function that is quick at first, and then slow or failing too.
type laggard struct {
	slow atomic.Pointer[time.Duration]
	err  error // of a slow execution
	runs atomic.Int64
}

func (l *laggard) lag(d time.Duration) { l.slow.Store(&d) }

func (l *laggard) read(context.Context, string) (int64, error) {
	n := l.runs.Add(1)
	if d := l.slow.Load(); d != nil {
		time.Sleep(*d)
		return n, l.err
	}
	return n, nil
}

func (l *laggard) readAll(ctx context.Context, keys []string) (map[string]int64, error) {
	n, err := l.read(ctx, "")
	all := map[string]int64{}
	for _, key := range keys {
		all[key] = n
	}
	return all, err
}

// A process that has no copy to return, since it must not trust one that long, joined
// the refresh that was under way: in the middle of the stale window its calls took as
// long as fn.
func TestCallReturnsTheOldResultOfTheStoreDuringARefresh(t *testing.T) {
	for name, c := range map[string]struct {
		options memo.Options
		batch   bool
	}{
		"copies trusted for a second": {},
		"NoLocal":                     {options: memo.Options{memo.NoLocal()}},
		"LocalTTL(0)":                 {options: memo.Options{memo.LocalTTL(0)}},
		"batch":                       {batch: true},
		"batch, NoLocal":              {options: memo.Options{memo.NoLocal()}, batch: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var source laggard
				options := append(memo.Options{memo.Store(faultstore.New(memstore.New(nil))), memo.Name("f"),
					memo.TTL(time.Second), memo.StaleWhileRevalidate(time.Minute)}, c.options...)
				var call func(context.Context, string) (int64, error)
				if !c.batch {
					call = memo.New(source.read, options).Call
				} else {
					b := memo.NewBatch(source.readAll, options)
					call = func(ctx context.Context, key string) (int64, error) {
						got, err := b.Call(ctx, []string{key, "other"})
						return got[key], err
					}
				}
				call(t.Context(), "k")
				source.lag(5 * time.Second)
				time.Sleep(3 * time.Second)
				for i := range 30 {
					began := time.Now()
					got, err := call(t.Context(), "k")
					if took := time.Since(began); got != 1 || err != nil || took > 0 {
						t.Errorf("%d ms into the refresh: got %d, %v after %v, want the old result at once", 100*i, got, err, took)
					}
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(2500 * time.Millisecond)
				if got := source.runs.Load(); got != 2 {
					t.Errorf("%d executions, want one and a refresh", got)
				}
				if got, err := call(t.Context(), "k"); got != 2 || err != nil {
					t.Errorf("after the refresh: got %d, %v, want 2", got, err)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// The same for StaleIfError: a call that joined the execution had no old result when
// that failed, and returned the error.
func TestCallThatJoinsAFailingRefreshReturnsTheOldResultOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := laggard{err: errDown}
		f := memo.New(source.read, memo.Store(faultstore.New(memstore.New(nil))), memo.Name("f"),
			memo.TTL(time.Second), memo.StaleIfError(time.Minute), memo.NoLocal())
		f.Call(t.Context(), "k")
		source.lag(time.Second)
		time.Sleep(3 * time.Second)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				if got, err := f.Call(t.Context(), "k"); got != 1 || err != nil {
					t.Errorf("call %d: got %d, %v, want the old result", i, got, err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
	})
}

// A call waited for a Refresh though the store had a fresh result.
func TestCallDuringARefreshReturnsTheFreshResultOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var source laggard
		f := memo.New(source.read, memo.Store(faultstore.New(memstore.New(nil))), memo.Name("f"), memo.NoLocal())
		f.Call(t.Context(), "k")
		source.lag(5 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { f.Refresh(t.Context(), "k") })
		synctest.Wait()
		began := time.Now()
		got, err := f.Call(t.Context(), "k")
		if took := time.Since(began); got != 1 || err != nil || took > 0 {
			t.Errorf("got %d, %v after %v, want the stored result at once", got, err, took)
		}
		wg.Wait()
	})
}
