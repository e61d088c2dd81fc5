package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/store"
)

var concurrencyCases = []testCase{
	{
		name:     "add",
		contract: "of any number of concurrent Adds to an absent key exactly one must write, and the others return ErrExists",
		check: func(e *env) {
			for round := range 20 {
				key := fmt.Sprintf("k%d", round)
				e.oneWins(key, store.ErrExists, func(value []byte) error {
					return e.s.Add(e.ctx, key, value, time.Hour)
				})
			}
		},
	},
	{
		name:     "swap",
		contract: "of any number of concurrent Swaps of one token exactly one must write, and the others return ErrConflict",
		check: func(e *env) {
			for round := range 20 {
				key := fmt.Sprintf("k%d", round)
				token, value := newValue("old")
				e.set(key, value, 0)
				e.oneWins(key, store.ErrConflict, func(value []byte) error {
					return e.s.Swap(e.ctx, key, token, value, time.Hour)
				})
			}
		},
	},
	{
		name:     "counter",
		contract: "a Swap must be atomic: of changes made by reading and swapping none gets lost, and there is no conflict but with a Swap that wrote",
		check: func(e *env) {
			const goroutines, each = 4, 8
			count := func(n uint64) []byte {
				_, value := newValue("")
				return binary.BigEndian.AppendUint64(value, n)
			}
			e.set("counter", count(0), 0)
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					conflicts := 0 // each of which is somebody else's success
					for done := 0; done < each; {
						value, err := e.s.Get(e.ctx, "counter")
						if err != nil || len(value) != store.TokenSize+8 {
							e.errorf("Get = %s, %v, want a token and a number", brief(value), err)
							return
						}
						token, _ := store.TokenOf(value)
						n := binary.BigEndian.Uint64(value[store.TokenSize:])
						switch err := e.s.Swap(e.ctx, "counter", token, count(n+1), 0); {
						case err == nil:
							done++
						case !errors.Is(err, store.ErrConflict):
							e.errorf("Swap = %v, want nil or ErrConflict", err)
							return
						default:
							conflicts++
						}
						if conflicts > (goroutines-1)*each {
							e.errorf("one goroutine met %d conflicts while the others could write %d times", conflicts, (goroutines-1)*each)
							return
						}
					}
				})
			}
			wg.Wait()
			value, err := e.s.Get(e.ctx, "counter")
			if err != nil || len(value) != store.TokenSize+8 {
				e.fatalf("Get = %s, %v, want a token and a number", brief(value), err)
			}
			if got, want := binary.BigEndian.Uint64(value[store.TokenSize:]), uint64(goroutines*each); got != want {
				e.errorf("%d goroutines that each counted to %d left %d, want %d", goroutines, each, got, want)
			}
		},
	},
	{
		name:     "set",
		contract: "Set must replace atomically: a concurrent Get returns one value or another, whole",
		check: func(e *env) {
			written := map[byte][]byte{'a': bytes.Repeat([]byte("a"), 9000), 'b': bytes.Repeat([]byte("b"), 5000)}
			if e.maxValue < 9000 {
				written = map[byte][]byte{'a': bytes.Repeat([]byte("a"), e.maxValue), 'b': bytes.Repeat([]byte("b"), store.TokenSize)}
			}
			e.set("k", written['a'], 0)
			var wg sync.WaitGroup
			for range 2 {
				for _, value := range written {
					wg.Go(func() {
						for range 50 {
							if err := e.s.Set(e.ctx, "k", value, 0); err != nil {
								e.errorf("Set = %v, want nil", err)
								return
							}
						}
					})
				}
				wg.Go(func() {
					for range 100 {
						got, err := e.s.Get(e.ctx, "k")
						if err != nil || len(got) == 0 || !bytes.Equal(got, written[got[0]]) {
							e.errorf("Get = %s, %v, want one of the values written", brief(got), err)
							return
						}
						time.Sleep(100 * time.Microsecond) // spreads the reads over the writes
					}
				})
			}
			wg.Wait()
		},
	},
}

// oneWins calls write from many goroutines at once, each with a value of its own.
// One call must return nil and its value be under key, the others return lost.
func (e *env) oneWins(key string, lost error, write func(value []byte) error) {
	e.t.Helper()
	const goroutines = 16
	var (
		values [goroutines][]byte
		errs   [goroutines]error
		start  = make(chan struct{})
		wg     sync.WaitGroup
	)
	for i := range goroutines {
		_, values[i] = newValue("")
		wg.Go(func() {
			<-start
			errs[i] = write(values[i])
		})
	}
	close(start)
	wg.Wait()

	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			e.fatalf("two of %d concurrent writers won", goroutines)
		case !errors.Is(err, lost):
			e.errorf("a writer that lost got %v, want %q", err, lost)
		}
	}
	if winner < 0 {
		e.fatalf("none of %d concurrent writers won: %v", goroutines, errs)
	}
	e.want(key, values[winner])
}
