package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// refusing refuses calls with key among their keys, because of err.
func refusing(key string, err error) faultstore.Fault {
	return faultstore.Keys(key, faultstore.Fail(fmt.Errorf("%w: %w", store.ErrRefused, err)))
}

// lines are what was logged.
type lines struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var errType = errors.New("the value there is of another type")

// Three calls for such a key opened the breaker, and all functions went on without the
// store. Those of a look-up that waited with it were lost with it.
func TestKeyThatTheStoreRefusesIsThatKeysMiss(t *testing.T) {
	for name, ops := range map[string]faultstore.Op{
		"for all": faultstore.All, "for reading": faultstore.Get, "for adding": faultstore.Add, "for replacing": faultstore.Swap,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, logged := memstore.New(nil), new(lines)
				p := faultstore.New(s)
				here, there := p.Bare(), faultstore.New(s).Bare()
				options := memo.Options{memo.NoLocal(), memo.Logger(slog.New(slog.NewTextHandler(logged, nil)))}
				runs := map[int]int{}
				f := memo.New(func(_ context.Context, n int) (int, error) { runs[n]++; return n * n, nil }, options, memo.Store(here), memo.Name("f"))
				other := memo.New(square, options, memo.Store(here), memo.Name("other"))
				elsewhere := memo.New(square, options, memo.Store(there), memo.Name("other"))
				batch := memo.NewBatch(squares, options, memo.Store(here), memo.Name("batch"))
				batchThere := memo.NewBatch(func(_ context.Context, ns []int) (map[int]int, error) {
					t.Errorf("executed elsewhere: %v", ns)
					return nil, nil
				}, options, memo.Store(there), memo.Name("batch"))

				key, err := f.Key(13)
				if err != nil {
					t.Fatal(err)
				}
				permit := p.Before(ops, refusing(key, errType))
				began := time.Now()
				for i := range 10 {
					if got, err := f.Call(t.Context(), 13); got != 169 || err != nil {
						t.Errorf("got %d, %v", got, err)
					}
					for _, g := range []*memo.Func[int, int]{other, elsewhere} {
						if got, err := g.Call(t.Context(), i); got != i*i || err != nil {
							t.Errorf("got %d, %v", got, err)
						}
					}
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("it took %v: somebody waited", took)
				}
				if got := elsewhere.Stats().SharedHits; got != 10 {
					t.Errorf("%d results of another function reached the store, want 10", got)
				}
				if runs[13] != 10 {
					t.Errorf("%d executions for the key, want one a call", runs[13])
				}
				if key, err = batch.Key(13); err != nil {
					t.Fatal(err)
				}
				permit()
				p.Before(ops, refusing(key, errType))
				if got, err := batch.Call(t.Context(), []int{11, 12, 13, 14}); len(got) != 4 || err != nil {
					t.Errorf("the batch returned %v, %v", got, err)
				}
				if got, err := batchThere.Call(t.Context(), []int{11, 12, 14}); len(got) != 3 || err != nil {
					t.Errorf("the batch returned %v, %v elsewhere", got, err)
				}
				if n := strings.Count(logged.String(), errType.Error()); n != 2 || strings.Count(logged.String(), "\n") != 2 {
					t.Errorf("it was logged %d times, want once by each function:\n%s", n, logged)
				}
			})
		})
	}
}

func TestResultOfAKeyThatTheStoreRefusesIsKeptInTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		runs := 0
		f := memo.New(func(_ context.Context, n int) (int, error) { runs++; return n * n, nil },
			memo.Store(p.Bare()), memo.Name("f"), memo.LocalTTL(time.Minute), quietly)
		key, _ := f.Key(1)
		p.Before(faultstore.Add, faultstore.Keys(key, faultstore.Fail(store.ErrExists))) // as Redis says of a value of another type
		p.Before(faultstore.Get, refusing(key, errType))
		for range 50 {
			f.Call(t.Context(), 1)
			time.Sleep(time.Second)
		}
		if runs != 1 {
			t.Errorf("%d executions within LocalTTL, want 1", runs)
		}
	})
}

// All of them were repeated together, and none ever reached the store.
func TestInvalidationThatTheStoreRefusesHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p := faultstore.New(s)
		f := memo.New(square, memo.Store(p), memo.Name("f"), quietly)
		g := memo.New(square, memo.Store(p), memo.Name("g"), quietly)
		there := memo.New(square, memo.Store(faultstore.New(s)), memo.Name("g"), quietly)
		for n := range 5 {
			f.Call(t.Context(), n)
			g.Call(t.Context(), n)
		}
		key, _ := f.Key(3)
		mend := p.Before(faultstore.All, faultstore.Fail(errors.New("down")))
		permit := p.Before(faultstore.Delete, refusing(key, errors.New("no permission")))
		if err := f.Invalidate(t.Context(), 0, 1, 2, 3, 4); err == nil {
			t.Error("Invalidate did not say that it could not reach the store")
		}
		if err := g.Clear(t.Context()); err == nil {
			t.Error("Clear did not say that it could not reach the store")
		}
		mend()
		time.Sleep(10 * time.Second)
		for n := range 5 {
			key, _ := f.Key(n)
			if _, err := s.Get(t.Context(), key); (err == nil) != (n == 3) {
				t.Errorf("%d: Get in the store = %v", n, err)
			}
		}
		if there.Call(t.Context(), 1); there.Stats().Executions != 1 {
			t.Error("the Clear of another function has not reached the store")
		}
		permit()
		time.Sleep(5 * time.Second)
		if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("when it may be deleted: Get = %v, want ErrNotFound", err)
		}
	})
}

// The store was left alone, and what was in it was of no use to anybody; or nobody heard
// that nothing reached it.
func TestStoreThatRefusesWritesIsReadAndSaidToOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logged := new(lines)
		s := memstore.New(nil)
		p := faultstore.New(s)
		f := memo.New(square, memo.Store(p), memo.Name("f"), memo.NoLocal(), memo.TTL(time.Hour), memo.Logger(slog.New(slog.NewTextHandler(logged, nil))))
		f.Call(t.Context(), 1)
		evict := p.Before(faultstore.Set|faultstore.Add|faultstore.Swap, faultstore.Fail(fmt.Errorf("%w: OOM", store.ErrReadOnly)))
		for i := range 150 {
			for _, n := range []int{1, 1000 + i} {
				if got, err := f.Call(t.Context(), n); got != n*n || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			}
			time.Sleep(time.Second)
		}
		if got := f.Stats(); got.SharedHits != 150 {
			t.Errorf("%d hits in the store, want 150", got.SharedHits)
		}
		if n := strings.Count(logged.String(), "a store refuses writes"); n != 3 || strings.Count(logged.String(), "\n") != n || !strings.Contains(logged.String(), "OOM") {
			t.Errorf("it was logged %d times in 150 s, want 3, with the reason:\n%s", n, logged)
		}
		evict()
		f.Call(t.Context(), 2)
		f.Call(t.Context(), 2)
		if got := f.Stats(); got.SharedHits != 151 {
			t.Error("a result that was made afterwards has not reached the store")
		}
	})
}
