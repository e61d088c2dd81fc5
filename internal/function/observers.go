package function

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/internal/entry"
)

// An Observer is told of the events of functions.
type Observer struct {
	Value any // what the user has given
	Tell  func(ctx context.Context, name string, kind entry.EventKind, key string, took time.Duration, err error)
}

// AddObserver returns observers with one more, which is told last, unless it is one of
// them already.
func AddObserver(observers []Observer, o Observer) []Observer {
	if slices.ContainsFunc(observers, func(other Observer) bool { return same(o.Value, other.Value) }) {
		return observers
	}
	return append(slices.Clip(observers), o)
}

func same(a, b any) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// observing returns what tells observers of the events of the function of that name; nil if
// there are none.
func observing(observers []Observer, name string) func(context.Context, entry.EventKind, string, time.Duration, error) {
	if len(observers) == 0 {
		return nil
	}
	return func(ctx context.Context, kind entry.EventKind, key string, took time.Duration, err error) {
		for _, o := range observers {
			o.Tell(ctx, name, kind, key, took, err)
		}
	}
}
