package ability_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/internal/ability"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// An embedding store has all methods of one of ours, and one of its own that keeps no
// promise.
type embedding struct{ *memstore.Store }

func (embedding) Get(context.Context, string) ([]byte, error) { select {} }

// A sure store is no pointer and cannot be compared.
type sure struct {
	*memstore.Store
	_ []string // cannot be compared
}

func (s sure) Punctual() store.Store { return s }
func (s sure) Prompt() store.Store   { return s }

// A plain store has no ability.
type plain struct{ store.Store }

// A value keeps both promises, and is no pointer.
type value struct{ *memstore.Store }

func (v value) Punctual() store.Store { return v }
func (v value) Prompt() store.Store   { return v }

func TestOnlyAStoreThatSaysSoOfItselfHasAnAbility(t *testing.T) {
	s := memstore.New(nil)
	for name, c := range map[string]struct {
		store store.Store
		want  bool
	}{
		"one of ours":                            {s, true},
		"one that says so again":                 {value{s}, true},
		"plain":                                  {plain{s}, false},
		"embeds one of ours":                     {embedding{s}, false},
		"embeds it, by pointer":                  {&embedding{s}, false},
		"embeds it, by an interface":             {struct{ ability.Punctual }{s}, false},
		"embeds it, by the other interface":      {struct{ ability.Prompt }{s}, false},
		"a value that cannot be compared":        {sure{Store: s}, false}, // no two can be told to be the same
		"embeds one that cannot be compared":     {struct{ sure }{sure{Store: s}}, false},
		"embeds an interface with nothing in it": {struct{ store.Store }{}, false},
	} {
		if got := ability.IsPunctual(c.store); got != c.want {
			t.Errorf("%s: IsPunctual = %t, want %t", name, got, c.want)
		}
		if got := ability.ReportsOnce(c.store); got != c.want {
			t.Errorf("%s: ReportsOnce = %t, want %t", name, got, c.want)
		}
	}
}

type key struct{}

func TestWithinKeepsThatAContextEndsAtItsDeadlineOnly(t *testing.T) {
	cancelable, cancel := context.WithCancel(t.Context())
	defer cancel()
	deadline, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	budget, cancel := ability.Within(context.Background(), time.Hour)
	defer cancel()
	for _, test := range []struct {
		name   string
		parent context.Context
		want   bool
	}{
		{"one that cannot end", context.Background(), true},
		{"one with values", context.WithValue(context.Background(), key{}, 1), true},
		{"one of Within", budget, true},
		{"one that can be canceled", cancelable, false},
		{"one whose deadline is somebody else's", deadline, false},
	} {
		for _, d := range []time.Duration{time.Minute, 2 * time.Hour} {
			ctx, cancel := ability.Within(test.parent, d)
			if got := ability.OnlyDeadline(ctx); got != test.want {
				t.Errorf("%s, within %v: OnlyDeadline = %t, want %t", test.name, d, got, test.want)
			}
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > d {
				t.Errorf("%s, within %v: the deadline is %v, want one that soon", test.name, d, end)
			}
			cancel()
			if ctx.Err() == nil {
				t.Errorf("%s, within %v: the CancelFunc did not end the context", test.name, d)
			}
		}
	}
}
