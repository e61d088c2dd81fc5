package memo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A versioned is a function whose result says when it read its source.
type versioned struct{ atomic.Int64 }

func (v *versioned) read(context.Context, string) (int64, error) { return v.Load(), nil }

// A function without a store, between two with one, lost the epochs of the tags
// that it handed on: its copy knew of no invalidation elsewhere, and what was made
// of it was stored under the tag's new epoch.
func TestTagsReachThroughAFunctionWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		build := func() (*memo.Group, *memo.Func[string, int64]) {
			g, p := memo.NewGroup("g"), faultstore.New(s)
			inner := memo.New(source.read, g, memo.Store(p), memo.Name("inner"), memo.Tags("t"), memo.TTL(time.Hour))
			between := memo.New(inner.Call, memo.TTL(time.Hour))
			return g, memo.New(between.Call, g, memo.Store(p), memo.Name("outer"), memo.TTL(time.Hour))
		}
		_, a := build()
		g, b := build()
		a.Call(t.Context(), "x")
		source.Store(1)
		if err := g.InvalidateTags(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("two seconds after InvalidateTags the other process got %d", got)
		}
		if got, _ := b.Call(t.Context(), "x"); got != 1 {
			t.Errorf("the process that invalidated got %d", got)
		}
	})
}

// The epoch of a tag that was taken over from a copy was replaced by the one that
// the tag had later, when fn also added the tag by itself, or had got it by way of
// a bypassed function: old data became valid again, for everyone.
func TestTakenTagsKeepTheirEpochs(t *testing.T) {
	for _, how := range []string{"added too", "bypassed"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				var version atomic.Int64
				build := func() (g *memo.Group, inner, outer *memo.Func[string, int64]) {
					g = memo.NewGroup("g")
					p := memo.Options{g, memo.Store(faultstore.New(s)), memo.TTL(time.Hour)}
					inner = memo.New(func(ctx context.Context, k string) (int64, error) {
						memo.AddTags(ctx, "t"+k)
						return version.Load(), nil
					}, p, memo.Name("inner"))
					call := inner.Call
					if how == "bypassed" {
						call = memo.New(inner.Call, memo.Disabled(true)).Call
					}
					outer = memo.New(func(ctx context.Context, k string) (int64, error) {
						if how == "added too" {
							memo.AddTags(ctx, "t"+k)
						}
						defer time.Sleep(3 * time.Second)
						return call(ctx, k)
					}, p, memo.Name("outer"))
					return g, inner, outer
				}
				_, innerA, outerA := build()
				g, innerB, outerB := build()
				innerB.Call(t.Context(), "x")
				innerB.Call(t.Context(), "z")
				time.Sleep(5 * time.Second)
				innerA.Call(t.Context(), "z") // A reads the group's turn,
				time.Sleep(400 * time.Millisecond)
				innerA.Call(t.Context(), "x") // and 0.4 s later the tag's epoch.
				time.Sleep(100 * time.Millisecond)
				version.Store(1)
				g.InvalidateTags(t.Context(), "tx")
				time.Sleep(550 * time.Millisecond)
				outerA.Call(t.Context(), "x") // The turn is read anew, the copy still counts.
				time.Sleep(time.Second)
				if got, _ := outerB.Call(t.Context(), "x"); got != 1 {
					t.Errorf("seconds after InvalidateTags the process that invalidated got %d", got)
				}
			})
		})
	}
}

// What the store did not take was tied to no epoch, and lived for its LocalTTL
// whatever was cleared elsewhere.
func TestResultThatTheStoreRefusesKnowsOfClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(&memstore.Options{MaxBytes: 1000})
		var source versioned
		read := func(context.Context, string) (string, error) {
			return fmt.Sprint(source.Load(), strings.Repeat("x", 2000)), nil
		}
		a := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"), memo.LocalTTL(time.Hour), memo.TTL(time.Hour), quietly)
		b := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"), quietly)
		a.Call(t.Context(), "x")
		source.Store(1)
		if err := b.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got, _ := a.Call(t.Context(), "x"); got[0] != '1' {
			t.Errorf("two seconds after Clear the other process got version %.1s", got)
		}
	})
}

// So did remembered errors.
func TestRememberedErrorsKnowOfClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var mended atomic.Bool
		read := func(context.Context, string) (string, error) {
			if mended.Load() {
				return "v", nil
			}
			return "", errDown
		}
		a := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"), memo.CacheErrors(time.Hour, nil))
		b := memo.New(read, memo.Store(faultstore.New(s)), memo.Name("f"))
		a.Call(t.Context(), "x")
		mended.Store(true)
		b.Clear(t.Context())
		time.Sleep(2 * time.Second)
		if _, err := a.Call(t.Context(), "x"); err != nil {
			t.Errorf("two seconds after Clear the other process got %v", err)
		}
	})
}

// What was executed without a lease, and remembered errors, did not know the epochs of
// their tags; what was made from them was stored under those that the tags had later.
func TestWhatIsNotStoredKnowsOfItsTags(t *testing.T) {
	for _, how := range []string{"no lease", "error", "nested"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				var source versioned
				read := func(ctx context.Context, k string) (int64, error) {
					memo.AddTags(ctx, "t")
					if v := source.Load(); v > 0 || how != "error" {
						return v, nil
					}
					return 0, errDown
				}
				a := faultstore.New(s)
				if how != "error" {
					a.Before(faultstore.Add, faultstore.Keys(":f:", faultstore.Fail(errDown)))
				}
				ga, gb := memo.NewGroup("g"), memo.NewGroup("g")
				f := memo.New(read, ga, memo.Store(a), memo.Name("f"), memo.TTL(time.Hour), memo.LocalTTL(time.Hour), memo.CacheErrors(time.Hour, nil))
				outer := memo.New(f.Call, ga, memo.Store(a), memo.Name("outer"), memo.TTL(time.Hour))
				memo.New(read, gb, memo.Store(faultstore.New(s)), memo.Name("f")).Call(t.Context(), "w")
				f.Call(t.Context(), "x")
				time.Sleep(500 * time.Millisecond)
				source.Store(1)
				gb.InvalidateTags(t.Context(), "t")
				if how == "nested" {
					time.Sleep(10 * time.Millisecond)
					outer.Call(t.Context(), "x")
				}
				time.Sleep(time.Second)
				if got, err := f.Call(t.Context(), "x"); got != 1 || err != nil {
					t.Errorf("a second after InvalidateTags got %d, %v", got, err)
				}
				if got, err := outer.Call(t.Context(), "x"); got != 1 || err != nil {
					t.Errorf("what is made of it: got %d, %v", got, err)
				}
			})
		})
	}
}

// An execution that another process had overtaken was joined, by calls that began
// seconds after that.
func TestExecutionOvertakenElsewhereIsNotJoined(t *testing.T) {
	for what, invalidate := range map[string]func(*memo.Func[string, int64], context.Context) error{
		"Clear":      (*memo.Func[string, int64]).Clear,
		"Invalidate": func(f *memo.Func[string, int64], ctx context.Context) error { return f.Invalidate(ctx, "x") },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				var source versioned
				slow := func(ctx context.Context, k string) (int64, error) {
					defer time.Sleep(10 * time.Second)
					return source.read(ctx, k)
				}
				a := memo.New(slow, memo.Store(faultstore.New(s)), memo.Name("f"))
				b := memo.New(slow, memo.Store(faultstore.New(s)), memo.Name("f"))
				go a.Call(t.Context(), "x")
				time.Sleep(time.Second)
				source.Store(1)
				invalidate(b, t.Context())
				time.Sleep(5 * time.Second)
				if got, _ := a.Call(t.Context(), "x"); got != 1 {
					t.Errorf("a call that began five seconds later got %d", got)
				}
			})
		})
	}
}

// A group that was given to SetDefault reached no store before a function of it was
// called, and said nothing.
func TestGroupGivenToSetDefaultClearsBeforeTheFirstCall(t *testing.T) {
	defer memo.SetDefault()
	s := memstore.New(nil)
	var source versioned
	build := func() (*memo.Group, *memo.Func[string, int64]) {
		g := memo.NewGroup("default", memo.Store(faultstore.New(s)))
		memo.SetDefault(g)
		return g, memo.New(source.read, memo.Name("f"))
	}
	_, a := build()
	a.Call(t.Context(), "x")
	g, b := build()
	source.Store(1)
	if err := g.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.Call(t.Context(), "x"); got != 1 {
		t.Errorf("got %d", got)
	}
}

// Neither did one whose functions had been dropped.
func TestGroupClearsWhatDroppedFunctionsStored(t *testing.T) {
	var source versioned
	g := memo.NewGroup("g", memo.Store(faultstore.New(memstore.New(nil))))
	memo.New(source.read, g, memo.Name("f"), memo.SharedName()).Call(t.Context(), "x")
	for range 3 {
		runtime.GC()
	}
	source.Store(1)
	if err := g.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := memo.New(source.read, g, memo.Name("f"), memo.SharedName()).Call(t.Context(), "x"); got != 1 {
		t.Errorf("got %d", got)
	}
}

// Set held what it had written after an Invalidate that began later had returned.
func TestInvalidateOvertakesASetUnderWay(t *testing.T) {
	p, written := faultstore.New(memstore.New(nil)), faultstore.NewGate()
	p.After(faultstore.Swap, faultstore.Keys(":x", written.Wait))
	f := memo.New(func(context.Context, string) (string, error) { return "new", nil },
		memo.Store(p), memo.Name("f"), memo.StoreTimeout(0), memo.LocalTTL(time.Hour))
	var wg sync.WaitGroup
	wg.Go(func() { f.Set(t.Context(), "x", "old") })
	<-written.Reached()
	if err := f.Invalidate(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	written.Open()
	wg.Wait()
	if got, _ := f.Call(t.Context(), "x"); got != "new" {
		t.Errorf("got %q", got)
	}
}

// Whoever had filled the entry decided how long it was trusted.
func TestCallUnderLocalTTLZeroAsksTheStore(t *testing.T) {
	s := memstore.New(nil)
	var source versioned
	a := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"), memo.LocalTTL(time.Hour))
	b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
	a.Call(t.Context(), "x")
	source.Store(1)
	b.Invalidate(t.Context(), "x")
	if got, _ := a.With(memo.LocalTTL(0)).Call(t.Context(), "x"); got != 1 {
		t.Errorf("got %d", got)
	}
}

// Such a call joined a look-up that the store had answered before it began.
func TestCallUnderLocalTTLZeroJoinsNoLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var source versioned
		p, answered := faultstore.New(s), faultstore.NewGate()
		p.After(faultstore.Get, faultstore.First(1, answered.Wait))
		a := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.LocalTTL(0), memo.StoreTimeout(0))
		b := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"))
		b.Call(t.Context(), "x")
		go a.Call(t.Context(), "x")
		<-answered.Reached()
		source.Store(1)
		b.Invalidate(t.Context(), "x")
		if got, _ := a.Call(t.Context(), "x"); got != 1 {
			t.Errorf("a call that began after Invalidate had returned elsewhere got %d", got)
		}
		answered.Open()
	})
}

// Two Funcs of one function have a tier each. Invalidate reached only one.
func TestInvalidateReachesEveryFuncOfTheName(t *testing.T) {
	var source versioned
	p := faultstore.New(memstore.New(nil))
	a := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.SharedName())
	b := memo.New(source.read, memo.Store(p), memo.Name("f"), memo.SharedName())
	a.Call(t.Context(), "x")
	b.Call(t.Context(), "x")
	source.Store(1)
	a.Invalidate(t.Context(), "x")
	if got, _ := b.Call(t.Context(), "x"); got != 1 {
		t.Errorf("got %d", got)
	}
}

// Two versions of a program, with a function in different groups, overwrote each
// other's results in turns.
func TestDeployThatMovesAFunctionToAnotherGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var runs atomic.Int64
		fn := func(context.Context, int) (int64, error) { return runs.Add(1), nil }
		before := memo.New(fn, memo.Store(faultstore.New(s)), memo.Name("f"), memo.NewGroup("g1"), memo.TTL(time.Hour))
		after := memo.New(fn, memo.Store(faultstore.New(s)), memo.Name("f"), memo.NewGroup("g2"), memo.TTL(time.Hour))
		for range 20 {
			before.Call(t.Context(), 1)
			after.Call(t.Context(), 1)
			time.Sleep(2 * time.Second)
		}
		if got := runs.Load(); got != 2 {
			t.Errorf("%d executions, want one for each", got)
		}
	})
}

// Results of a version that did not know the tag yet were returned after the tag was
// invalidated.
func TestDeployThatAddsATag(t *testing.T) {
	s := memstore.New(nil)
	var source versioned
	before := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"), memo.NewGroup("g"), memo.TTL(time.Hour))
	g := memo.NewGroup("g")
	after := memo.New(source.read, memo.Store(faultstore.New(s)), memo.Name("f"), g, memo.TTL(time.Hour), memo.Tags("t"))
	before.Call(t.Context(), "x")
	after.Call(t.Context(), "x")
	source.Store(1)
	g.InvalidateTags(t.Context(), "t")
	if got, _ := after.Call(t.Context(), "x"); got != 1 {
		t.Errorf("got %d", got)
	}
}

// A debt kept by one process must not let another's refreshes bring back what it is
// about: everything that can overtake a result, in three processes at once whose
// stores fail now and then. Each process sees its own invalidations (G1).
func TestEveryInvalidationHoldsInItsProcess(t *testing.T) {
	for _, notifies := range []bool{false, true} {
		t.Run(fmt.Sprintf("notifies=%v", notifies), func(t *testing.T) {
			s := memstore.New(nil)
			var source [8]atomic.Int64
			var wg sync.WaitGroup
			for range 3 {
				p := faultstore.New(s, func(context.Context, faultstore.Call) error {
					pauseSometimes(4, 300*time.Microsecond)
					if rand.N(50) == 0 {
						return errDown
					}
					return nil
				})
				var shared store.Store = p
				if notifies {
					shared = p.Notifying()
				}
				f, invalidate := invalidated(&source, memo.Store(shared), memo.TTL(20*time.Millisecond), memo.StaleWhileRevalidate(time.Second))
				for range 6 {
					wg.Go(func() {
						for range 150 {
							k := rand.N(len(source))
							want := int64(0)
							if rand.N(3) == 0 {
								want = source[k].Add(1)
								invalidate(rand.N(4), k)
							}
							if got, err := f.Call(t.Context(), k); err != nil || got < want {
								t.Errorf("got %d, %v, want at least %d", got, err, want)
							}
						}
					})
				}
			}
			wg.Wait()
		})
	}
}

// Four processes with a goroutine each, so that nobody joins anybody: what was
// invalidated in any of them is returned by none whose call begins later (G2, and
// G3 and G4 with notifications). Nobody reads a change that is still to be reported:
// a Clear is content with another's that it finds, of which all have to know by then.
func TestEveryInvalidationHoldsInTheFleet(t *testing.T) {
	for _, mode := range []string{"without copies", "with copies", "nested"} {
		t.Run(mode, func(t *testing.T) {
			s := memstore.New(nil)
			var source, floor [8]atomic.Int64
			var reported sync.RWMutex // held for writing until all know
			var wg sync.WaitGroup
			for range 4 {
				p := faultstore.New(s, func(context.Context, faultstore.Call) error {
					pauseSometimes(4, 200*time.Microsecond)
					return nil
				})
				p.Before(faultstore.Get, doing(reported.RLock))
				p.After(faultstore.Get, doing(reported.RUnlock))
				p.Before(faultstore.Writes, doing(reported.Lock))
				p.After(faultstore.Writes, doing(reported.Unlock))
				hears := faultstore.NewGate()
				hears.Open()
				p.After(faultstore.Notify, hears.Wait)
				opts, only := memo.Options{memo.Store(p.Notifying())}, -1
				if mode == "without copies" { // nothing is listened for, and Clear is seen within a second
					opts, only = memo.Options{memo.Store(p), memo.NoLocal()}, 0
				}
				f, invalidate := invalidated(&source, opts...)
				call := f.Call
				if mode == "nested" { // results that depend on the tags alone
					call, only = memo.New(f.Call, opts, memo.Name("outer")).Call, 1
				}
				if f.Call(t.Context(), 0); mode != "without copies" {
					<-hears.Reached()
				}
				wg.Go(func() {
					for range 500 {
						k := rand.N(len(source))
						if rand.N(8) == 0 {
							v, how := source[k].Add(1), rand.N(4)
							if only >= 0 {
								how = only
							}
							invalidate(how, k)
							raise(&floor[k], v)
						}
						want, now := floor[k].Load(), call
						if rand.N(20) == 0 {
							now = f.Refresh
						}
						if got, err := now(t.Context(), k); err != nil || got < want {
							t.Errorf("got %d, %v, want at least %d", got, err, want)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// invalidated returns a function that reads source, and how to invalidate what it
// has for a key, in one of four ways.
func invalidated(source *[8]atomic.Int64, opts ...memo.Option) (*memo.Func[int, int64], func(how, k int)) {
	g := memo.NewGroup("g", memo.StoreTimeout(time.Minute)) // a busy machine is no store that fails
	f := memo.New(func(ctx context.Context, k int) (int64, error) {
		v := source[k].Load()
		memo.AddTags(ctx, fmt.Sprint(k))
		pauseSometimes(3, time.Millisecond)
		return v, nil
	}, g, memo.Name("f"), quietly, memo.Options(opts))
	return f, func(how, k int) {
		switch ctx := context.Background(); how {
		case 0:
			f.Invalidate(ctx, k)
		case 1:
			g.InvalidateTags(ctx, fmt.Sprint(k))
		case 2:
			f.Clear(ctx)
		case 3:
			g.Clear(ctx)
		}
	}
}

// doing is a fault that does no more than f.
func doing(f func()) faultstore.Fault {
	return func(context.Context, faultstore.Call) error {
		f()
		return nil
	}
}

// pauseSometimes sleeps once in n times, for less than limit: what runs at the same
// time comes in another order every time.
func pauseSometimes(n int, limit time.Duration) {
	if rand.N(n) == 0 {
		time.Sleep(rand.N(limit))
	}
}

// raise makes floor at least v.
func raise(floor *atomic.Int64, v int64) {
	for old := floor.Load(); old < v && !floor.CompareAndSwap(old, v); {
		old = floor.Load()
	}
}
