package memo_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A ledger notes with which expiry each key was written last.
type ledger struct {
	mu   sync.Mutex
	ends map[string]time.Time // guarded by mu; the zero Time for no end
}

// note is done after each write.
func (l *ledger) note(_ context.Context, c faultstore.Call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends == nil {
		l.ends = map[string]time.Time{}
	}
	if key := c.Keys[0]; c.Err == nil && c.TTL == 0 {
		l.ends[key] = time.Time{}
	} else if c.Err == nil {
		l.ends[key] = time.Now().Add(c.TTL)
	}
	return nil
}

// last returns the key that is kept for longest, and for how long; forever if it has no end.
func (l *ledger) last() (last string, left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, end := range l.ends {
		switch d := time.Until(end); {
		case end.IsZero():
			return key, memo.Forever
		case d > left:
			last, left = key, d
		}
	}
	return last, left
}

// useEverything uses all that is kept in a store, with results that live for ttl.
func useEverything(t *testing.T, s store.Store, ttl time.Duration) {
	outer := memo.NewGroup(fmt.Sprint("outer", ttl))
	inner := memo.NewGroup("inner", outer)
	f := memo.New(func(ctx context.Context, n int) (int, error) {
		memo.AddTags(ctx, fmt.Sprint("late:", n))
		return n, nil
	}, inner, memo.Store(s), memo.Name("f"), memo.SharedName(), memo.Tags("static"), memo.TTL(ttl))
	b := memo.NewBatch(func(_ context.Context, keys []int) (map[int]int, error) {
		return map[int]int{keys[0]: 1}, nil
	}, memo.Store(s), memo.Name("b"), memo.SharedName(), memo.TTL(ttl), memo.CacheMissing(ttl))
	for n := range 3 {
		f.Call(t.Context(), n)
		f.Set(t.Context(), n, n)
		f.Refresh(t.Context(), n)
		b.Call(t.Context(), []int{n, n + 10})
	}
	for _, err := range []error{
		inner.InvalidateTags(t.Context(), "late:1", "nobody's"), outer.InvalidateTags(t.Context(), "late:2"),
		f.Invalidate(t.Context(), 1), f.Clear(t.Context()), b.Clear(t.Context()), inner.Clear(t.Context()), outer.Clear(t.Context()),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	f.Call(t.Context(), 1)
	b.Call(t.Context(), []int{1})
}

// What lands late must not undo what has happened since: a Set would.
func TestAStoreIsChangedByAddSwapAndDeleteOnly(t *testing.T) {
	s := faultstore.New(memstore.New(nil))
	useEverything(t, s, time.Minute)
	pages := httpcache.New(nil, memo.Store(s), memo.Name("pages")).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Language")
	}))
	for range 2 {
		pages.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	if n, all := s.Count(faultstore.Set), s.Count(faultstore.Writes); n > 0 || all < 50 {
		t.Errorf("%d of %d writes were Set", n, all)
	}
}

// Epochs of functions, groups and turns stayed for ever, and those of tags for thirty
// days, however short a time results lived for.
func TestNothingStaysInTheStoreLongAfterTheResults(t *testing.T) {
	for _, ttl := range []time.Duration{time.Second, time.Minute, 24 * time.Hour} {
		t.Run(fmt.Sprint(ttl), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l := faultstore.New(memstore.New(nil)), new(ledger)
				s.After(faultstore.Set|faultstore.Add|faultstore.Swap, l.note)
				for range 5 {
					useEverything(t, s.Bare(), ttl)
					time.Sleep(ttl / 2)
				}
				if key, left := l.last(); left > 3*ttl+2*time.Minute {
					t.Errorf("%s stays for another %v", key, left)
				}
			})
		})
	}
}

// A result was lost with an epoch that it had outlived.
func TestEpochsOutliveTheResultsThatRecordThem(t *testing.T) {
	for name, life := range map[string]struct {
		opts   memo.Options
		setTTL time.Duration
		last   time.Duration
	}{
		"TTL":          {memo.Options{memo.TTL(time.Hour)}, 0, time.Hour},
		"stale window": {memo.Options{memo.TTL(time.Minute), memo.StaleIfError(time.Hour)}, 0, time.Hour},
		"Forever":      {memo.Options{memo.TTL(memo.Forever)}, 0, 100 * 24 * time.Hour},
		"SetTTL":       {memo.Options{memo.TTL(time.Second)}, time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				build := func(opts ...memo.Option) *memo.Func[int, int] {
					g := memo.NewGroup("g")
					return memo.New(func(ctx context.Context, n int) (int, error) {
						memo.AddTags(ctx, "late")
						if life.setTTL > 0 && n > 0 {
							memo.SetTTL(ctx, life.setTTL)
						}
						return n, nil
					}, g, memo.Store(faultstore.New(s)), memo.Name("f"), memo.Tags("static"), memo.Options(opts))
				}
				short := build(memo.TTL(time.Second), memo.SharedName())
				a, b := build(life.opts...), build(life.opts...)
				for range 3 { // with every epoch in every state of its life
					short.Call(t.Context(), -1)
					time.Sleep(50 * time.Second)
				}
				for n := range 20 {
					a.Call(t.Context(), n+1)
					short.Call(t.Context(), -n)
					time.Sleep(life.last / 7)
				}
				a.Call(t.Context(), 100)
				short.Call(t.Context(), -100) // whose results need less
				time.Sleep(life.last - time.Minute)
				if _, err := b.Peek(t.Context(), 100); err != nil {
					t.Error("the result is lost")
				}
			})
		})
	}
}

// That an epoch is to last costs an operation now and then, and not one for each result.
func TestEpochsAreProlongedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.NewGroup("g"),
			memo.Store(p), memo.Name("f"), memo.Tags("a", "b"), memo.TTL(time.Hour))
		f.Call(t.Context(), 0)
		before := p.Count(faultstore.All)
		const misses = 1000
		for n := range misses {
			time.Sleep(time.Minute)
			f.Call(t.Context(), n+1)
		}
		perMiss := float64(p.Count(faultstore.All)-before) / misses
		// The epochs are more than a second old at each miss, and are read with the key.
		if perMiss > 3.5 {
			t.Errorf("a miss takes %.2f operations", perMiss)
		}
	})
}
