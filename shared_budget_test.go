package memo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store/memstore"
)

// withinStoreTimeout fails the test if do, which waits for nothing but the store, takes
// longer than the default StoreTimeout.
func withinStoreTimeout(t *testing.T, what string, do func()) {
	t.Helper()
	began := time.Now()
	do()
	const limit = 250*time.Millisecond + time.Microsecond // an operation for which nothing is left has a nanosecond
	if took := time.Since(began); took > limit {
		t.Errorf("%s took %v, want no more than one StoreTimeout", what, took)
	}
}

// tagged returns its argument, under a tag that nobody knows of before.
func tagged(ctx context.Context, n int) (int, error) {
	memo.AddTags(ctx, fmt.Sprint("t", n))
	return n, nil
}

// Each of what a call asks the store for had a StoreTimeout of its own: the epochs of a
// copy, the result, the epochs that it records, the lease.
func TestOneStoreTimeoutBoundsAllThatACallAsksFor(t *testing.T) {
	for name, c := range map[string]struct {
		fn     func(context.Context, int) (int, error)
		first  bool             // the process has a copy, and then idles until its epochs are not known any more
		before faultstore.Fault // while it calls
		clear  bool             // elsewhere, before that
	}{
		"a black hole, with a copy":           {fn: square, first: true, before: faultstore.Hang},
		"a black hole, with a tagged copy":    {fn: tagged, first: true, before: faultstore.Hang},
		"a miss":                              {fn: square, before: faultstore.Delay(200 * time.Millisecond), clear: true},
		"a result with tags of its own":       {fn: tagged, before: faultstore.Delay(200 * time.Millisecond)},
		"a copy that was cleared elsewhere":   {fn: square, first: true, before: faultstore.Delay(200 * time.Millisecond), clear: true},
		"a result that was cleared elsewhere": {fn: tagged, before: faultstore.Delay(200 * time.Millisecond), clear: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				p := faultstore.New(s)
				build := func(p *faultstore.Store) *memo.Func[int, int] {
					return memo.New(c.fn, memo.NewGroup("g"), memo.Store(p), memo.Name("f"), memo.LocalTTL(30*time.Second), quietly)
				}
				here, there := build(p), build(faultstore.New(s))
				there.Call(t.Context(), 3)
				if c.first {
					here.Call(t.Context(), 3)
				}
				time.Sleep(5 * time.Second)
				if c.clear {
					if err := there.Clear(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				mend := p.Before(faultstore.All, c.before)
				want, _ := c.fn(t.Context(), 3)
				withinStoreTimeout(t, "Call", func() {
					if got, err := here.Call(t.Context(), 3); got != want || err != nil {
						t.Errorf("got %d, %v, want %d", got, err, want)
					}
				})
				mend()
				time.Sleep(time.Minute)
			})
		})
	}
}

// A lease was given the longest StoreTimeout of all functions on the store.
func TestLeaseHasWhatIsLeftOfTheFunctionsOwnStoreTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		patient := memo.New(square, memo.Store(p), memo.Name("patient"), memo.StoreTimeout(10*time.Second), quietly)
		f := memo.New(square, memo.Store(p), memo.Name("f"), quietly)
		patient.Call(t.Context(), 1)
		f.Call(t.Context(), 1)
		mend := p.Before(faultstore.Writes, faultstore.Hang)
		withinStoreTimeout(t, "Call", func() { f.Call(t.Context(), 2) })
		mend()
		time.Sleep(time.Minute)
	})
}

// Peek had one for the epochs of its copy, and another one for the store.
func TestOneStoreTimeoutBoundsPeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		f := memo.New(square, memo.Store(p), memo.Name("square"),
			memo.LocalTTL(30*time.Second), quietly)
		f.Call(t.Context(), 3)
		time.Sleep(5 * time.Second) // longer than epochs count
		mend := p.Before(faultstore.All, faultstore.Hang)
		withinStoreTimeout(t, "Peek", func() {
			if e, err := f.Peek(t.Context(), 3); !errors.Is(err, memo.ErrMiss) {
				t.Errorf("got %v, %v, want a miss: it may be old", e, err)
			}
		})
		mend()
		time.Sleep(time.Minute)
	})
}

// It asked for the epochs of each key in turn, and each could take a StoreTimeout.
func TestBatchAsksForTheEpochsOfItsCopiesInOneRoundTrip(t *testing.T) {
	for name, before := range map[string]faultstore.Fault{
		"quick": faultstore.Delay(0), "20 ms": faultstore.Delay(20 * time.Millisecond), "200 ms": faultstore.Delay(200 * time.Millisecond), "black hole": faultstore.Hang,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := faultstore.New(memstore.New(nil))
				b := memo.NewBatch(func(ctx context.Context, ns []int) (map[int]int, error) {
					for _, n := range ns {
						memo.AddTags(ctx, fmt.Sprint("t", n))
					}
					return squares(ctx, ns)
				}, memo.NewGroup("g"), memo.Store(p), memo.Name("squares"), memo.LocalTTL(time.Minute), quietly)
				var keys []int
				for n := range 50 {
					b.Call(t.Context(), []int{n}) // one by one, lest all have all tags
					keys = append(keys, n)
				}
				time.Sleep(5 * time.Second) // longer than epochs count
				mend := p.Before(faultstore.All, before)
				ops := p.Count(faultstore.All)
				withinStoreTimeout(t, "Call", func() {
					if got, err := b.Call(t.Context(), keys); len(got) != len(keys) || err != nil {
						t.Errorf("got %d results, %v", len(got), err)
					}
				})
				if got := p.Count(faultstore.All) - ops; name != "black hole" && got != 1 {
					t.Errorf("%d operations for the epochs of %d copies, want 1", got, len(keys))
				}
				mend()
				time.Sleep(time.Minute)
			})
		})
	}
}

// The epochs of a function with tags were drawn one after the other, and the first Set
// to a store that is not next door failed.
func TestFirstSetOfAFunctionWithTagsIsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		build := func(p *faultstore.Store) *memo.Func[int, int] {
			return memo.New(square, memo.NewGroup("g"), memo.Store(p), memo.Name("square"), memo.Tags("a", "b", "c"))
		}
		here := build(faultstore.New(s, faultstore.Delay(20*time.Millisecond)))
		withinStoreTimeout(t, "Set", func() {
			if err := here.Set(t.Context(), 3, 10); err != nil {
				t.Error(err)
			}
		})
		there := build(faultstore.New(s))
		if got, err := there.Call(t.Context(), 3); got != 10 || err != nil {
			t.Errorf("another process got %d, %v, want what was set", got, err)
		}
		if got := here.Stats().StoreErrors; got > 0 {
			t.Errorf("%d store errors of a store in order", got)
		}
	})
}

// It took a StoreTimeout for each step: reading the turn, counting it, and the epochs
// of each sixteen tags.
func TestInvalidateTagsTakesOneStoreTimeout(t *testing.T) {
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprint("t", i))
	}
	for name, c := range map[string]struct {
		delay time.Duration // of an operation
		tags  []string
		known bool // the store has a turn of the group
		ok    bool
	}{
		"in time":                     {60 * time.Millisecond, []string{"t0", "t1"}, true, true},
		"the group's first":           {60 * time.Millisecond, []string{"t0", "t1"}, false, true},
		"late in the turn":            {150 * time.Millisecond, []string{"t0"}, true, false},
		"late in the epochs":          {100 * time.Millisecond, []string{"t0"}, true, false},
		"late in the fourth sixteen":  {45 * time.Millisecond, many, true, false},
		"late in each of the sixteen": {240 * time.Millisecond, many, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				var source versioned
				build := func(p *faultstore.Store) (*memo.Group, *memo.Func[string, int64]) {
					g := memo.NewGroup("g", memo.Store(p))
					return g, memo.New(source.read, g, memo.Name("f"), memo.Tags("t0"), quietly)
				}
				p := faultstore.New(s)
				g, here := build(p)
				_, there := build(faultstore.New(s))
				if c.known {
					here.Call(t.Context(), "x")
					there.Call(t.Context(), "x")
				}
				p.Before(faultstore.All, faultstore.Delay(c.delay))
				source.Store(1)
				withinStoreTimeout(t, "InvalidateTags", func() {
					if err := g.InvalidateTags(t.Context(), c.tags...); (err == nil) != c.ok {
						t.Errorf("got %v, want success to be %v", err, c.ok)
					}
				})
				if got, err := here.Call(t.Context(), "x"); got != 1 || err != nil {
					t.Errorf("the process that invalidated got %d, %v, want 1", got, err)
				}
				time.Sleep(time.Minute) // it is repeated until it reaches the store
				if got, err := there.Call(t.Context(), "x"); got != 1 || err != nil {
					t.Errorf("another process got %d, %v, want 1", got, err)
				}
			})
		})
	}
}

// After a look-up that took nearly a StoreTimeout, what came next was given another one.
func TestNothingLosesMoreThanAStoreTimeoutHoweverSlowEachOperationIs(t *testing.T) {
	acts := map[string]func(ctx context.Context, f *memo.Func[int, int], b *memo.Batch[int, int], g *memo.Group) error{
		"Call": func(ctx context.Context, f *memo.Func[int, int], _ *memo.Batch[int, int], _ *memo.Group) error {
			_, err := f.Call(ctx, 3)
			return err
		},
		"Call of a copy": func(ctx context.Context, f *memo.Func[int, int], _ *memo.Batch[int, int], _ *memo.Group) error {
			_, err := f.Call(ctx, 1)
			return err
		},
		"Refresh": func(ctx context.Context, f *memo.Func[int, int], _ *memo.Batch[int, int], _ *memo.Group) error {
			_, err := f.Refresh(ctx, 1)
			return err
		},
		"Batch.Call": func(ctx context.Context, _ *memo.Func[int, int], b *memo.Batch[int, int], _ *memo.Group) error {
			_, err := b.Call(ctx, []int{1, 2, 3, 4, 5})
			return err
		},
		"MaxAge(0)": func(ctx context.Context, f *memo.Func[int, int], _ *memo.Batch[int, int], _ *memo.Group) error {
			_, err := f.With(memo.MaxAge(0)).Call(ctx, 1)
			return err
		},
		"Peek": func(ctx context.Context, f *memo.Func[int, int], _ *memo.Batch[int, int], _ *memo.Group) error {
			f.Peek(ctx, 1)
			return nil
		},
		// These may fail, and say so.
		"Set": func(ctx context.Context, f *memo.Func[int, int], _ *memo.Batch[int, int], _ *memo.Group) error {
			f.Set(ctx, 7, 49)
			return nil
		},
		"Invalidate": func(ctx context.Context, f *memo.Func[int, int], _ *memo.Batch[int, int], _ *memo.Group) error {
			f.Invalidate(ctx, 1, 2, 3)
			return nil
		},
		"InvalidateTags": func(ctx context.Context, _ *memo.Func[int, int], _ *memo.Batch[int, int], g *memo.Group) error {
			g.InvalidateTags(ctx, "a", "b", "c")
			return nil
		},
		"Clear": func(ctx context.Context, f *memo.Func[int, int], _ *memo.Batch[int, int], _ *memo.Group) error {
			f.Clear(ctx)
			return nil
		},
	}
	for name, act := range acts {
		for each := 5 * time.Millisecond; each < 250*time.Millisecond; each += 5 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				p := faultstore.New(s)
				build := func(p *faultstore.Store) (*memo.Func[int, int], *memo.Batch[int, int], *memo.Group) {
					g := memo.NewGroup("g", memo.Store(p), quietly)
					return memo.New(tagged, g, memo.Name("f")), memo.NewBatch(squares, g, memo.Name("b"), memo.Tags("t")), g
				}
				f, b, g := build(p)
				f.Call(t.Context(), 1)
				b.Call(t.Context(), []int{1, 2})
				time.Sleep(5 * time.Second) // longer than epochs count
				mend := p.Before(faultstore.All, faultstore.Delay(each))
				withinStoreTimeout(t, fmt.Sprintf("%s, with %v each,", name, each), func() {
					if err := act(t.Context(), f, b, g); err != nil {
						t.Errorf("%s, with %v each: %v", name, each, err)
					}
				})
				mend()
				time.Sleep(time.Minute)
			})
		}
	}
}
