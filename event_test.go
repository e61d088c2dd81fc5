package memo_test

import (
	"context"
	"testing"

	"github.com/seed-0226adef/memo"
)

func TestObserversOfAllLevelsAreTold(t *testing.T) {
	var group, function, calls recorder
	g := memo.NewGroup("observed", memo.Observe(&group))
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Observe(&function), g)
	f.Call(t.Context(), 1)
	f.With(memo.Observe(&calls)).Call(t.Context(), 1)
	for name, c := range map[string]struct {
		r    *recorder
		want int
	}{"group": {&group, 3}, "function": {&function, 3}, "With": {&calls, 1}} {
		if len(c.r.events) != c.want {
			t.Errorf("the observer of the %s was told %d events, want %d: %v", name, len(c.r.events), c.want, c.r.events)
		}
	}
}

func TestObserverThatIsGivenTwiceIsToldOnce(t *testing.T) {
	var r, other recorder
	uncomparable := listing{func(memo.Event) {}}
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Options{
		memo.Observe(&r), memo.Observe(uncomparable), memo.Observe(&other), memo.Observe(&r), memo.Observe(uncomparable),
	})
	f.Call(t.Context(), 1)
	if len(r.events) != 2 {
		t.Errorf("told %d events, want the execution and the miss: %v", len(r.events), r.events)
	}
}

func TestNilRemovesTheObserversBefore(t *testing.T) {
	var before, after recorder
	f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil },
		memo.Observe(&before), memo.Observe(nil), memo.Observe(&after))
	f.Call(t.Context(), 1)
	if len(before.events) != 0 || len(after.events) != 2 {
		t.Errorf("%d and %d events, want 0 and 2", len(before.events), len(after.events))
	}
}

// A listing is an Observer that cannot be compared.
type listing []func(memo.Event)

func (l listing) Observe(_ context.Context, e memo.Event) {
	for _, tell := range l {
		tell(e)
	}
}
