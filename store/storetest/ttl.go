package storetest

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed-0226adef/memo/store"
)

var ttlCases = []testCase{
	{
		name:     "zero never expires",
		contract: "a ttl of zero must mean no expiry",
		check: func(e *env) {
			_, value := newValue("")
			e.set("set", value, 0)
			e.add("add", value, 0)
			e.outlast(e.short())
			if e.bubble {
				time.Sleep(10 * 365 * 24 * time.Hour)
			}
			e.want("set", value)
			e.want("add", value)
		},
	},
	{
		name:     "set expires",
		contract: "a value must live for its ttl and no less, and then be absent within three ticks of the store's clock",
		check: func(e *env) {
			_, value := newValue("")
			start := time.Now()
			e.set("k", value, e.short())
			e.awaitExpiry(written{"k", start, e.short()})
		},
	},
	{
		name:     "add expires",
		contract: "Add must make ttl the expiry of the value that it writes",
		check: func(e *env) {
			_, value := newValue("")
			start := time.Now()
			e.add("k", value, e.short())
			e.awaitExpiry(written{"k", start, e.short()})
		},
	},
	{
		name:     "swap expires",
		contract: "Swap must make ttl the expiry of the value that it writes, also where there was none",
		check: func(e *env) {
			token, value := newValue("old")
			_, next := newValue("next")
			e.set("k", value, 0)
			start := time.Now()
			e.swap("k", token, next, e.short())
			e.awaitExpiry(written{"k", start, e.short()})
		},
	},
	{
		name:     "exact",
		contract: "a value must be there until the last nanosecond of its ttl",
		check: func(e *env) {
			if !e.bubble {
				e.t.Skip("only a fake clock stands still to look at")
			}
			const ttl = 90 * time.Second
			_, value := newValue("")
			e.set("k", value, ttl)
			time.Sleep(ttl - 1)
			e.want("k", value)
			time.Sleep(1 + e.rounding())
			e.wantAbsent("k")
		},
	},
	{
		name:     "less than a tick",
		contract: "a ttl of less than one tick of the store's clock must be rounded up to one, never down to none",
		check: func(e *env) {
			var values []written
			write := func(key string, ttl time.Duration, write func(key string)) {
				key = fmt.Sprintf("%s:%d", key, ttl)
				values = append(values, written{key, time.Now(), ttl})
				write(key)
			}
			_, next := newValue("next")
			for _, ttl := range []time.Duration{1, time.Microsecond, max(e.tick/2, 2)} {
				token, value := newValue("old")
				e.set(fmt.Sprintf("swap:%d", ttl), value, 0)
				write("swap", ttl, func(key string) { e.swap(key, token, next, ttl) })
				write("set", ttl, func(key string) { e.set(key, next, ttl) })
				write("add", ttl, func(key string) { e.add(key, next, ttl) })
			}
			e.awaitExpiry(values...) // all at once, since a coarse clock takes its time
		},
	},
	{
		name:     "long",
		contract: "a long ttl must be kept or be cut to the longest that the server knows, never wrap around",
		check: func(e *env) {
			_, value := newValue("")
			// memcached takes more than 30 days for a date, and 32-bit seconds
			// end in 68 years.
			ttls := map[string]time.Duration{
				"hour": time.Hour, "31d": 31 * 24 * time.Hour, "10y": 10 * 365 * 24 * time.Hour,
				"100y": 100 * 365 * 24 * time.Hour, "longest": math.MaxInt64,
			}
			for key, ttl := range ttls {
				e.set(key, value, ttl)
			}
			e.outlast(0)
			for key := range ttls {
				e.want(key, value)
			}
		},
	},
	{
		name:     "negative",
		contract: "a negative ttl must be refused with an error wrapping ErrRefused, and what is under the key stay as it was",
		check: func(e *env) {
			token, value := newValue("old")
			_, next := newValue("next")
			e.set("there", value, 0)
			for _, ttl := range []time.Duration{-1, -time.Second, math.MinInt64} {
				for _, key := range []string{"there", "absent"} {
					e.wantErr("Set with a ttl of "+ttl.String(), e.s.Set(e.ctx, key, next, ttl), store.ErrRefused)
				}
				e.wantErr("Add with a ttl of "+ttl.String(), e.s.Add(e.ctx, "absent", next, ttl), store.ErrRefused)
				e.wantErr("Swap with a ttl of "+ttl.String(), e.s.Swap(e.ctx, "there", token, next, ttl), store.ErrRefused)
				e.want("there", value)
				e.wantAbsent("absent")
			}
		},
	},
	{
		name:     "set replaces expiry",
		contract: "Set must make ttl the expiry, whatever it was before",
		check: func(e *env) {
			_, value := newValue("")
			e.set("longer", value, e.short())
			e.set("longer", value, 0)
			e.set("shorter", value, 0)
			start := time.Now()
			e.set("shorter", value, e.short())
			e.awaitExpiry(written{"shorter", start, e.short()})
			e.outlast(e.short() - time.Since(start))
			e.want("longer", value)
		},
	},
	{
		name:     "swap removes expiry",
		contract: "a Swap with a ttl of zero must leave no expiry",
		check: func(e *env) {
			_, next := newValue("next")
			var err error
			ttl := e.inTime(func(ttl time.Duration) {
				token, value := newValue("old")
				e.set("k", value, ttl)
				err = e.s.Swap(e.ctx, "k", token, next, 0)
			})
			if err != nil {
				e.fatalf("Swap of a value that has not expired = %v, want nil", err)
			}
			e.outlast(ttl)
			e.want("k", next)
		},
	},
	{
		name:     "add after expiry",
		contract: "Add must write over a value that has expired",
		check: func(e *env) {
			_, value := newValue("old")
			_, next := newValue("next")
			err := e.expired("k", value, func() error { return e.s.Add(e.ctx, "k", next, 0) }, store.ErrExists)
			if err != nil {
				e.fatalf("Add over a value that has expired = %v, want nil", err)
			}
			e.want("k", next)
		},
	},
	{
		name:     "swap after expiry",
		contract: "Swap must return ErrConflict when the value has expired, and write nothing",
		check: func(e *env) {
			token, value := newValue("old")
			_, next := newValue("next")
			err := e.expired("k", value, func() error { return e.s.Swap(e.ctx, "k", token, next, 0) }, nil)
			e.wantErr("Swap of a value that has expired", err, store.ErrConflict)
			e.wantAbsent("k")
		},
	},
}

// expired puts value under key and returns what touch does when that has expired. Until
// about then it does not touch the key, since a store may drop what it finds expired: it
// watches another one, which is written later with the same ttl.
//
// The other key may be on another server, whose clock ticks at another time. So as long as
// touch returns early, which says that the value is still there, it is written and touched
// again, within the time that it may live.
func (e *env) expired(key string, value []byte, touch func() error, early error) error {
	e.t.Helper()
	_, late := e.slack()
	for start, again := time.Now(), false; ; again = true {
		e.set(key, value, e.short())
		begun := time.Now()
		e.set("watched", value, e.short())
		if e.awaitExpiry(written{"watched", begun, e.short()}); again {
			e.outlast(e.short() - time.Since(begun)) // as long as the value may live
		}
		for {
			err := touch()
			if !errors.Is(err, early) || time.Since(start) > e.short()+e.rounding()+late {
				return err
			}
			if early == nil { // touch has changed the value that was still there
				break
			}
			time.Sleep(min(max(e.tick/20, time.Millisecond), 50*time.Millisecond))
		}
	}
}
