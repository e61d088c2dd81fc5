// Package memotest helps to test programs that use package memo: functions that are as new in
// each test, a store that fails when it is told to, and several processes in one.
//
//	func TestProfileIsLoadedOnce(t *testing.T) {
//		memotest.Reset(t)
//		profile(t.Context(), 42)
//		profile(t.Context(), 42)
//		memotest.WantExecutions(t, profiles, 1)
//	}
//
// Everything works in the bubbles of [testing/synctest], where an hour of TTL takes no time.
package memotest

import (
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/store"
)

// Reset makes all functions of the process as new, now and again when the test ends: they hold
// nothing and have counted nothing, and they read the options of [memo.SetDefault] anew when
// they are next used. What a shared store holds stays there.
//
// No call may be under way, and tests that call it must not run in parallel. If an execution
// is under way and does not end within a second, the test fails and says so; [memo.Drain] waits
// for longer.
func Reset(t testing.TB) {
	t.Helper()
	reset(t)
	t.Cleanup(func() { reset(t) })
}

func reset(t testing.TB) {
	t.Helper()
	if err := function.Reset(); err != nil {
		t.Error(err)
	}
}

// SetDefault sets options for all functions of the process as [memo.SetDefault] does, until the
// test ends. Functions that were used before get them too: it makes all as new, as [Reset]
// does, when it sets the options and when it takes them back.
func SetDefault(t testing.TB, opts ...memo.Option) {
	t.Helper()
	before := function.Defaults()
	reset(t)
	memo.SetDefault(opts...)
	t.Cleanup(func() {
		reset(t)
		function.SetDefault(before)
	})
}

// Counted is a [memo.Func], a [memo.Batch] or a [memo.Group].
type Counted interface{ Stats() memo.Stats }

// WantExecutions checks how often the function was run since it was made, or since [Reset].
func WantExecutions(t testing.TB, f Counted, want uint64) {
	t.Helper()
	if got := f.Stats().Executions; got != want {
		t.Errorf("%d executions, want %d", got, want)
	}
}

// WantHits checks how many calls were answered with a fresh result since the function was
// made, or since [Reset]: from this process or from a shared store.
func WantHits(t testing.TB, f Counted, want uint64) {
	t.Helper()
	if s := f.Stats(); s.Hits+s.SharedHits != want {
		t.Errorf("%d hits in this process and %d in a store, want %d together", s.Hits, s.SharedHits, want)
	}
}

// Fleet returns one store for each of n processes that share what s holds. Functions of one
// name that are given different ones of these behave as those of different processes: each has
// its own results, and learns only through s what the others do. Each can fail by itself.
//
// Where s notifies, so do they. A group belongs to one process too: make one of the same name for
// each, since the Clear and InvalidateTags of one that they share reach all of them at once.
func Fleet(t testing.TB, n int, s store.Store) []*FaultyStore {
	t.Helper()
	fleet := make([]*FaultyStore, n)
	for i := range fleet {
		fleet[i] = Faulty(s)
		t.Cleanup(fleet[i].Heal) // lets those go who wait in a black hole
	}
	return fleet
}
