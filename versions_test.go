package memo_test

import (
	"context"
	"fmt"
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

// A release is one program's function of the name, as far as tests of several need it.
// Its results are the version of the source that was read.
type release struct {
	call       func(t testing.TB) int64
	invalidate func(ctx context.Context) error
	set        func(ctx context.Context, version int64) error
	clear      func(ctx context.Context) error
}

// The shapes of results that releases have.
type (
	firstShape  struct{ V int64 }
	secondShape struct {
		V    int64
		More string
	}
	thirdShape struct {
		V    int64
		Most []string
	}
)

// gated is a source whose next reader waits, once it has read, if began is not nil.
type gated struct {
	atomic.Int64
	began, goOn chan bool
	localTTL    time.Duration // of the functions that read it
}

func (g *gated) read(context.Context, string) (int64, error) {
	v := g.Load()
	if began := g.began; began != nil {
		goOn := g.goOn
		g.began = nil
		began <- true
		<-goOn
	}
	return v, nil
}

// releaseOf returns a release whose function takes arg, in a process of its own.
func releaseOf[A comparable, R any](s store.Store, arg A, source *gated, result func(int64) R, version func(R) int64, opts ...memo.Option) release {
	f := memo.New(func(ctx context.Context, _ A) (R, error) {
		v, err := source.read(ctx, "")
		return result(v), err
	}, memo.Store(s), memo.Name("f"), memo.TTL(time.Hour), memo.SharedName(), quietly, memo.LocalTTL(source.localTTL), memo.Options(opts))
	return release{
		call: func(t testing.TB) int64 {
			r, err := f.Call(t.Context(), arg)
			if err != nil {
				t.Errorf("the call failed: %v", err)
			}
			return version(r)
		},
		invalidate: func(ctx context.Context) error { return f.Invalidate(ctx, arg) },
		set:        func(ctx context.Context, version int64) error { return f.Set(ctx, arg, result(version)) },
		clear:      f.Clear,
	}
}

// batchOf is releaseOf for a Batch.
func batchOf[A comparable, R any](s store.Store, arg A, source *gated, result func(int64) R, version func(R) int64) release {
	b := memo.NewBatch(func(ctx context.Context, args []A) (map[A]R, error) {
		v, err := source.read(ctx, "")
		all := map[A]R{}
		for _, a := range args {
			all[a] = result(v)
		}
		return all, err
	}, memo.Store(s), memo.Name("f"), memo.TTL(time.Hour), memo.SharedName(), memo.LocalTTL(source.localTTL), quietly)
	return release{
		call: func(t testing.TB) int64 {
			all, err := b.Call(t.Context(), []A{arg})
			if err != nil {
				t.Errorf("the call failed: %v", err)
			}
			return version(all[arg])
		},
		invalidate: func(ctx context.Context) error { return b.Invalidate(ctx, arg) },
		set:        func(ctx context.Context, version int64) error { return b.Set(ctx, arg, result(version)) },
		clear:      b.Clear,
	}
}

func firstOf(v int64) firstShape   { return firstShape{v} }
func ofFirst(r firstShape) int64   { return r.V }
func secondOf(v int64) secondShape { return secondShape{v, "more"} }
func ofSecond(r secondShape) int64 { return r.V }
func thirdOf(v int64) thirdShape   { return thirdShape{v, []string{"most"}} }
func ofThird(r thirdShape) int64   { return r.V }
func sameOf(v int64) int64         { return v }
func textOf(id int) string         { return fmt.Sprint(id) }
func textOf64(id int64) string     { return fmt.Sprint(id) }

// The arguments of releases that changed them.
type (
	query       struct{ Tenant, ID string }
	renamed     struct{ Org, User string }
	longerQuery struct {
		Tenant, ID string
		Lang       string
	}
)

// pairs are two releases that differ, each in a process of its own. Those whose
// arguments are written in another way are reached within a second, others at once.
var pairs = []struct {
	name   string
	within time.Duration
	older  func(s store.Store, source *gated) release
	newer  func(s store.Store, source *gated) release
}{
	{
		"R has another field", 0,
		func(s store.Store, v *gated) release { return releaseOf(s, 42, v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release { return releaseOf(s, 42, v, secondOf, ofSecond) },
	},
	{
		"a long argument, which is hashed", 0,
		func(s store.Store, v *gated) release {
			return releaseOf(s, strings.Repeat("a b", 99), v, firstOf, ofFirst)
		},
		func(s store.Store, v *gated) release {
			return releaseOf(s, strings.Repeat("a b", 99), v, secondOf, ofSecond)
		},
	},
	{
		"a struct whose type and fields were renamed", 0,
		func(s store.Store, v *gated) release { return releaseOf(s, query{"a", "b c"}, v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release {
			return releaseOf(s, renamed{"a", "b c"}, v, firstOf, ofFirst)
		},
	},
	{
		"an integer of another size", 0,
		func(s store.Store, v *gated) release { return releaseOf(s, int32(-42), v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release { return releaseOf(s, int64(-42), v, firstOf, ofFirst) },
	},
	{
		"KeyFuncs that return the same", 0,
		func(s store.Store, v *gated) release {
			return releaseOf(s, 42, v, firstOf, ofFirst, memo.KeyFunc(textOf))
		},
		func(s store.Store, v *gated) release {
			return releaseOf(s, int64(42), v, firstOf, ofFirst, memo.KeyFunc(textOf64))
		},
	},
	{
		"Version", 0,
		func(s store.Store, v *gated) release {
			return releaseOf(s, 42, v, firstOf, ofFirst, memo.Version("1"))
		},
		func(s store.Store, v *gated) release {
			return releaseOf(s, 42, v, firstOf, ofFirst, memo.Version("2 : %"))
		},
	},
	{
		"another group", 0,
		func(s store.Store, v *gated) release {
			return releaseOf(s, 42, v, firstOf, ofFirst, memo.NewGroup("one"))
		},
		func(s store.Store, v *gated) release {
			return releaseOf(s, 42, v, firstOf, ofFirst, memo.NewGroup("two"))
		},
	},
	{
		"a group for the first time", 0,
		func(s store.Store, v *gated) release { return releaseOf(s, 42, v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release {
			return releaseOf(s, 42, v, firstOf, ofFirst, memo.NewGroup("one"))
		},
	},
	{
		"batches", 0,
		func(s store.Store, v *gated) release { return batchOf(s, 42, v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release { return batchOf(s, 42, v, secondOf, ofSecond) },
	},
	{
		"a batch in place of a function", 0,
		func(s store.Store, v *gated) release { return releaseOf(s, 42, v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release { return batchOf(s, 42, v, secondOf, ofSecond) },
	},
	{
		"A has another field", time.Second,
		func(s store.Store, v *gated) release { return releaseOf(s, query{"a", "b"}, v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release {
			return releaseOf(s, longerQuery{"a", "b", "de"}, v, firstOf, ofFirst)
		},
	},
	{
		"A is another type", time.Second,
		func(s store.Store, v *gated) release { return releaseOf(s, 42, v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release { return releaseOf(s, "42", v, firstOf, ofFirst) },
	},
	{
		"a KeyFunc for the first time", time.Second,
		func(s store.Store, v *gated) release { return releaseOf(s, 42, v, firstOf, ofFirst) },
		func(s store.Store, v *gated) release {
			return releaseOf(s, 42, v, firstOf, ofFirst, memo.KeyFunc(textOf))
		},
	},
}

// inBothDirections runs test for every pair, with either release as the one that acts, in
// the process p.
func inBothDirections(t *testing.T, test func(t *testing.T, p *faultstore.Store, source *gated, within time.Duration, acts, other release)) {
	for _, p := range pairs {
		for _, acting := range []string{"older", "newer"} {
			t.Run(p.name+"/"+acting, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, source := memstore.New(nil), new(gated)
					here, there := faultstore.New(s), faultstore.New(s)
					if acting == "older" {
						test(t, here, source, p.within, p.older(here, source), p.newer(there, source))
					} else {
						test(t, here, source, p.within, p.newer(here, source), p.older(there, source))
					}
				})
			})
		}
	}
}

// Invalidate in one release returned nil, and another one went on returning the old result
// until its TTL ended.
func TestInvalidationByKeyReachesEveryVersion(t *testing.T) {
	for name, act := range map[string]func(ctx context.Context, r release, version int64) error{
		"Invalidate": func(ctx context.Context, r release, _ int64) error { return r.invalidate(ctx) },
		"Set":        func(ctx context.Context, r release, version int64) error { return r.set(ctx, version) },
	} {
		t.Run(name, func(t *testing.T) {
			inBothDirections(t, func(t *testing.T, _ *faultstore.Store, source *gated, within time.Duration, acts, other release) {
				acts.call(t)
				other.call(t) // half a second ago and still: what was read of the list before does not count
				for version := range int64(4) {
					source.Store(version + 1)
					if err := act(t.Context(), acts, version+1); err != nil {
						t.Fatal(err)
					}
					time.Sleep(within)
					if got := other.call(t); got != version+1 {
						t.Fatalf("the other release got %d, want %d", got, version+1)
					}
					if got := acts.call(t); got != version+1 {
						t.Fatalf("this release got %d, want %d", got, version+1)
					}
				}
			})
		})
	}
}

// A release that has never executed anything reaches the others as well.
func TestInvalidationByKeyReachesEveryVersionFromOneThatIsNotListed(t *testing.T) {
	inBothDirections(t, func(t *testing.T, _ *faultstore.Store, source *gated, within time.Duration, acts, other release) {
		other.call(t)
		source.Store(1)
		if err := acts.invalidate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(within)
		if got := other.call(t); got != 1 {
			t.Errorf("got %d", got)
		}
	})
}

func TestInvalidationByKeyOvertakesExecutionsOfEveryVersion(t *testing.T) {
	inBothDirections(t, func(t *testing.T, _ *faultstore.Store, source *gated, within time.Duration, acts, other release) {
		source.began, source.goOn = make(chan bool), make(chan bool)
		began, goOn := source.began, source.goOn
		done := make(chan int64)
		go func() { done <- other.call(t) }()
		<-began
		source.Store(1)
		if err := acts.invalidate(t.Context()); err != nil {
			t.Fatal(err)
		}
		goOn <- true
		if got := <-done; got != 0 {
			t.Errorf("the caller of the execution got %d, want its result", got)
		}
		time.Sleep(within)
		if got := other.call(t); got != 1 {
			t.Errorf("a later call got %d", got)
		}
	})
}

// What one invalidation needs does not depend on how many arguments it has.
func TestInvalidateOfManyKeysInManyVersionsIsTwoOperations(t *testing.T) {
	s := memstore.New(nil)
	source := new(gated)
	p := faultstore.New(s)
	f := memo.New(func(ctx context.Context, _ int) (int64, error) { return source.read(ctx, "") }, memo.Store(p), memo.Name("f"))
	args := make([]int, 100)
	for i := range args {
		args[i] = i
	}
	f.Call(t.Context(), 1)
	releaseOf(faultstore.New(s), 1, source, secondOf, ofSecond).call(t)
	releaseOf(faultstore.New(s), 1, source, thirdOf, ofThird).call(t)
	before := p.Count(faultstore.All)
	f.Invalidate(t.Context(), args...)
	if got := p.Count(faultstore.All) - before; got != 2 {
		t.Errorf("Invalidate took %d operations, want 2", got)
	}
	for _, want := range []int64{4, 3} { // the first finds nothing; one of each is for the other versions
		before = p.Count(faultstore.All)
		f.Set(t.Context(), 1, 2)
		if got := p.Count(faultstore.All) - before; got != want {
			t.Errorf("Set took %d operations, want %d", got, want)
		}
	}
}

func TestASetTakesTwoOperations(t *testing.T) {
	p := faultstore.New(memstore.New(nil))
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"))
	f.Call(t.Context(), 1)
	for _, step := range []struct {
		arg  int
		want int64
	}{{1, 2}, {2, 3}, {2, 2}} { // where there is nothing, a lease comes first
		before := p.Count(faultstore.All)
		if err := f.Set(t.Context(), step.arg, 10); err != nil {
			t.Fatal(err)
		}
		if got := p.Count(faultstore.All) - before; got != step.want {
			t.Errorf("Set of %d took %d operations, want %d", step.arg, got, step.want)
		}
	}
}

// Where the server drops the list, nothing that is not listed any more stays valid.
func TestVersionIsReachedAfterTheListWasLost(t *testing.T) {
	inBothDirections(t, func(t *testing.T, p *faultstore.Store, source *gated, within time.Duration, acts, other release) {
		acts.call(t)
		other.call(t)
		p.Delete(t.Context(), "::clear:f:")
		time.Sleep(2 * time.Second)
		acts.call(t) // begins a list in which the other one is not
		source.Store(1)
		if err := acts.invalidate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := other.call(t); got != 1 {
			t.Errorf("got %d", got)
		}
		source.Store(2)
		acts.invalidate(t.Context())
		time.Sleep(within)
		if got := other.call(t); got != 2 {
			t.Errorf("when it was listed again got %d", got)
		}
	})
}

// A process listed its version from what it had read before others did, and these were
// not listed any more.
func TestVersionsThatAreListedAtOnceAreAllReached(t *testing.T) {
	for _, many := range []int{2, 10, 60} { // of which the last are more than are listed
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, source := memstore.New(nil), new(gated)
				releases := make([]release, many)
				for i := range releases {
					releases[i] = releaseOf(faultstore.New(s), 42, source, sameOf, sameOf, memo.Version(fmt.Sprint("v", i)))
				}
				var wg sync.WaitGroup
				for _, r := range releases {
					wg.Go(func() { r.call(t) })
				}
				wg.Wait()
				for version := range int64(3) {
					time.Sleep(2 * time.Second) // whoever is to be reached has seen the epoch in force
					for _, r := range releases {
						r.call(t)
					}
					source.Store(version + 1)
					if err := releases[int(version)%many].invalidate(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second) // of Clear's, if there are too many
					for i, r := range releases {
						if got := r.call(t); got != version+1 {
							t.Fatalf("release %d got %d, want %d", i, got, version+1)
						}
					}
				}
			})
		})
	}
}

// Versions that are not in use any more are not deleted for ever.
func TestVersionsThatAreNotUsedAnyMoreAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, source := memstore.New(nil), new(gated)
		var deleted atomic.Int64
		p := faultstore.New(s)
		p.Before(faultstore.Delete, func(_ context.Context, c faultstore.Call) error {
			deleted.Store(int64(len(c.Keys)))
			return nil
		})
		for i := range 5 {
			releaseOf(faultstore.New(s), 42, source, sameOf, sameOf, memo.Version(fmt.Sprint("v", i))).call(t)
		}
		r := releaseOf(p, 42, source, sameOf, sameOf)
		for i, want := range []int64{6, 6, 1} { // Clear makes the others former ones, and the next drops them
			r.call(t)
			r.invalidate(t.Context())
			if got := deleted.Load(); got != want {
				t.Errorf("after %d Clears Invalidate deletes %d keys, want %d", i, got, want)
			}
			time.Sleep(2 * time.Minute)
			r.clear(t.Context())
		}
	})
}

// An Invalidate that does not reach the store reaches every version when it does.
func TestPendingInvalidationReachesEveryVersion(t *testing.T) {
	for name, failing := range map[string]faultstore.Op{
		"get": faultstore.Get, "delete": faultstore.Delete, "swap": faultstore.Swap, "all": faultstore.All,
	} {
		t.Run(name, func(t *testing.T) {
			inBothDirections(t, func(t *testing.T, p *faultstore.Store, source *gated, within time.Duration, acts, other release) {
				acts.call(t)
				other.call(t)
				source.Store(1)
				mend := p.Before(failing, faultstore.Fail(errDown))
				acts.invalidate(t.Context())
				time.Sleep(50 * time.Millisecond)
				mend()
				time.Sleep(5 * time.Second)
				if got := other.call(t); got != 1 {
					t.Errorf("got %d", got)
				}
			})
		})
	}
}

// Clear is seen within a second, an Invalidate at once: also one that comes when Clear has
// begun the list anew.
func TestInvalidateRightAfterClearReachesEveryVersion(t *testing.T) {
	inBothDirections(t, func(t *testing.T, _ *faultstore.Store, source *gated, within time.Duration, acts, other release) {
		if within > 0 {
			return
		}
		acts.call(t)
		other.call(t)
		for version := range int64(3) {
			acts.clear(t.Context())
			source.Store(version + 1)
			if err := acts.invalidate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := other.call(t); got != version+1 {
				t.Fatalf("got %d, want %d", got, version+1)
			}
		}
	})
}

// In one process there may be several functions of a name, too.
func TestInvalidationByKeyReachesEveryVersionInOneProcess(t *testing.T) {
	for name, act := range map[string]func(ctx context.Context, r release, version int64) error{
		"Invalidate": func(ctx context.Context, r release, _ int64) error { return r.invalidate(ctx) },
		"Set":        func(ctx context.Context, r release, version int64) error { return r.set(ctx, version) },
		"Clear":      func(ctx context.Context, r release, _ int64) error { return r.clear(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range pairs {
				t.Run(p.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s, source := memstore.New(nil), &gated{localTTL: time.Hour}
						acts, other := p.older(s, source), p.newer(s, source)
						acts.call(t)
						other.call(t)
						source.Store(1)
						if err := act(t.Context(), acts, 1); err != nil {
							t.Fatal(err)
						}
						if got := other.call(t); got != 1 {
							t.Errorf("the copy of the other function: got %d", got)
						}

						source.began, source.goOn = make(chan bool), make(chan bool)
						began, goOn := source.began, source.goOn
						other.invalidate(t.Context())
						go other.call(t)
						<-began
						source.Store(2)
						if err := act(t.Context(), acts, 2); err != nil {
							t.Fatal(err)
						}
						if got := other.call(t); got != 2 {
							t.Errorf("a call after it, while the other function executes: got %d", got)
						}
						goOn <- true
						synctest.Wait()
						if got := other.call(t); got != 2 {
							t.Errorf("when it has executed: got %d", got)
						}
					})
				})
			}
		})
	}
}
