package fleettest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
)

func shout(_ context.Context, word string) (string, error) { return word + "!", nil }

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func shoutAll(_ context.Context, words []string) (map[string]string, error) {
	all := map[string]string{}
	for _, word := range words {
		all[word] = word + "!"
	}
	return all, nil
}

func TestNoCallFailsOrLosesMoreThanTheBudgetWhateverTheStoreDoes(t *testing.T) {
	t.Parallel()
	onEveryFault(t, func(t *testing.T, s *site, fault fault) {
		there := memo.New(shout, s.there(memo.Name("shout"))...)
		for i := range 5 {
			if _, err := there.Call(t.Context(), fmt.Sprint("stored", i)); err != nil {
				t.Fatal(err)
			}
		}
		strike := sync.OnceFunc(fault.strike)
		f := memo.New(func(ctx context.Context, word string) (string, error) {
			strike() // the first time between the lease and the result
			return shout(ctx, word)
		}, s.here(memo.Name("shout"))...)
		batch := memo.NewBatch(shoutAll, s.here(memo.Name("shoutAll"))...)

		call := func(word string) {
			began := time.Now()
			got, err := f.Call(t.Context(), word)
			if got != word+"!" || err != nil {
				t.Errorf("%s: got %s, %v", word, got, err)
			}
			if took := time.Since(began); took > budget+margin {
				t.Errorf("%s: a call took %v, with a budget of %v", word, took, budget)
			}
		}
		call("first")
		for i := range 5 {
			var wg sync.WaitGroup
			for _, word := range []string{"stored", "a", "b", "c", "d", "e", "f", "g"} {
				wg.Go(func() { call(fmt.Sprint(word, i)) })
			}
			wg.Go(func() {
				words := []string{fmt.Sprint("x", i), fmt.Sprint("y", i), "z"}
				began := time.Now()
				got, err := batch.Call(t.Context(), words)
				if took := time.Since(began); len(got) != len(words) || err != nil || took > budget+margin {
					t.Errorf("a batch returned %d results, %v, after %v", len(got), err, took)
				}
			})
			wg.Wait()
		}
	})
}

// Slow answers are no failures, and yet a call needs several.
func TestCallLosesNoMoreThanTheBudgetToAStoreThatAnswersSlowly(t *testing.T) {
	t.Parallel()
	for kind, newSite := range sites {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			f := memo.New(shout, s.here(memo.Name("shout"))...)
			if _, err := f.Call(t.Context(), "the first, which also begins the epoch"); err != nil {
				t.Fatal(err)
			}
			s.slow(budget * 8 / 10)
			began := time.Now()
			got, err := f.Call(t.Context(), "word")
			if took := time.Since(began); got != "word!" || err != nil || took > budget+margin {
				t.Errorf("got %s, %v after %v, with a budget of %v", got, err, took, budget)
			}
		})
	}
}

func TestStoreIsUsedAgainWithinTwoSecondsOfItsReturn(t *testing.T) {
	t.Parallel()
	onEveryFault(t, func(t *testing.T, s *site, fault fault) {
		there := memo.New(shout, s.there(memo.Name("shout"))...)
		f := memo.New(shout, s.here(memo.Name("shout"))...)
		if _, err := f.Call(t.Context(), "before"); err != nil {
			t.Fatal(err)
		}
		fault.strike()
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() { f.Call(t.Context(), fmt.Sprint("meanwhile", i)) })
		}
		wg.Wait()
		if _, err := there.Call(t.Context(), "stored"); err != nil {
			t.Fatal(err)
		}
		s.heal()
		eventually(t, 2*time.Second+margin, "a result from the store", func() bool {
			if _, err := f.With(memo.LocalTTL(0)).Call(t.Context(), "stored"); err != nil {
				t.Error(err)
			}
			return f.Stats().SharedHits > 0
		})
	})
}

func TestNothingThatWasInvalidatedDuringAnOutageIsReturnedAfterwards(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct {
		invalidate func(ctx context.Context, g *memo.Group, f *memo.Func[string, string]) error
		needs      operations // for it to reach the store
	}{
		"Invalidate": {func(ctx context.Context, _ *memo.Group, f *memo.Func[string, string]) error {
			return f.Invalidate(ctx, "k")
		}, deletes},
		"Clear": {func(ctx context.Context, _ *memo.Group, f *memo.Func[string, string]) error { return f.Clear(ctx) }, sets},
		"tag": {func(ctx context.Context, g *memo.Group, _ *memo.Func[string, string]) error {
			return g.InvalidateTags(ctx, "tag")
		}, batches | sets}, // epochs are swapped for what was read: the turn's and the tags' together
	} {
		t.Run(name, func(t *testing.T) {
			onEveryFault(t, func(t *testing.T, s *site, fault fault) {
				source := atomic.Pointer[string]{}
				change := func(to string) { source.Store(&to) }
				read := func(context.Context, string) (string, error) { return *source.Load(), nil }
				group := memo.NewGroup("g", s.here()...)
				f := memo.New(read, group, memo.Name("read"), memo.Tags("tag"))
				there := memo.New(read, memo.NewGroup("g", s.there()...), memo.Name("read"), memo.Tags("tag"))
				change("old")
				for _, f := range []*memo.Func[string, string]{there, f} {
					if got, err := f.Call(t.Context(), "k"); got != "old" || err != nil {
						t.Fatalf("before the outage: got %s, %v", got, err)
					}
				}

				fault.strike()
				change("new")
				err := how.invalidate(t.Context(), group, f)
				if reached := fault.spares&how.needs == how.needs; reached && err != nil || !reached && err == nil {
					t.Errorf("the invalidation returned %v", err)
				} else if err != nil && !strings.Contains(err.Error(), "is repeated until it does") {
					t.Errorf("the error %q does not say what happens next", err)
				}
				// From now on this process returns nothing old, whatever becomes of the store.
				stop := keepAsking(t, f, "new")
				defer stop()
				for range 30 {
					if got, err := f.Call(t.Context(), "k"); got != "new" || err != nil {
						t.Fatalf("during the outage: got %s, %v, want new", got, err)
					}
				}
				s.heal()
				eventually(t, 5*time.Second, "the other process hears of it", func() bool {
					got, err := there.Call(t.Context(), "k")
					if err != nil {
						t.Error(err)
					}
					return got == "new"
				})
				// It may have heard although no answer came back. What is owed to a store
				// would be tried for ever when that is gone.
				eventually(t, patience, "the store can be told again", func() bool {
					return how.invalidate(t.Context(), group, f) == nil
				})
			})
		})
	}
}

// keepAsking calls f until stop is called, and fails the test if it ever returns
// something else.
func keepAsking(t *testing.T, f *memo.Func[string, string], want string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
			if got, err := f.With(memo.LocalTTL(0)).Call(context.Background(), "k"); got != want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, want)
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// A journal keeps what is logged.
type journal struct {
	slog.Handler
	mu    sync.Mutex
	lines []string // guarded by mu
}

func newJournal() *journal { return &journal{Handler: slog.DiscardHandler} }

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, r.Level.String()+" "+r.Message)
	return nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// outages returns what is logged of outages. A result that a healthy store has not taken in
// time, as on a machine under load, is not one.
func (j *journal) outages() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := slices.DeleteFunc(slices.Clone(j.lines), func(line string) bool { return strings.Contains(line, "a result was not stored") })
	return strings.Join(lines, "\n")
}

func TestOutageIsLoggedOnceAndItsEndOnce(t *testing.T) {
	t.Parallel()
	for kind, faults := range map[string][]string{
		"redis": {"down", "black hole", "LOADING", "reset"}, "memcached": {"down", "black hole", "reset"}, "dynamodb": {"throttled", "black hole"},
	} {
		for _, name := range faults {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				s, j := sites[kind](t), newJournal()
				f := memo.New(shout, s.here(memo.Name("shout"), memo.Logger(slog.New(j)))...)
				other := memo.New(shoutAll, s.here(memo.Name("other"), memo.Logger(slog.New(j)), memo.KeyFunc(func(words []string) string { return fmt.Sprint(words) }))...)
				call := func(n int) {
					var wg sync.WaitGroup
					for i := range n {
						wg.Go(func() {
							f.Call(t.Context(), fmt.Sprint(time.Now(), i))
							other.Call(t.Context(), []string{fmt.Sprint(time.Now(), i)})
						})
					}
					wg.Wait()
				}
				call(1)
				s.faults[name].strike()
				for range 10 {
					call(20)
				}
				const went, came = "WARN memo: a store does not answer; its functions go on without it until it does", "INFO memo: a store answers again"
				if got := j.outages(); got != went {
					t.Errorf("during the outage this is logged:\n%s\nwant\n%s", got, went)
				}
				s.heal()
				eventually(t, patience, "the end of the outage is logged", func() bool { call(1); return strings.Contains(j.String(), came) })
				call(5) // few, so that a machine under load is not an outage of its own
				if got := j.outages(); got != went+"\n"+came {
					t.Errorf("after the outage this is logged:\n%s\nwant\n%s\n%s", got, went, came)
				}
			})
		}
	}
}
