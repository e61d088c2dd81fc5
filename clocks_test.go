package memo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// offClock returns a store as a process sees it whose clock is off, to others: what it
// writes was made at another time. A positive off is as much as others are behind.
func offClock(s store.Store, off time.Duration) store.Store {
	p := faultstore.New(s)
	p.WriteAs(func(key string, value []byte) []byte { return memo.Shifted(key, value, off) })
	return p
}

// The writer stores a result once. Readers look at different times and cannot make a
// new one, so they return it for as long as they believe in it. What no reader can
// find out is that its clock is behind by less than the result is old; then a copy that
// was read just before the end is good for its LocalTTL.
func TestNoClockMakesAResultOutliveItsExpiryInTheStore(t *testing.T) {
	type clocks struct{ ttl, off, localTTL, grace time.Duration }
	tests := []clocks{{time.Minute, time.Hour, 24 * time.Hour, 0}}
	for _, ttl := range []time.Duration{time.Minute, 2 * time.Hour} {
		for _, off := range []time.Duration{0, time.Second, 20 * time.Second, time.Hour, -time.Second, -time.Hour} {
			tests = append(tests, clocks{ttl, off, time.Second, time.Second})
		}
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v/off by %v/LocalTTL %v", test.ttl, test.off, test.localTTL), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(nil)
				end := test.ttl * 5 / 4
				options := memo.Options{
					memo.Name("read"), memo.TTL(test.ttl), memo.StaleIfError(end - test.ttl), memo.LocalTTL(test.localTTL),
				}
				written := time.Now()
				w := memo.New(func(context.Context, string) (string, error) { return "old", nil },
					append(options, memo.Store(offClock(s, test.off)))...)
				if err := w.Set(t.Context(), "k", "old"); err != nil {
					t.Fatal(err)
				}
				gone := errors.New("the source is gone")
				fail := func(context.Context, string) (string, error) { return "", gone }
				var readers []*memo.Func[string, string]
				const steps = 25
				for range 2 * steps {
					readers = append(readers, memo.New(fail, append(options, memo.Store(faultstore.New(s)))...))
					for i, r := range readers {
						_, err := r.Call(t.Context(), "k")
						age := time.Since(written)
						if err == nil && age >= end+test.grace {
							t.Fatalf("at the age of %v reader %d returns it; the store had it for %v", age, i, end)
						}
						if test.off == 0 && err != nil && age < end {
							t.Fatalf("at the age of %v reader %d returns %v", age, i, err)
						}
					}
					time.Sleep(end / steps)
				}
			})
		})
	}
}
