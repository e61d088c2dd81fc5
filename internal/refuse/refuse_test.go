package refuse_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/internal/refuse"
	"github.com/seed-0226adef/memo/store"
)

func TestWhatIsOverALimitIsRefusedInASentence(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{refuse.TTL(0), ""},
		{refuse.TTL(time.Nanosecond), ""},
		{refuse.TTL(-1), "memo: store: refused: a ttl of -1ns is negative; 0 means no expiry"},
		{refuse.Value(nil, 0, "o.Max"), ""},
		{refuse.Value(make([]byte, 9), 9, "o.Max"), ""},
		{refuse.Value(make([]byte, 10), 9, "o.Max"), "memo: store: refused: the value is 10 bytes, and the server takes 9 (o.Max)"},
	} {
		switch {
		case test.want == "" && test.err != nil:
			t.Errorf("got %v, want nil", test.err)
		case test.want != "" && (test.err == nil || test.err.Error() != test.want || !errors.Is(test.err, store.ErrRefused)):
			t.Errorf("got %v, want %q, wrapping ErrRefused", test.err, test.want)
		}
	}
}

func TestKeysPassOnceAndInOrder(t *testing.T) {
	given := []string{"b", "", "a", "b", "c d", "a", ""}
	keys := slices.Clone(given)
	empty, spaced := fmt.Errorf("%w: empty", store.ErrRefused), fmt.Errorf("%w: spaced", store.ErrRefused)
	passed, errs := refuse.Keys(keys, func(key string) error {
		return map[string]error{"": empty, "c d": spaced}[key]
	})
	if want := []string{"b", "a"}; !slices.Equal(passed, want) {
		t.Errorf("passed = %q, want %q", passed, want)
	}
	var refused *store.KeysError
	if !errors.As(errs.Err(), &refused) || !maps.Equal(refused.Errs, map[string]error{"": empty, "c d": spaced}) {
		t.Errorf("err = %v, want one that names both keys that did not pass", errs.Err())
	}
	if !slices.Equal(keys, given) {
		t.Errorf("the keys given are now %q, want them as they were", keys)
	}
	passed[0] = "changed"
	if keys[0] == "changed" {
		t.Error("the slice returned is the one given")
	}
	if passed, errs = refuse.Keys(nil, nil); len(passed) > 0 || errs.Err() != nil {
		t.Errorf("Keys of none = %q, %v, want none and nil", passed, errs.Err())
	}
}
