package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A panic of the store's client in a look-up left this behind: every later call for
// the key waited for it. In a Swap it ended the process.
func TestPanicOfTheStoreIsAFailure(t *testing.T) {
	for name, op := range map[string]faultstore.Op{"get": faultstore.Get, "add": faultstore.Add, "swap": faultstore.Swap} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := faultstore.New(memstore.New(nil))
				end := func() {}
				panics := func() {
					end()
					end = p.Before(op, faultstore.First(1, faultstore.Panic("the client's fault")))
				}
				f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"))
				b := memo.NewBatch(func(_ context.Context, keys []int) (map[int]int, error) {
					return map[int]int{1: 1, 2: 2, 3: 3}, nil
				}, memo.Store(p), memo.Name("b"))
				for range 2 {
					panics()
					if got, err := f.Call(t.Context(), 1); got != 1 || err != nil {
						t.Errorf("got %v, %v", got, err)
					}
				}
				panics()
				for _, keys := range [][]int{{1, 2, 3}, {2}} {
					if got, err := b.Call(t.Context(), keys); len(got) != len(keys) || err != nil {
						t.Errorf("got %v, %v", got, err)
					}
				}
			})
		})
	}
}

// An explosive is a codec of a user's that panics.
type explosive struct {
	codec.Codec
	in string
}

func (p explosive) Name() string { return "explosive" }

func (p explosive) Append(b []byte, v any) ([]byte, error) {
	if p.in == "Append" {
		panic("the codec's fault")
	}
	return p.Codec.Append(b, v)
}

func (p explosive) Decode(b []byte, v any) error {
	if p.in == "Decode" {
		panic("the codec's fault")
	}
	return p.Codec.Decode(b, v)
}

// A panic in Append ended the process, one in Decode was the caller's.
func TestPanicOfACodecIsAMiss(t *testing.T) {
	for _, in := range []string{"Append", "Decode"} {
		t.Run(in, func(t *testing.T) {
			s := memstore.New(nil)
			for range 2 {
				f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil },
					memo.Store(faultstore.New(s)), memo.Name("f"), memo.Codec(explosive{codec.JSON, in}), quietly)
				if got, err := f.Call(t.Context(), 1); got != 1 || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
}

// A moody is an argument whose method panics when it is asked for the nth time.
type moody struct {
	text  string
	calls *atomic.Int64
	nth   int64
}

func (m moody) MarshalText() ([]byte, error) {
	if m.calls.Add(1) == m.nth {
		panic("in a mood")
	}
	return []byte(m.text), nil
}

// A panic of the argument's own method, where it was asked for the key in the store,
// left a look-up, a flight or the mark of a Set behind, which nobody ended; the next
// calls waited for it, or looked at it again and again.
func TestPanicOfAnArgumentHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(_ context.Context, m moody) (int, error) { return 1, nil }, memo.Store(faultstore.New(memstore.New(nil))), memo.Name("f"),
			memo.TTL(time.Nanosecond), memo.StaleIfError(time.Hour))
		for what, do := range map[string]func(moody){
			"Call":    func(m moody) { f.Call(t.Context(), m) },
			"Set":     func(m moody) { f.Set(t.Context(), m, 1) },
			"Refresh": func(m moody) { f.Refresh(t.Context(), m) },
			"Peek":    func(m moody) { f.Peek(t.Context(), m) },
		} {
			for nth := range int64(6) {
				func() {
					defer func() { recover() }()
					do(moody{what, new(atomic.Int64), nth})
				}()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if _, err := f.Call(ctx, moody{what, new(atomic.Int64), 0}); err != nil {
					t.Errorf("after a panic in %s: %v", what, err)
				}
				cancel()
				time.Sleep(time.Second)
			}
		}
	})
}

// A store that swallows requests costs a call one StoreTimeout, and not one for each
// operation.
func TestStoreThatSwallowsRequestsCostsOneTimeout(t *testing.T) {
	for what, ops := range map[string]faultstore.Op{"all": faultstore.All, "writes": faultstore.Writes} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, g := faultstore.New(memstore.New(nil)), memo.NewGroup("g")
				p.Before(ops, faultstore.Hang)
				f := memo.New(func(_ context.Context, k string) (string, error) { return k, nil },
					memo.Store(p), memo.Name("f"), g, memo.Tags("t"), quietly)
				for _, c := range []struct {
					what string
					do   func()
				}{
					{"Call", func() { f.Call(t.Context(), "1") }},
					{"Call", func() { f.Call(t.Context(), "2") }},
					{"Refresh", func() { f.Refresh(t.Context(), "3") }},
					{"Set", func() { f.Set(t.Context(), "3", "") }},
					{"InvalidateTags", func() { g.InvalidateTags(t.Context(), "t") }},
				} {
					began := time.Now()
					c.do()
					if took := time.Since(began); took > 250*time.Millisecond {
						t.Errorf("%s took %v", c.what, took)
					}
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// Callers with deadlines shorter than StoreTimeout hid from the breaker that the store
// did not answer; every call failed.
func TestShortDeadlinesOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil },
			memo.Store(faultstore.New(memstore.New(nil), faultstore.Hang)), memo.Name("f"), quietly)
		failed := 0
		for i := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if _, err := f.Call(ctx, i); err != nil {
				failed++
			}
			cancel()
		}
		if failed > 5 {
			t.Errorf("%d of 100 calls failed", failed)
		}
		time.Sleep(time.Minute)
	})
}

// One function's short StoreTimeout took the store from all others: its timeouts
// opened the breaker.
func TestShortStoreTimeoutOpensNoBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil), faultstore.Delay(5*time.Millisecond))
		fn := func(_ context.Context, n int) (int, error) { return n, nil }
		hasty := memo.New(fn, memo.Store(p), memo.Name("hasty"), memo.StoreTimeout(time.Millisecond), quietly)
		other := memo.New(fn, memo.Store(p), memo.Name("other"), memo.NoLocal(), quietly)
		other.Call(t.Context(), 1)
		for i := range 50 {
			for j := range 4 {
				hasty.Call(t.Context(), 4*i+j)
			}
			other.Call(t.Context(), 1)
			time.Sleep(10 * time.Millisecond)
		}
		if got := other.Stats().Executions; got != 1 {
			t.Errorf("%d executions in 50 calls of another function", got)
		}
		time.Sleep(time.Minute)
	})
}

// A call that joined a look-up waited for it as long as the first caller's
// StoreTimeout allowed.
func TestOwnStoreTimeoutHoldsForAJoinedLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil), faultstore.Delay(time.Hour))
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"), quietly)
		go f.With(memo.StoreTimeout(0)).Call(t.Context(), 1)
		synctest.Wait()
		began := time.Now()
		f.Call(t.Context(), 1)
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("took %v", took)
		}
		time.Sleep(24 * time.Hour)
	})
}

// Without a StoreTimeout nothing bounded Invalidate, not even its context.
func TestInvalidateKeepsItsContextWithoutAStoreTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		mend := p.Before(faultstore.All, faultstore.Hang)
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"), memo.StoreTimeout(0), quietly)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := f.Invalidate(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v", took)
		}
		mend()
		time.Sleep(time.Minute)
	})
}

// With an old result in hand, SoftTimeout did not hold for the look-up in the store.
func TestSoftTimeoutHoldsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"),
			memo.TTL(500*time.Millisecond), memo.StaleIfError(time.Hour), memo.SoftTimeout(10*time.Millisecond), quietly)
		f.Call(t.Context(), 1)
		time.Sleep(600 * time.Millisecond)
		p.Before(faultstore.All, faultstore.Hang)
		began := time.Now()
		f.Call(t.Context(), 1)
		if took := time.Since(began); took != 10*time.Millisecond {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Minute)
	})
}

// For every caller who left while the store was asked, fn was run, with nobody to wait
// for it.
func TestNothingIsExecutedForCallersWhoLeftDuringTheLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(_ context.Context, n int) (int, error) { return n, nil },
			memo.Store(faultstore.New(memstore.New(nil), faultstore.Hang)), memo.Name("f"), quietly)
		for i := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			f.Call(ctx, i)
			cancel()
		}
		time.Sleep(time.Minute)
		if s := f.Stats(); s.Executions != 0 || s.Joined != 100 {
			t.Errorf("got %+v", s)
		}
	})
}

// Calls whose context ended at certain moments counted as none.
func TestEveryCallOfAStoreCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		var wg sync.WaitGroup
		var fs []*memo.Func[int, int]
		const callers, calls = 20, 100
		for range 4 {
			f := memo.New(func(_ context.Context, n int) (int, error) {
				time.Sleep(time.Millisecond)
				return n, nil
			}, memo.Store(faultstore.New(s)), memo.Name("f"),
				memo.TTL(20*time.Millisecond), memo.StaleWhileRevalidate(20*time.Millisecond), memo.LocalTTL(5*time.Millisecond))
			fs = append(fs, f)
			for range callers {
				wg.Go(func() {
					for range calls {
						ctx, cancel := context.WithCancel(t.Context())
						if rand.N(10) == 0 {
							time.AfterFunc(500*time.Microsecond, cancel)
						}
						f.Call(ctx, rand.N(20))
						cancel()
					}
				})
			}
		}
		wg.Wait()
		for _, f := range fs {
			s := f.Stats()
			if sum := s.Hits + s.SharedHits + s.StaleHits + s.Misses + s.Joined; sum != callers*calls {
				t.Errorf("%d calls count as %d: %+v", callers*calls, sum, s)
			}
			if s.StoreErrors > 0 {
				t.Errorf("%d store errors of a store in order", s.StoreErrors)
			}
		}
		time.Sleep(time.Minute)
	})
}

// Set said that it was repeated until it reached the store. It is not.
func TestSetThatTheStoreRefusesStaysInTheProcess(t *testing.T) {
	s := memstore.New(&memstore.Options{MaxBytes: 1000})
	f := memo.New(func(context.Context, int) (string, error) { return "", nil }, memo.Store(faultstore.New(s)), memo.Name("f"), quietly)
	long := strings.Repeat("x", 2000)
	if err := f.Set(t.Context(), 1, long); err != nil {
		t.Error(err)
	}
	if got, _ := f.Call(t.Context(), 1); got != long {
		t.Errorf("got %d bytes", len(got))
	}
	if got := f.Stats().StoreErrors; got != 1 {
		t.Errorf("%d store errors were counted", got)
	}
}

// What a Set that fails was to replace is old, and is deleted as soon as it can be.
func TestSetThatFailsInvalidatesWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p := faultstore.New(s)
		a := memo.New(func(context.Context, int) (string, error) { return "old", nil }, memo.Store(p), memo.Name("f"), quietly)
		a.Call(t.Context(), 1)
		mend := p.Down(errDown)
		err := a.Set(t.Context(), 1, "set")
		if !errors.Is(err, errDown) || strings.Contains(err.Error(), "repeated") {
			t.Errorf("got %v", err)
		}
		mend()
		time.Sleep(time.Minute)
		b := memo.New(func(context.Context, int) (string, error) { return "new", nil }, memo.Store(faultstore.New(s)), memo.Name("f"))
		if got, _ := b.Call(t.Context(), 1); got != "new" {
			t.Errorf("got %q", got)
		}
	})
}

// logs is a handler that calls itself for every record.
type logs func()

func (logs) Enabled(context.Context, slog.Level) bool    { return true }
func (l logs) Handle(context.Context, slog.Record) error { l(); return nil }
func (l logs) WithAttrs([]slog.Attr) slog.Handler        { return l }
func (l logs) WithGroup(string) slog.Handler             { return l }

// That the store was out of order was logged under the breaker's lock: a handler that
// used a memoized function never returned.
func TestLogHandlerMayUseTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil))
		p.Down(errDown)
		var f *memo.Func[int, int]
		var logged atomic.Bool
		f = memo.New(func(_ context.Context, n int) (int, error) { return n, nil }, memo.Store(p), memo.Name("f"),
			memo.Logger(slog.New(logs(func() { f.Call(t.Context(), 99); logged.Store(true) }))))
		for i := range 10 {
			f.Call(t.Context(), i)
		}
		if !logged.Load() {
			t.Error("nothing was logged")
		}
	})
}

// A store whose answers are wrong at random fails no call and holds none up.
func TestRandomFaultsFailNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		faults := []error{errDown, store.ErrConflict, store.ErrExists, store.ErrNotFound}
		fault := func(context.Context, faultstore.Call) error {
			if n := rand.N(24); n < len(faults) {
				return faults[n]
			}
			return nil
		}
		var wg sync.WaitGroup
		for range 3 {
			g, p := memo.NewGroup("g"), faultstore.New(s, fault)
			p.After(faultstore.All, fault)
			f := memo.New(func(ctx context.Context, n int) (int, error) {
				memo.AddTags(ctx, "t")
				return n, nil
			}, memo.Store(p), memo.Name("f"), g, quietly,
				memo.TTL(10*time.Millisecond), memo.StaleIfError(time.Second))
			for range 8 {
				wg.Go(func() {
					for range 100 {
						k, began := rand.N(10), time.Now()
						if got, err := f.Call(t.Context(), k); got != k || err != nil {
							t.Errorf("got %v, %v", got, err)
						}
						if took := time.Since(began); took > 2*time.Second {
							t.Errorf("took %v", took)
						}
						switch rand.N(20) {
						case 0:
							f.Invalidate(t.Context(), k)
						case 1:
							g.InvalidateTags(t.Context(), "t")
						case 2:
							f.Set(t.Context(), k, k)
						case 3:
							f.Refresh(t.Context(), k)
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
		}
		wg.Wait()
		time.Sleep(time.Minute)
	})
}

// Of a store that reads key by key, each round trip of gathered look-ups took as
// long as hundreds of keys do, and timed out.
func TestLookUpsThatWaitSuitAStoreThatReadsKeyByKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(nil)
		p := faultstore.New(s, faultstore.Delay(20*time.Millisecond))
		fn := func(_ context.Context, n int) (int, error) { return n, nil }
		there := memo.New(fn, memo.Store(faultstore.New(s)), memo.Name("f"))
		here := memo.New(fn, memo.Store(p.Bare()), memo.Name("f"), quietly)
		const keys = 600
		for i := range keys {
			there.Call(t.Context(), i)
		}
		here.Call(t.Context(), 0) // which reads the epoch, too
		var wg sync.WaitGroup
		for i := range keys {
			wg.Go(func() { here.Call(t.Context(), i) })
		}
		wg.Wait()
		if got := here.Stats().StoreErrors; got > 0 {
			t.Errorf("%d store errors of a store in order", got)
		}
		time.Sleep(time.Minute)
	})
}

// A write that had failed for its process landed after a later one that had succeeded, and
// every process returned what it brought.
func TestNothingThatLandsLateUndoesWhatWasDoneSince(t *testing.T) {
	type process = memo.Func[string, int64]
	acts := map[string]func(ctx context.Context, f *process, g *memo.Group, v int64) error{
		"Set":            func(ctx context.Context, f *process, _ *memo.Group, v int64) error { return f.Set(ctx, "x", v) },
		"Invalidate":     func(ctx context.Context, f *process, _ *memo.Group, _ int64) error { return f.Invalidate(ctx, "x") },
		"InvalidateTags": func(ctx context.Context, _ *process, g *memo.Group, _ int64) error { return g.InvalidateTags(ctx, "t") },
		"Clear":          func(ctx context.Context, f *process, _ *memo.Group, _ int64) error { return f.Clear(ctx) },
		"Group.Clear":    func(ctx context.Context, _ *process, g *memo.Group, _ int64) error { return g.Clear(ctx) },
	}
	for late, actLate := range acts {
		for later, actLater := range acts {
			for _, filled := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%v", late, later, filled), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := memstore.New(nil)
						var source atomic.Int64
						on := func(s store.Store) (*process, *memo.Group) {
							g := memo.NewGroup("g", memo.Store(s))
							return memo.New(func(context.Context, string) (int64, error) { return source.Load(), nil }, g, memo.Name("f"), memo.Tags("t"), memo.SharedName(), quietly), g
						}
						slow := faultstore.New(s)
						a, ag := on(slow)
						b, bg := on(faultstore.New(s))
						c, _ := on(faultstore.New(s))
						a.Call(t.Context(), "y") // which has begun the epochs
						if filled {
							b.Call(t.Context(), "x")
						}
						mend := slow.Late(faultstore.Writes, time.Second)
						actLate(t.Context(), a, ag, 1)
						mend()
						source.Store(2)
						if err := actLater(t.Context(), b, bg, 2); err != nil {
							t.Fatal(err)
						}
						time.Sleep(10 * time.Second)
						for i, f := range []*process{a, b, c} {
							if got, err := f.Call(t.Context(), "x"); got != 2 || err != nil {
								t.Errorf("process %d got %d, %v, want 2", i, got, err)
							}
						}
					})
				})
			}
		}
	}
}
