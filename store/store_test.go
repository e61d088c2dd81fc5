package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewTokenNeverRepeats(t *testing.T) {
	seen := map[store.Token]bool{{}: true}
	for range 10_000 {
		token := store.NewToken()
		if seen[token] {
			t.Fatalf("%x was drawn before, or is zero", token)
		}
		seen[token] = true
	}
}

func TestTokenOfIsTheBeginningOfAValueThatIsLongEnough(t *testing.T) {
	const text = "0123456789abcdef and more"
	for n := range len(text) + 1 {
		token, ok := store.TokenOf([]byte(text[:n]))
		if wantOK := n >= store.TokenSize; ok != wantOK {
			t.Errorf("TokenOf of %d bytes reports %t, want %t", n, ok, wantOK)
		}
		want := store.Token{}
		if ok {
			copy(want[:], text)
		}
		if token != want {
			t.Errorf("TokenOf of %d bytes = %q, want %q", n, token, want)
		}
	}
	if _, ok := store.TokenOf(nil); ok {
		t.Error("TokenOf(nil) reports true")
	}
}

func TestErrorsSayWhoseTheyAreAndDiffer(t *testing.T) {
	all := []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrRefused}
	for i, err := range all {
		if !strings.HasPrefix(err.Error(), "memo: store: ") {
			t.Errorf("%q does not begin with %q", err, "memo: store: ")
		}
		for _, other := range all[i+1:] {
			if errors.Is(err, other) {
				t.Errorf("%q is %q", err, other)
			}
		}
	}
}

func TestGetMultiOfAPlainStoreAsksForEachKeyOnceAndNotTooManyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked faultstore.Log
		var mu sync.Mutex
		now, utmost := 0, 0 // guarded by mu
		behind := faultstore.New(memstore.New(nil))
		behind.Before(faultstore.Get, asked.Note)
		behind.Before(faultstore.Get, func(context.Context, faultstore.Call) error {
			mu.Lock()
			now++
			utmost = max(utmost, now)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		})
		p := behind.Bare()
		var keys []string
		want := map[string][]byte{}
		for i := range 100 {
			key := fmt.Sprintf("k%d", i)
			keys = append(keys, key, key)
			if i%2 == 0 {
				want[key] = []byte(key)
				if err := p.Set(t.Context(), key, want[key], 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := store.GetMulti(t.Context(), p, keys)
		if err != nil {
			t.Errorf("GetMulti = %v, want nil", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("GetMulti (-want +got):\n%s", diff)
		}
		if got, want := len(asked.Keys()), 100; got != want {
			t.Errorf("%d Gets for %d different keys", got, want)
		}
		if got, want := utmost, 16; got != want {
			t.Errorf("%d Gets at a time, want %d", got, want)
		}
	})
}

func TestGetMultiReturnsWhatItFoundBesideTheError(t *testing.T) {
	down := errors.New("server b is down")
	behind := faultstore.New(memstore.New(nil))
	behind.Before(faultstore.Get, faultstore.Keys("b", faultstore.Fail(fmt.Errorf("get: %w", down))))
	p := behind.Bare()
	for _, key := range []string{"a1", "b1", "a2"} {
		if err := p.Set(t.Context(), key, []byte(key), 0); err != nil {
			t.Fatal(err)
		}
	}
	got, err := store.GetMulti(t.Context(), p, []string{"b1", "a1", "b2", "a2"})
	if !errors.Is(err, down) {
		t.Errorf("GetMulti = %v, want an error wrapping %q", err, down)
	}
	if diff := cmp.Diff(map[string][]byte{"a1": []byte("a1"), "a2": []byte("a2")}, got); diff != "" {
		t.Errorf("GetMulti (-want +got):\n%s", diff)
	}
}

// able has every ability and returns its name from each.
type able struct{ store.Store }

type ability string

func (a ability) Error() string { return string(a) }

func (able) GetMulti(context.Context, []string) (map[string][]byte, error) {
	return nil, ability("GetMulti")
}
func (able) Ping(context.Context) error { return ability("Ping") }
func (able) Notify(context.Context, string, store.Sink) (func(), error) {
	return nil, ability("Notify")
}

func (able) Shard(string) string { return "Shard" }

func TestFunctionsUseTheAbilitiesOfAStore(t *testing.T) {
	s := able{memstore.New(nil)}
	_, err := store.GetMulti(t.Context(), s, []string{"k"})
	if err != ability("GetMulti") {
		t.Errorf("GetMulti = %v, not from the store's method", err)
	}
	if err := store.Ping(t.Context(), s); err != ability("Ping") {
		t.Errorf("Ping = %v, not from the store's method", err)
	}
	if _, err := store.Notify(t.Context(), s, "", nil); err != ability("Notify") {
		t.Errorf("Notify = %v, not from the store's method", err)
	}
	if got := store.Shard(s, "k"); got != "Shard" {
		t.Errorf("Shard = %q, not from the store's method", got)
	}
}

func TestPingOfAPlainStoreReadsAKeyThatEveryStoreAccepts(t *testing.T) {
	var asked faultstore.Log
	behind := faultstore.New(memstore.New(nil))
	behind.Before(faultstore.Get, asked.Note)
	p := behind.Bare()
	if err := store.Ping(t.Context(), p); err != nil {
		t.Errorf("Ping = %v, want nil", err)
	}
	if diff := cmp.Diff([]string{"memo:ping"}, asked.Keys()); diff != "" {
		t.Errorf("keys read (-want +got):\n%s", diff)
	}
	if err := p.Set(t.Context(), "memo:ping", []byte("somebody wrote it"), 0); err != nil {
		t.Fatal(err)
	}
	if err := store.Ping(t.Context(), p); err != nil {
		t.Errorf("Ping with a value under its key = %v, want nil", err)
	}
}

func TestPingOfAPlainStoreReturnsWhyItCannotRead(t *testing.T) {
	down := errors.New("connection refused")
	p := faultstore.New(memstore.New(nil), faultstore.Fail(down)).Bare()
	if err := store.Ping(t.Context(), p); !errors.Is(err, down) {
		t.Errorf("Ping = %v, want an error wrapping %q", err, down)
	}
}

func TestAPlainStoreIsOneShard(t *testing.T) {
	if got := store.Shard(faultstore.New(nil).Bare(), "k"); got != "" {
		t.Errorf("Shard = %q, want none", got)
	}
}

func TestNotifyOfAPlainStoreIsUnsupported(t *testing.T) {
	stop, err := store.Notify(t.Context(), faultstore.New(nil).Bare(), "", nil)
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Notify = %v, want an error wrapping ErrUnsupported", err)
	}
	if want := "memo: store: faultstore.bare does not notify"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Notify = %v, want it to begin with %q", err, want)
	}
	if stop != nil {
		t.Error("stop is not nil beside an error")
	}
}
