package memotest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/memotest"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
	"github.com/seed-0226adef/memo/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A function as programs have them, for all tests.
var doubled = memo.New(func(_ context.Context, n int) (int, error) { return 2 * n, nil }, memo.Name("doubled"))

func TestFunctionsAreAsNewInEachTest(t *testing.T) {
	pages := memo.NewBatch(func(_ context.Context, ns []int) (map[int]int, error) { return map[int]int{1: 1}, nil })
	quick := doubled.With(memo.TTL(time.Hour))
	for range 3 {
		t.Run("", func(t *testing.T) {
			memotest.Reset(t)
			for range 2 {
				if got, err := doubled.Call(t.Context(), 21); got != 42 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
				quick.Call(t.Context(), 21)
				pages.Call(t.Context(), []int{1})
			}
			memotest.WantExecutions(t, doubled, 1)
			memotest.WantHits(t, doubled, 3)
			memotest.WantExecutions(t, pages, 1)
			memotest.WantHits(t, pages, 1)
		})
	}
	if s := doubled.Stats(); s != (memo.Stats{}) {
		t.Errorf("after the test: %+v", s)
	}
}

func TestAnExecutionUnderWayIsSaid(t *testing.T) {
	began, goOn, done := make(chan bool), make(chan bool), make(chan bool)
	f := memo.New(func(context.Context, int) (int, error) {
		close(began)
		<-goOn
		return 1, nil
	})
	go func() {
		defer close(done)
		f.Call(context.Background(), 1)
	}()
	<-began
	r := &recorder{TB: t}
	if memotest.Reset(r); !r.failed {
		t.Error("Reset did not say that an execution is under way")
	}
	close(goOn)
	<-done
	if err := memo.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Error(...any)          { r.failed = true }
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Cleanup(func())        {}

func TestAssertionsFail(t *testing.T) {
	memotest.Reset(t)
	doubled.Call(t.Context(), 1)
	for name, check := range map[string]func(testing.TB){
		"WantExecutions": func(t testing.TB) { memotest.WantExecutions(t, doubled, 2) },
		"WantHits":       func(t testing.TB) { memotest.WantHits(t, doubled, 1) },
	} {
		r := &recorder{TB: t}
		if check(r); !r.failed {
			t.Errorf("%s has accepted what is not so", name)
		}
	}
}

func TestDefaultsAreThoseOfTheTest(t *testing.T) {
	doubled.Call(t.Context(), 1)
	s := memstore.New(nil)
	t.Run("shared", func(t *testing.T) {
		memotest.SetDefault(t, memo.Store(s), memo.TTL(time.Hour))
		doubled.Call(t.Context(), 1)
		memotest.WantExecutions(t, doubled, 1)
		memotest.Reset(t)
		doubled.Call(t.Context(), 1)
		memotest.WantExecutions(t, doubled, 0) // the store has it
		memotest.WantHits(t, doubled, 1)
	})
	doubled.Call(t.Context(), 1)
	memotest.WantExecutions(t, doubled, 1) // without a store
}

func TestAFleetSharesWhatItsStoreHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		version := 1
		var processes []*memo.Func[int, string]
		for _, s := range memotest.Fleet(t, 3, memstore.New(nil)) {
			processes = append(processes, memo.New(func(_ context.Context, n int) (string, error) {
				return fmt.Sprint(n, " at ", version), nil
			}, memo.Name("f"), memo.Store(s)))
		}
		for _, f := range processes {
			f.Call(t.Context(), 7)
		}
		memotest.WantExecutions(t, processes[0], 1)
		memotest.WantExecutions(t, processes[1], 0)
		memotest.WantHits(t, processes[2], 1)
		version = 2
		processes[1].Invalidate(t.Context(), 7)
		for i, f := range processes {
			if got, _ := f.Call(t.Context(), 7); got != "7 at 2" {
				t.Errorf("process %d got %q", i, got)
			}
		}
	})
}

var errDown = errors.New("down")

// No fault of a store is one of a call.
func TestAStoreFailsOnCommand(t *testing.T) {
	for name, fault := range map[string]struct {
		begin func(*memotest.FaultyStore)
		end   func(*memotest.FaultyStore)
		hits  int // of the next process, when it is over; negative where that depends on the order of goroutines
	}{
		"nothing":    {func(*memotest.FaultyStore) {}, func(*memotest.FaultyStore) {}, 1},
		"latency":    {func(s *memotest.FaultyStore) { s.Latency(time.Second) }, func(s *memotest.FaultyStore) { s.Latency(0) }, 0},
		"errors":     {func(s *memotest.FaultyStore) { s.Fail(errDown) }, func(s *memotest.FaultyStore) { s.Fail(nil) }, 0},
		"black hole": {func(s *memotest.FaultyStore) { s.BlackHole(true) }, func(s *memotest.FaultyStore) { s.BlackHole(false) }, 0},
		"lost":       {func(s *memotest.FaultyStore) { s.LoseWrites(true) }, func(s *memotest.FaultyStore) { s.LoseWrites(false) }, 0},
		"late":       {func(s *memotest.FaultyStore) { s.LateWrites(time.Second) }, func(s *memotest.FaultyStore) { s.LateWrites(0) }, 0},
		"garbage":    {func(s *memotest.FaultyStore) { s.Garbage(true) }, func(s *memotest.FaultyStore) { s.Garbage(false) }, -1},
		"healed":     {func(s *memotest.FaultyStore) { s.Fail(errDown); s.BlackHole(true) }, (*memotest.FaultyStore).Heal, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				fleet := memotest.Fleet(t, 2, s)
				in := func(s store.Store) *memo.Func[int, int] {
					return memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Name("f"), memo.Store(s), memo.TTL(time.Hour))
				}
				f := in(fleet[0])
				fault.begin(fleet[0])
				began := time.Now()
				if got, err := f.Call(t.Context(), 1); got != 1 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
				if took := time.Since(began); took > 250*time.Millisecond+time.Microsecond {
					t.Errorf("it took %v", took)
				}
				if fleet[0].Operations() == 0 {
					t.Error("the store was not asked")
				}
				fault.end(fleet[0])
				time.Sleep(10 * time.Second)
				next := in(fleet[1])
				if got, err := next.Call(t.Context(), 1); got != 1 || err != nil {
					t.Errorf("the next process got %d, %v", got, err)
				}
				if fault.hits >= 0 {
					memotest.WantHits(t, next, uint64(fault.hits))
				}
			})
		})
	}
}

// Without a fault it is a store like the one behind it.
func TestAFaultyStoreIsAStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memotest.Faulty(memstore.New(nil)) })
}

// A sharded store names a shard for each key.
type sharded struct{ store.Store }

func (sharded) Shard(key string) string { return "of " + key }

func TestFaultyStoreHasTheShardsOfTheStoreBehind(t *testing.T) {
	if got := memotest.Faulty(sharded{memstore.New(nil)}).Shard("k"); got != "of k" {
		t.Errorf("Shard = %q, want that of the store behind", got)
	}
}
