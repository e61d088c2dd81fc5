package memo_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A mixedUp store returns what is under another key of those that were written.
type mixedUp struct {
	*process
	mu   sync.Mutex
	keys []string // guarded by mu
	on   atomic.Bool
}

func (m *mixedUp) other(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.keys {
		if m.on.Load() && other != key && strings.Contains(key, ":-:") && strings.Contains(other, ":-:") {
			return other
		}
	}
	return key
}

func (m *mixedUp) Get(ctx context.Context, key string) ([]byte, error) {
	return m.process.Get(ctx, m.other(key))
}

func (m *mixedUp) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	found := map[string][]byte{}
	for _, key := range keys {
		if value, err := m.Get(ctx, key); err == nil {
			found[key] = value
		}
	}
	return found, nil
}

func (m *mixedUp) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	m.mu.Lock()
	m.keys = append(m.keys, key)
	m.mu.Unlock()
	return m.process.Add(ctx, key, value, ttl)
}

func TestBytesOfAnotherKeyAreAMissAndReported(t *testing.T) {
	s := &mixedUp{process: &process{Store: memstore.New(nil)}}
	var logged bytes.Buffer
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	f := memo.New(double, memo.Store(s), memo.Name("double"), memo.NoLocal(),
		memo.Logger(slog.New(slog.NewTextHandler(&logged, nil))))
	batch := memo.NewBatch(func(_ context.Context, ns []int) (map[int]int, error) {
		all := map[int]int{}
		for _, n := range ns {
			all[n] = 2 * n
		}
		return all, nil
	}, memo.Store(s), memo.Name("batch"), memo.NoLocal(), memo.Logger(slog.New(slog.DiscardHandler)))
	for n := range 3 {
		f.Call(t.Context(), n)
		batch.Call(t.Context(), []int{n})
	}
	s.on.Store(true)
	for n := range 3 {
		if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
			t.Errorf("for %d: got %d, %v", n, got, err)
		}
	}
	if got, err := batch.Call(t.Context(), []int{0, 1, 2}); fmt.Sprint(got) != "map[0:0 1:2 2:4]" || err != nil {
		t.Errorf("the batch returned %v, %v", got, err)
	}
	if got := f.Stats().StoreErrors; got < 3 {
		t.Errorf("%d of 3 were counted", got)
	}
	if got := logged.String(); strings.Count(got, "the store holds something else under a key") != 1 {
		t.Errorf("logged:\n%s\nwant one line", got)
	}
}

// Whatever bytes are found under a key, they are in nobody's way.
func TestForeignBytesAreAMissAndMakeWayForTheResult(t *testing.T) {
	for name, there := range map[string]string{
		"none": "", "short": "v", "text": "a value of another program, longer than a token", "token only": strings.Repeat("t", store.TokenSize),
	} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New(nil)
			var runs atomic.Int64
			double := func(_ context.Context, n int) (int, error) { runs.Add(1); return 2 * n, nil }
			f := memo.New(double, memo.Store(&process{Store: s}), memo.Name("double"), memo.NoLocal(), memo.Logger(slog.New(slog.DiscardHandler)))
			key, err := f.Key(21)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Set(t.Context(), key, []byte(there), 0); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if got, err := f.Call(t.Context(), 21); got != 42 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			}
			if got := runs.Load(); got != 1 {
				t.Errorf("%d executions, want 1: the result is stored", got)
			}
			if got := f.Stats().StoreErrors; got != 1 {
				t.Errorf("%d were counted, want 1", got)
			}
		})
	}
}

// A panicking store is one whose client was never made.
type panicking struct{ store.Store }

func (panicking) Get(context.Context, string) ([]byte, error) { panic("no client") }
func (panicking) GetMulti(context.Context, []string) (map[string][]byte, error) {
	panic("no client")
}

func (panicking) Add(context.Context, string, []byte, time.Duration) error {
	panic("no client")
}

// That is a mistake of the program, which shows, and leaves nobody waiting.
func TestStoreThatPanicsLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(_ context.Context, n int) (int, error) { return 2 * n, nil },
			memo.Store(panicking{memstore.New(nil)}), memo.Name("double"), memo.Logger(slog.New(slog.DiscardHandler)))
		for range 5 {
			func() {
				defer func() { _ = recover() }()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if got, err := f.Call(ctx, 21); got != 42 || err != nil {
					t.Errorf("got %d, %v, want a panic or the result", got, err)
				}
			}()
		}
	})
}

func TestAnyPrefixAndAnyArgumentMakeKeysThatServersTake(t *testing.T) {
	s := &keysOf{process: &process{Store: memstore.New(nil)}}
	for i, prefix := range []string{"", "a b", "line\r\nbreak", "größe:%#\x00", strings.Repeat("p", 1000), strings.Repeat("p", 1000) + "q", ":", "::"} {
		f := memo.New(func(_ context.Context, a string) (string, error) { return fmt.Sprint(i, len(a)), nil },
			memo.Store(s), memo.Prefix(prefix), memo.Name("f\n: "+strings.Repeat("n", 300)), memo.NoLocal(), memo.Tags("a tag "+strings.Repeat("t", 300)),
			memo.NewGroup("group "+strings.Repeat("g", 300)))
		for _, a := range []string{"", "short", "a b\r\n", "\x00\xff", strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20) + "y"} {
			for range 2 {
				if got, err := f.Call(t.Context(), a); got != fmt.Sprint(i, len(a)) || err != nil {
					t.Errorf("prefix %.20q: got %s, %v: it met another key", prefix, got, err)
				}
			}
			if err := f.Invalidate(t.Context(), a); err != nil {
				t.Errorf("prefix %.20q: Invalidate: %v", prefix, err)
			}
		}
		if n := f.Stats().StoreErrors; n > 0 {
			t.Errorf("prefix %.20q: %d operations failed", prefix, n)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keys {
		if len(key) > store.MaxKeyLen || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("a server may refuse %q", key)
		}
	}
}

// keysOf notes the keys that are written.
type keysOf struct {
	*process
	mu   sync.Mutex
	keys []string // guarded by mu
}

func (k *keysOf) note(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append(k.keys, key)
}

func (k *keysOf) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	k.note(key)
	return k.process.Set(ctx, key, value, ttl)
}

func (k *keysOf) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	k.note(key)
	return k.process.Add(ctx, key, value, ttl)
}

// A small store refuses values that are longer than a hundred bytes or so.
type small struct{ store.Store }

func (s small) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	return store.GetMulti(ctx, s.Store, keys)
}

func (s small) Notify(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
	return store.Notify(ctx, s.Store, prefix, sink)
}

func (s small) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	if len(value) > 1000 {
		return fmt.Errorf("%w: too long", store.ErrRefused)
	}
	return s.Store.Swap(ctx, key, old, value, ttl)
}

func TestResultThatTheStoreRefusesIsKeptForLocalTTL(t *testing.T) {
	for _, notifies := range []bool{false, true} {
		t.Run(fmt.Sprintf("notifies=%v", notifies), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &process{Store: memstore.New(nil)}
				s := small{p}
				if notifies {
					s.Store = notifying{p}
				}
				f := memo.New(func(_ context.Context, letter string) (string, error) { return strings.Repeat(letter, 2000), nil },
					memo.Store(s), memo.Name("long"), memo.LocalTTL(30*time.Second), memo.Logger(slog.New(slog.DiscardHandler)))
				for range 20 {
					for _, letter := range []string{"a", "b"} {
						if got, err := f.Call(t.Context(), letter); got != strings.Repeat(letter, 2000) || err != nil {
							t.Errorf("got %.2s..., %v", got, err)
						}
					}
					time.Sleep(1500 * time.Millisecond) // longer than epochs count
				}
				if got := f.Stats().Executions; got != 2 {
					t.Errorf("%d executions within LocalTTL, want one for each of 2 results", got)
				}
				time.Sleep(2 * time.Minute) // until the notifications have ended
			})
		})
	}
}
