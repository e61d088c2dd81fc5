package memo_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

func square(_ context.Context, n int) (int, error) { return n * n, nil }

func squares(_ context.Context, ns []int) (map[int]int, error) {
	all := map[int]int{}
	for _, n := range ns {
		all[n] = n * n
	}
	return all, nil
}

// Of a store without GetMulti each key is read in a goroutine of its own: a panic there
// ended the process.
func TestPanicOfAStoreThatReadsKeyByKeyIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := faultstore.New(memstore.New(nil), faultstore.Panic("no client"))
		f := memo.New(square, memo.Store(p.Bare()), memo.Name("square"), quietly)
		b := memo.NewBatch(squares, memo.Store(p.Bare()), memo.Name("squares"), quietly)
		for n := range 5 {
			if got, err := f.Call(t.Context(), n); got != n*n || err != nil {
				t.Errorf("got %d, %v, want %d", got, err, n*n)
			}
			if got, err := b.Call(t.Context(), []int{n, n + 10, n + 20}); len(got) != 3 || err != nil {
				t.Errorf("the batch returned %v, %v", got, err)
			}
		}
		if f.Stats().StoreErrors == 0 {
			t.Error("no store errors were counted")
		}
	})
}

// Calls waited until such a store returned, each of them: the breaker never opened.
func TestStoreThatIgnoresItsContextCostsOneTimeout(t *testing.T) {
	for _, d := range []time.Duration{400 * time.Millisecond, time.Minute} {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := faultstore.New(memstore.New(nil))
				mend := p.Before(faultstore.All, faultstore.Stall(d))
				f := memo.New(square, memo.Store(p.Bare()), memo.Name("square"), quietly)
				b := memo.NewBatch(squares, memo.Store(p.Bare()), memo.Name("squares"), quietly)
				took := func(what string, do func()) time.Duration {
					began := time.Now()
					do()
					took := time.Since(began)
					if took > 250*time.Millisecond {
						t.Errorf("%s took %v", what, took)
					}
					return took
				}
				for n := range 6 {
					last := took("a call", func() {
						if got, err := f.Call(t.Context(), n); got != n*n || err != nil {
							t.Errorf("got %d, %v, want %d", got, err, n*n)
						}
					})
					if n > 2 && last > 0 {
						t.Errorf("call %d took %v: the breaker has not opened", n, last)
					}
				}
				time.Sleep(time.Minute)
				took("a batch", func() { b.Call(t.Context(), []int{1, 2, 3}) })
				took("Set", func() { f.Set(t.Context(), 1, 1) })
				took("Peek", func() { f.Peek(t.Context(), 99) })
				took("Invalidate", func() {
					if err := f.Invalidate(t.Context(), 1); err == nil {
						t.Error("Invalidate did not say that it could not reach the store")
					}
				})
				mend()
				time.Sleep(5 * time.Minute)
			})
		})
	}
}

// A byValue store is a struct, which the language compares by what is in it.
type byValue struct {
	store.Store
	_ []string // cannot be compared
}

// The type of such a store can be compared and its value cannot: New panicked, with an
// error of the runtime.
func TestStoreThatOnlyLooksComparable(t *testing.T) {
	s := struct{ store.Store }{byValue{Store: faultstore.New(memstore.New(nil))}}
	f := memo.New(square, memo.Store(s), memo.Name("square"), memo.NoLocal())
	for range 2 {
		if got, err := f.Call(t.Context(), 3); got != 9 || err != nil {
			t.Errorf("got %d, %v, want 9", got, err)
		}
	}
	if got := f.Stats(); got.SharedHits != 1 || got.StoreErrors != 0 {
		t.Errorf("got %+v, want a hit in the store", got)
	}
}

// A readError is an error by value, as many drivers have them.
type readError struct {
	op  string
	err error
}

func (e readError) Error() string { return fmt.Sprint(e.op, ": ", e.err) }

type errorList []error

func (l errorList) Error() string { return errors.Join(l...).Error() }

// Errors of several keys are told apart; Call panicked at those of which only the type
// can be compared.
func TestErrorOfABatchThatOnlyLooksComparable(t *testing.T) {
	want := readError{"read", errorList{errors.New("a"), errors.New("b")}}
	b := memo.NewBatch(func(context.Context, []int) (map[int]int, error) { return nil, want })
	var got readError
	if _, err := b.Call(t.Context(), []int{1, 2, 3}); !errors.As(err, &got) || err.Error() != want.Error() {
		t.Errorf("got %v, want %v, once", err, want)
	}
}

// All writes of a batch were sent at once, and those that waited in the client were
// taken for operations of a store that is slow. The first batch of a function also began
// its epoch once for each key.
func TestBatchSendsSixteenWritesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under, utmost, all atomic.Int64
		p := faultstore.New(memstore.New(nil))
		p.Before(faultstore.Writes, func(ctx context.Context, c faultstore.Call) error {
			all.Add(1)
			defer under.Add(-1)
			for n, most := under.Add(1), utmost.Load(); n > most && !utmost.CompareAndSwap(most, n); {
				most = utmost.Load()
			}
			return faultstore.Delay(time.Millisecond)(ctx, c)
		})
		b := memo.NewBatch(squares, memo.Store(p), memo.Name("squares"))
		keys := make([]int, 500)
		for i := range keys {
			keys[i] = i
		}
		if got, err := b.Call(t.Context(), keys); len(got) != len(keys) || err != nil {
			t.Errorf("got %d results, %v", len(got), err)
		}
		time.Sleep(time.Second)
		if got := utmost.Load(); got != 16 {
			t.Errorf("%d writes at a time, want 16", got)
		}
		// Those that are under way together draw an epoch each, of which one is in force;
		// a few more may come before they see which.
		if got, want := all.Load(), int64(2*len(keys)+3*16); got > want {
			t.Errorf("%d writes, want no more than %d: a lease and a result for each key, and some epochs", got, want)
		}
	})
}
