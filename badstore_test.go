package memo_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

func TestBytesOfAnotherKeyAreAMissAndReported(t *testing.T) {
	behind := memstore.New(nil)
	var added faultstore.Log
	s := faultstore.New(behind)
	s.Before(faultstore.Add, added.Note)
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
	s.ReadAs(func(key string, value []byte) []byte { // what is under another key
		for _, other := range added.Keys() {
			if other != key && strings.Contains(key, ":-:") && strings.Contains(other, ":-:") {
				value, _ := behind.Get(t.Context(), other)
				return value
			}
		}
		return value
	})
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
			f := memo.New(double, memo.Store(faultstore.New(s)), memo.Name("double"), memo.NoLocal(), memo.Logger(slog.New(slog.DiscardHandler)))
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

// A client that was never made is a mistake of the program, which shows, and leaves
// nobody waiting.
func TestStoreThatPanicsLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faultstore.New(memstore.New(nil))
		s.Before(faultstore.Get|faultstore.Add|faultstore.Ping, faultstore.Panic("no client"))
		f := memo.New(func(_ context.Context, n int) (int, error) { return 2 * n, nil },
			memo.Store(s), memo.Name("double"), memo.Logger(slog.New(slog.DiscardHandler)))
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
	synctest.Test(t, func(t *testing.T) {
		var written faultstore.Log
		s := faultstore.New(memstore.New(nil))
		s.Before(faultstore.Set|faultstore.Add, written.Note)
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
		for _, key := range written.Keys() {
			if len(key) > store.MaxKeyLen || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				t.Errorf("a server may refuse %q", key)
			}
		}
	})
}

func TestResultThatTheStoreRefusesIsKeptForLocalTTL(t *testing.T) {
	for _, notifies := range []bool{false, true} {
		t.Run(fmt.Sprintf("notifies=%v", notifies), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := faultstore.New(memstore.New(nil))
				p.Before(faultstore.Swap, func(_ context.Context, c faultstore.Call) error {
					if len(c.Value) > 1000 {
						return fmt.Errorf("%w: too long", store.ErrRefused)
					}
					return nil
				})
				var s store.Store = p
				if notifies {
					s = p.Notifying()
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
