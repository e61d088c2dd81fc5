// Package entry is a result of a function in this process, and what decides about its use.
//
//   - An Entry is a result; a Location says where it is in a store.
//   - A Config is what the options say of the calls through one handle.
//   - A Typing is what is known of the type of results.
//   - Counters count what a function does, for Stats.
//
// The package knows windows, epochs and weights. It knows neither what is under way for a key
// nor how a result gets into a store.
package entry

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/tier"
	"github.com/seed-0226adef/memo/store"
)

// ErrAbsent stands for the result of a key that fn left out.
var ErrAbsent = errors.New("memo: fn has no value for the key")

// An Entry is one result of a function in this process; what a store holds of it is
// a wire.Record. Its plain fields are set by its maker, until it is
// held (Cache.hold) or handed to waiters (Call.release); from then on only its atomic
// fields change.
type Entry struct {
	// What a hit reads comes first, to be close together.

	tier.Item // Until is the instant until which the coarse time suffices to call the entry fresh
	// ValidAt is the sequence number at which the entry was last found not to
	// be overtaken.
	ValidAt atomic.Uint64

	Value         any // *R, so that a nil interface is a value too
	Err           error
	Kept          bool      // value is a result: it came without an error, or CacheIf accepted it with one
	nested.Origin           // what it depends on
	Born          uint64    // the sequence number that its execution noted before it began
	fresh.Window            // when it may be used
	Read          time.Time // the time of day when fn returned

	// With shared stores, its own function's or those of others whose results
	// it was made from.
	Location *Location // where it is in the store; nil without one
	Asked    int64     // when it was read from the store, or executed
	Exact    bool      // the coarse time must not be used for it

	// Failures counts attempts in a row to refresh the entry that failed, and
	// retryAt is when the next one may begin. They are written under the mu of
	// the key's shard.
	Failures atomic.Uint32
	RetryAt  atomic.Int64
}

// Propagates reports whether a call that returns e may have to tell an execution
// around it what e brings with it. While nothing is being executed there is
// nobody to tell; before anyone uses InheritTTL, only tags matter.
func (e *Entry) Propagates() bool {
	return nested.Executing.Load() != 0 && (len(e.Tags) > 0 || nested.Inheritors.Load())
}

// Propagate hands what e brings with it to the execution that ctx belongs to.
func (e *Entry) Propagate(ctx context.Context) {
	if e.Propagates() {
		nested.Of(ctx).Merge(&e.Origin, e.Fresh)
	}
}

// StoreKey implements [tier.Entry].
func (e *Entry) StoreKey() string {
	if e.Location == nil {
		return ""
	}
	return e.Location.Key
}

// A Location says where a result is in a store.
type Location struct {
	Keyspace   *fleet.Keyspace
	Key        string
	Token      store.Token // zero if the result is not there, and others' would be
	Generation uint64      // of the notifications when the result was read or written
	Reports    uint32      // how many reports of the key there had been
}

// Stored reports whether e is a copy of what a store holds.
func (e *Entry) Stored() bool { return e.Location != nil && e.Location.Token != store.Token{} }

// Doubtful reports whether something was reported of the entry's key since it
// was read. What the store does not have is no copy of what has changed there.
func (e *Entry) Doubtful() bool {
	if !e.Stored() {
		return false
	}
	n := &e.Location.Keyspace.Notifications
	return n.Generation.Load() != e.Location.Generation || n.Of(e.Location.Key).Load() != e.Location.Reports
}

// Bound returns until when a call under p may use e without asking its store, and
// whether all epochs that this depends on are known. An instant that is past
// says that e must not be used. expired is when e has expired with an epoch, if it has.
func (e *Entry) Bound(p *Config, t int64) (until int64, sure bool, expired int64) {
	until, expired = e.Trusted, clock.Forever
	if e.Location != nil {
		n := &e.Location.Keyspace.Notifications
		state := n.State.Load()
		if e.Stored() && (n.Generation.Load() != e.Location.Generation || state == fleet.Broken) {
			return never, true, expired
		}
		if e.Err == nil || e.Err == ErrAbsent { // errors stay in this process, and are no copies
			until = min(until, clock.After(e.Asked, p.trustFor(state)))
		}
	}
	if t >= until {
		return never, true, expired
	}
	sure = true
	for _, f := range e.Dependencies {
		r, known := f.Keyspace.Epoch(f.Key, t)
		switch {
		case !known:
			sure = false
			continue
		case r.Token != f.Epoch:
			at, ok := r.WhenExpired(f.Epoch)
			if !ok {
				return never, true, expired
			}
			expired = min(expired, at)
		}
		until = min(until, clock.After(r.At, fleet.EpochTrust))
	}
	return until, sure, expired
}

// Expired returns a copy of e that is fresh until t at most.
func (e *Entry) Expired(t int64) *Entry {
	x := &Entry{
		Item: tier.Item{Key: e.Key}, Value: e.Value, Err: e.Err, Kept: e.Kept, Window: e.Window, Read: e.Read,
		Born: e.Born, Origin: e.Origin, Location: e.Location, Asked: e.Asked, Exact: e.Exact,
	}
	if x.Window.Expire(t); x.Err != nil { // a failure is of no use when it is old
		x.End = x.Fresh
	}
	x.Failures.Store(e.Failures.Load())
	x.RetryAt.Store(e.RetryAt.Load())
	return x
}

// never is what bound returns for a result that must not be used.
const never = math.MinInt64

// The longest that a copy is trusted where LocalTTL is not given.
const (
	heardLocalTTL  = 10 * time.Second
	silentLocalTTL = time.Second
)

// trustFor returns how long a copy is trusted.
func (p *Config) trustFor(state int32) time.Duration {
	switch {
	case p.LocalTTL >= 0:
		return p.LocalTTL
	case state == fleet.Connected:
		return heardLocalTTL
	}
	return silentLocalTTL
}

// RefreshFailed notes a failed attempt at t to replace the entry.
func (e *Entry) RefreshFailed(t int64) {
	e.RetryAt.Store(clock.After(t, fresh.Backoff(e.Failures.Load()+1)))
	e.Failures.Add(1)
}

// BacksOff reports whether it is too early at t for another attempt.
func (e *Entry) BacksOff(t int64) bool {
	return e.Failures.Load() > 0 && t < e.RetryAt.Load()
}

// TTL returns how long the store is to keep e: until the end of its window. That
// is counted by the store's clock alone.
func (e *Entry) TTL() time.Duration {
	if e.End == clock.Forever {
		return 0
	}
	return time.Duration(e.End - e.Created)
}

// Draw returns a random number in (0, 1].
func Draw() float64 { return 1 - rand.Float64() }

// Unstored notes of an entry that it is not in the store though it should be. So no
// report tells of what concerns it, and the store is asked again as soon as a change
// of an epoch would be seen.
func (e *Entry) Unstored() {
	e.Trusted = min(e.Trusted, clock.After(e.Asked, fleet.EpochTrust))
}

// MarkIncomplete notes of an entry with tags that it does not know their epochs. It is trusted
// for as long as a reading of one would be.
func (e *Entry) MarkIncomplete() {
	if len(e.Tags) > 0 {
		e.Incomplete, e.Trusted = true, min(e.Trusted, clock.After(e.Created, fleet.EpochTrust))
	}
}

// Expire makes e useless to anybody but those who wait for it.
func (e *Entry) Expire() { e.Fresh, e.End = e.Created, e.Created }

// MarkUnverifiable is expire for a result whose tags were invalidated while it was made: what is made
// from it is no better.
func (e *Entry) MarkUnverifiable() {
	e.Expire()
	e.Unverifiable = true
}

// Unpublished returns a copy of e for those who do not wait for its publication, which goes
// on with e.
func (e *Entry) Unpublished(u *nested.Unsettled) *Entry {
	own := &Entry{
		Item: tier.Item{Key: e.Key}, Value: e.Value, Err: e.Err, Kept: e.Kept, Window: e.Window, Read: e.Read,
		Born: e.Born, Origin: e.Origin,
	}
	own.Unsettled, own.Unverifiable = []*nested.Unsettled{u}, false
	own.MarkIncomplete()
	return own
}
