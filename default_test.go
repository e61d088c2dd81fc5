package memo_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/function"
)

// A default Disabled was without effect, and without a word, for functions that had
// been called before.
func TestDisabledByDefaultIsEffectiveAtOnce(t *testing.T) {
	defer memo.SetDefault()
	n := 0
	count := func(context.Context, string) (int, error) { n++; return n, nil }
	plain := memo.New(count)
	derived := plain.With(memo.LoadTimeout(time.Hour))
	on := memo.New(count, memo.Disabled(false))
	anyway := plain.With(memo.Disabled(false))
	batch := memo.NewBatch(func(_ context.Context, keys []string) (map[string]int, error) {
		n++
		return map[string]int{keys[0]: n}, nil
	})
	calls := map[string]func() int{
		"Func":   func() int { n, _ := plain.Call(t.Context(), "a"); return n },
		"With":   func() int { n, _ := derived.Call(t.Context(), "a"); return n },
		"Batch":  func() int { n, _ := batch.Call(t.Context(), []string{"a"}); return n["a"] },
		"on":     func() int { n, _ := on.Call(t.Context(), "a"); return n },
		"anyway": func() int { n, _ := anyway.Call(t.Context(), "a"); return n },
	}
	held := map[string]int{}
	for range 10_000 { // hits on the shortest path
		for name, call := range calls {
			held[name] = call()
		}
	}
	memo.SetDefault(memo.Disabled(true))
	for range 2 { // the calls of those that are on must not open a way for the others
		for name, call := range calls {
			got, off := call(), name != "on" && name != "anyway"
			if off == (got == held[name]) {
				t.Errorf("%s: disabled: got %d, %d was held", name, got, held[name])
			}
		}
	}
	if _, err := plain.Peek(t.Context(), "a"); err != memo.ErrMiss {
		t.Errorf("Peek: got %v, want ErrMiss", err)
	}
	memo.SetDefault()
	for name, call := range calls {
		if got := call(); got != held[name] {
			t.Errorf("%s: no longer disabled: got %d, %d was held", name, got, held[name])
		}
	}
}

func TestDisabledByDefaultHoldsForCallsThatBeginLater(t *testing.T) {
	defer memo.SetDefault()
	f := memo.New(func(context.Context, int) (int, error) { return 1, nil })
	stop := make(chan bool)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f.Call(t.Context(), 1)
				}
			}
		})
	}
	for range 200 {
		memo.SetDefault(memo.Disabled(true))
		before := f.Stats().Executions
		f.Call(t.Context(), 1)
		if f.Stats().Executions == before {
			t.Error("a call that began later was answered by what is held")
		}
		memo.SetDefault()
	}
	close(stop)
	wg.Wait()
}

// Other defaults do not reach functions that were used. That is said, once.
func TestDefaultThatComesTooLateIsLogged(t *testing.T) {
	defer memo.SetDefault()
	var log bytes.Buffer
	f := memo.New(func(context.Context, int) (int, error) { return 1, nil })
	f.Call(t.Context(), 1)
	function.Forget()
	memo.SetDefault(memo.Disabled(true), memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	memo.SetDefault(memo.TTL(time.Hour), memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if n := strings.Count(log.String(), "SetDefault was called when functions had been used already"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
}
