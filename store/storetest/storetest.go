// Package storetest checks implementations of [store.Store] against its
// contract.
//
// A backend's own test is a call of [Run] with a function that makes an empty
// store, against the real server. Every failure names the sentence of the
// contract that was broken.
//
// What needs a broken server is not checked here, because it cannot be produced
// from outside: that a context which ends during a call ends the call, that
// errors of the connection come back as errors, that notifications say Up(false)
// and Suspect when they are lost. A backend tests those itself.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/store"
)

// Run checks the stores that newStore makes, one for each case and empty each
// time. Cases are subtests, named topic/case. Those of a topic run in parallel, so
// newStore must be safe for concurrent use; all of them are done when Run returns.
//
// newStore may skip or fail the subtest it is given, and clean up through it.
//
// Without capabilities Run expects an exact clock, values of up to 256 KiB, and a server
// that has no values of other kinds.
// Abilities need no declaration: what the store implements is checked.
//
// No case depends on a wall clock being on time. That something expires is
// awaited with a generous deadline; that nothing expires early is checked
// against the time since before it was written. A slow machine makes Run slower,
// not wrong.
func Run(t *testing.T, newStore func(t *testing.T) store.Store, caps ...Capability) {
	t.Helper()
	limits := limitsOf(caps)
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			for _, c := range topic.cases {
				t.Run(c.name, func(t *testing.T) {
					if limits.bubble {
						synctest.Test(t, func(t *testing.T) { c.run(t, newStore(t), limits) })
						return
					}
					t.Parallel()
					c.run(t, newStore(t), limits)
				})
			}
		})
	}
}

// A Capability declares to [Run] what a store can and cannot do within the
// contract. Of two of one kind the later wins.
type Capability func(*limits)

type limits struct {
	tick     time.Duration // granularity of expiry; 0 is exact
	maxValue int
	bubble   bool
	foreign  func(t testing.TB, s store.Store, key string)
}

func limitsOf(caps []Capability) limits {
	l := limits{maxValue: 256 << 10}
	for _, c := range caps {
		c(&l)
	}
	return l
}

// TTLGranularity declares that the store counts expiry in ticks of d: a second for
// memcached, a millisecond for Redis. Run then accepts that values live up to three
// ticks longer than their ttl; they may never live shorter. The default, zero, is
// a store that is exact. A negative d panics.
func TTLGranularity(d time.Duration) Capability {
	if d < 0 {
		panic(fmt.Sprintf("memo: storetest: TTLGranularity(%v) is negative; give the tick of the store's clock, or 0 for an exact one", d))
	}
	return func(l *limits) { l.tick = d }
}

// MaxValue declares the length in bytes of the longest value that the store
// accepts under every key, however long. Run writes one of exactly n bytes, and
// longer ones that the store must keep whole or refuse. The default is 256 KiB.
// An n below [store.TokenSize] panics, because every store must take that much.
func MaxValue(n int) Capability {
	if n < store.TokenSize {
		panic(fmt.Sprintf("memo: storetest: MaxValue(%d) is less than a token; every store takes values of %d bytes", n, store.TokenSize))
	}
	return func(l *limits) { l.maxValue = n }
}

// InBubble makes Run give every case a [testing/synctest] bubble of its own, newStore
// included. Time is then fake: nothing is waited for, and expiry is checked to the
// nanosecond. It is for stores that live in this process, without sockets.
func InBubble() Capability {
	return func(l *limits) { l.bubble = true }
}

// A topic is a file of this package.
type topic struct {
	name  string
	cases []testCase
}

var topics = []topic{
	{"value", valueCases},
	{"ttl", ttlCases},
	{"add", addCases},
	{"swap", swapCases},
	{"delete", deleteCases},
	{"key", keyCases},
	{"context", contextCases},
	{"concurrency", concurrencyCases},
	{"ownership", ownershipCases},
	{"ability", abilityCases},
	{"foreign", foreignCases},
}

type testCase struct {
	name string
	// contract is the sentence that the case checks. It follows each failure.
	contract string
	check    func(*env)
}

func (c testCase) run(t testing.TB, s store.Store, l limits) {
	t.Helper()
	if s == nil {
		t.Fatalf("newStore returned nil; it must return an empty store")
	}
	c.check(&env{t: t, ctx: t.Context(), s: s, limits: l, contract: c.contract})
}

// env is what a case works with. It takes a testing.TB so that this package's own
// tests can watch cases fail.
type env struct {
	t   testing.TB
	ctx context.Context
	s   store.Store
	limits
	contract string
}

func (e *env) errorf(format string, args ...any) {
	e.t.Helper()
	e.t.Errorf("%s\n\tcontract: %s", fmt.Sprintf(format, args...), e.contract)
}

func (e *env) fatalf(format string, args ...any) {
	e.t.Helper()
	e.t.Fatalf("%s\n\tcontract: %s", fmt.Sprintf(format, args...), e.contract)
}

// newValue returns a token and a value that begins with it and ends in text.
func newValue(text string) (store.Token, []byte) {
	token := store.NewToken()
	return token, append(token[:], text...)
}

func (e *env) set(key string, value []byte, ttl time.Duration) {
	e.t.Helper()
	if err := e.s.Set(e.ctx, key, value, ttl); err != nil {
		e.fatalf("Set(%s, %s, %v) = %v, want nil", brief(key), brief(value), ttl, err)
	}
}

func (e *env) add(key string, value []byte, ttl time.Duration) {
	e.t.Helper()
	if err := e.s.Add(e.ctx, key, value, ttl); err != nil {
		e.fatalf("Add(%s, %s, %v) = %v, want nil", brief(key), brief(value), ttl, err)
	}
}

func (e *env) swap(key string, old store.Token, value []byte, ttl time.Duration) {
	e.t.Helper()
	if err := e.s.Swap(e.ctx, key, old, value, ttl); err != nil {
		e.fatalf("Swap(%s, the token there, %s, %v) = %v, want nil", brief(key), brief(value), ttl, err)
	}
}

func (e *env) delete(keys ...string) {
	e.t.Helper()
	if err := e.s.Delete(e.ctx, keys...); err != nil {
		e.fatalf("Delete of %d keys = %v, want nil", len(keys), err)
	}
}

func (e *env) want(key string, want []byte) {
	e.t.Helper()
	got, err := e.s.Get(e.ctx, key)
	if err != nil {
		e.fatalf("Get(%s) = %v, want %s", brief(key), err, brief(want))
	}
	if !bytes.Equal(got, want) {
		e.errorf("Get(%s) = %s, want %s", brief(key), brief(got), brief(want))
	}
}

func (e *env) wantAbsent(key string) {
	e.t.Helper()
	if got, err := e.s.Get(e.ctx, key); !errors.Is(err, store.ErrNotFound) {
		e.errorf("Get(%s) = %s, %v, want ErrNotFound", brief(key), brief(got), err)
	}
}

// wantErr checks the error of the operation that op describes.
func (e *env) wantErr(op string, got, want error) {
	e.t.Helper()
	if !errors.Is(got, want) {
		e.errorf("%s = %v, want an error wrapping %q", op, got, want)
	}
}

// slack is how far a real clock is let off: servers that count milliseconds cut
// off the rest, and a busy machine is late.
func (e *env) slack() (early, late time.Duration) {
	if e.bubble {
		return 0, 0
	}
	return 2 * time.Millisecond, 10 * time.Second
}

// short is a ttl to be waited for. It is no multiple of the tick, so that rounding
// shows.
func (e *env) short() time.Duration {
	return e.tick + e.tick/2 + 50*time.Millisecond
}

// written is a value that is to expire.
type written struct {
	key   string
	start time.Time // before it was written
	ttl   time.Duration
}

// awaitExpiry waits until all values are gone. It fails if one is too early or too
// late, and looks at all of them in turn, so that none goes unseen.
func (e *env) awaitExpiry(values ...written) {
	e.t.Helper()
	var longest time.Duration
	for _, v := range values {
		longest = max(longest, v.ttl)
	}
	step := min(max(longest/20, time.Millisecond), 50*time.Millisecond)
	for {
		values = slices.DeleteFunc(values, e.gone)
		if len(values) == 0 {
			return
		}
		time.Sleep(step)
	}
}

// gone reports whether v has expired, and fails if that is too early or too late.
func (e *env) gone(v written) bool {
	e.t.Helper()
	early, late := e.slack()
	asked := time.Since(v.start)
	got, err := e.s.Get(e.ctx, v.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if lived := time.Since(v.start); lived < v.ttl-early {
			e.errorf("a value with a ttl of %v was gone after %v", v.ttl, lived)
		}
		return true
	case err != nil:
		e.fatalf("Get(%s) = %v, want the value or ErrNotFound", brief(v.key), err)
	case asked > v.ttl+e.rounding()+late:
		e.fatalf("Get(%s) = %s still, %v after it was written with a ttl of %v", brief(v.key), brief(got), asked, v.ttl)
	}
	return false
}

// rounding is how much longer than its ttl a value may live.
func (e *env) rounding() time.Duration { return 3 * e.tick }

// outlast waits until everything written before with ttl has expired. With zero it
// waits for what a store might wrongly do a moment later.
func (e *env) outlast(ttl time.Duration) {
	time.Sleep(ttl + e.rounding() + 10*time.Millisecond)
}

// inTime calls attempt with a ttl, and again with twice as much until it returns
// before the ttl is over: what a slow machine did too late proves nothing. It
// returns the ttl that was long enough.
func (e *env) inTime(attempt func(ttl time.Duration)) time.Duration {
	for ttl := e.short(); ; ttl *= 2 {
		start := time.Now()
		attempt(ttl)
		if time.Since(start) < ttl {
			return ttl
		}
	}
}

// eventually waits until done returns true.
func (e *env) eventually(what string, done func() bool) {
	e.t.Helper()
	for start := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			e.fatalf("after 10 s still not: %s", what)
		}
	}
}

// brief quotes a key or value for a message.
func brief[T string | []byte](b T) string {
	if len(b) > 48 {
		return fmt.Sprintf("%q... (%d bytes)", string(b[:32]), len(b))
	}
	return fmt.Sprintf("%q", string(b))
}

// pattern returns n bytes. Those of n+1 begin otherwise.
func pattern(n int) []byte {
	return []byte(strings.Repeat(string(rune('a'+n%26)), n))
}
