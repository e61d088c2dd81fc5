// Package entry is a result of a function in this process, and what decides about its use.
//
//   - An Entry is a result; a Rest is what few have; a Location says where it is in a store.
//   - A Config is what the options say of the calls through one handle.
//   - A Typing is what is known of the type of results.
//   - Counters count what a function does, for Stats.
//   - Failing are results whose refresh has failed.
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
	"unsafe"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/tags"
	"github.com/seed-0226adef/memo/internal/tier"
	"github.com/seed-0226adef/memo/store"
)

// ErrAbsent stands for the result of a key that fn left out.
var ErrAbsent = errors.New("memo: fn has no value for the key")

// An Entry is one result of a function in this process; what a store holds of it is
// a wire.Record. Its plain fields, and those of its Rest, are set by its maker, until it is
// held (Cache.hold) or handed to waiters (Call.release); from then on only its atomic
// fields change.
//
// Its 96 bytes are a size class of Go's allocator. What a hit reads comes first.
type Entry struct {
	tier.Item // Until is the instant until which the coarse time suffices to call the entry fresh

	// ValidAt is the sequence number at which the entry was last found not to be overtaken.
	// Before anyone looks at it, that is the number which its execution noted before it began.
	ValidAt atomic.Uint64

	Value unsafe.Pointer // a *R; nil if there is none. See Typing
	rest  atomic.Pointer[Rest]

	fresh.Window       // when it may be used
	Wall         int64 // the time of day when fn returned, in nanoseconds since 1970
}

// A Rest is what few entries have: an error, tags, a place in a store, failures.
type Rest struct {
	Err           error
	Unkept        bool // the value is no result: it came with an error, and CacheIf did not accept it
	nested.Origin      // what it depends on

	// With shared stores, its own function's or those of others whose results
	// it was made from.
	Location *Location // where it is in the store; nil without one
	Asked    int64     // when it was read from the store or, where it is not there, fn was started
	Exact    bool      // the coarse time must not be used for it

	// failures counts attempts in a row to refresh the entry that failed, and
	// retryAt is when the next one may begin. They are written under the mu of
	// the key's shard.
	failures atomic.Uint32
	retryAt  atomic.Int64
}

// nothing is the Rest of entries that have none. It does not change.
var nothing = Rest{Origin: nested.Origin{Trusted: clock.Forever}}

// New returns the entry of a result that fn returned at read, with the sequence number that
// its execution noted before it began.
func New(key string, value unsafe.Pointer, w fresh.Window, read time.Time, born uint64) *Entry {
	e := new(Entry)
	e.init(key, value, w, read, born)
	return e
}

// NewIn is New for a result that is in a store, or is going to be. It takes one piece of memory.
func NewIn(at Location, key string, value unsafe.Pointer, w fresh.Window, read time.Time, born uint64) *Entry {
	whole := new(struct {
		entry    Entry
		rest     Rest
		location Location
	})
	whole.rest.Trusted, whole.rest.Location, whole.location = clock.Forever, &whole.location, at
	whole.entry.rest.Store(&whole.rest)
	whole.entry.init(key, value, w, read, born)
	return &whole.entry
}

func (e *Entry) init(key string, value unsafe.Pointer, w fresh.Window, read time.Time, born uint64) {
	e.Key, e.Value, e.Window, e.Wall = key, value, w, read.UnixNano()
	e.ValidAt.Store(born)
	if clock.Bubbled(read) && !clock.Faked(w.Created) { // what is faked has no coarse time anyway
		e.Own().Exact = true
	}
}

// Rest returns what e has besides its value and its window. It is to be read only.
func (e *Entry) Rest() *Rest {
	if r := e.rest.Load(); r != nil {
		return r
	}
	return &nothing
}

// Own returns the Rest of e, for its maker to write to.
func (e *Entry) Own() *Rest {
	r := e.rest.Load()
	if r == nil {
		r = &Rest{Origin: nested.Origin{Trusted: clock.Forever}}
		e.rest.Store(r)
	}
	return r
}

// Err returns the error that fn returned with the value.
func (e *Entry) Err() error { return e.Rest().Err }

// Kept reports whether the value is a result: it came without an error, or CacheIf accepted
// it with one.
func (e *Entry) Kept() bool { return !e.Rest().Unkept }

// Tags returns what the entry is found by.
func (e *Entry) Tags() []tags.Tag { return e.Rest().Tags }

// Location returns where e is in a store, or nil.
func (e *Entry) Location() *Location { return e.Rest().Location }

// Alone reports whether e is good for as long as nothing of this process says otherwise: no
// store has to be asked.
func (r *Rest) Alone() bool {
	return r.Location == nil && len(r.Dependencies) == 0 && !r.Incomplete
}

// Propagates reports whether a call that returns e may have to tell an execution
// around it what e brings with it. While nothing is being executed there is
// nobody to tell; before anyone uses InheritTTL, only tags matter.
func (e *Entry) Propagates() bool {
	return nested.Executing.Load() != 0 && (len(e.Tags()) > 0 || nested.Inheritors.Load())
}

// Propagate hands what e brings with it to the execution that ctx belongs to.
func (e *Entry) Propagate(ctx context.Context) {
	if e.Propagates() {
		nested.Of(ctx).Merge(&e.Rest().Origin, e.Fresh)
	}
}

// StoreKey implements [tier.Entry].
func (e *Entry) StoreKey() string {
	if l := e.Location(); l != nil {
		return l.Key
	}
	return ""
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
func (e *Entry) Stored() bool {
	l := e.Location()
	return l != nil && l.Token != store.Token{}
}

// Doubtful reports whether something was reported of the entry's key since it
// was read. What the store does not have is no copy of what has changed there.
func (e *Entry) Doubtful() bool {
	if !e.Stored() {
		return false
	}
	l := e.Location()
	n := &l.Keyspace.Notifications
	return n.Generation.Load() != l.Generation || n.Of(l.Key).Load() != l.Reports
}

// Bound returns until when a call under p may use e without asking its store, and
// whether all epochs that this depends on are known. An instant that is past
// says that e must not be used. expired is when e has expired with an epoch, if it has.
func (e *Entry) Bound(p *Config, t int64) (until int64, sure bool, expired int64) {
	r := e.Rest()
	until, expired = r.Trusted, clock.Forever
	if p.HasSince && (r.Location != nil && r.Asked <= p.Since || r.Incomplete && e.Began() <= p.Since) {
		return never, true, expired
	}
	if l := r.Location; l != nil {
		n := &l.Keyspace.Notifications
		state := n.State.Load()
		if e.Stored() && (n.Generation.Load() != l.Generation || state == fleet.Broken) {
			return never, true, expired
		}
		if r.Err == nil || r.Err == ErrAbsent { // errors stay in this process, and are no copies
			until = min(until, clock.After(r.Asked, p.trustFor(state)))
		}
	}
	if t >= until {
		return never, true, expired
	}
	sure = true
	for _, f := range r.Dependencies {
		epoch, known := f.Keyspace.Epoch(f.Key, t)
		switch {
		case !known || p.TooEarly(&epoch):
			sure = false
			continue
		case epoch.Token != f.Epoch:
			at, ok := epoch.WhenExpired(f.Epoch)
			if !ok {
				return never, true, expired
			}
			expired = min(expired, at)
		}
		until = min(until, clock.After(epoch.At, fleet.EpochTrust))
	}
	return until, sure, expired
}

// TooEarly reports whether a call under p must not go by an epoch, for when the store was asked
// for it.
func (p *Config) TooEarly(e *fleet.Epoch) bool { return p.HasSince && e.At <= p.Since }

// Expired returns a copy of e that is fresh until t at most.
func (e *Entry) Expired(t int64) *Entry {
	x := &Entry{Item: tier.Item{Key: e.Key}, Value: e.Value, Window: e.Window, Wall: e.Wall}
	x.ValidAt.Store(e.ValidAt.Load())
	x.Window.Expire(t)
	if r := e.rest.Load(); r != nil {
		own := x.Own()
		own.Err, own.Unkept, own.Origin, own.Location, own.Asked, own.Exact = r.Err, r.Unkept, r.Origin, r.Location, r.Asked, r.Exact
		x.Resume(e)
		if r.Err != nil { // a failure is of no use when it is old
			x.End = x.Fresh
		}
	}
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

// RefreshFailed notes a failed attempt at t to replace the entry. The caller holds the mu of
// the key's shard.
func (e *Entry) RefreshFailed(t int64) {
	r := e.Own()
	r.retryAt.Store(clock.After(t, fresh.Backoff(r.failures.Load()+1)))
	r.failures.Add(1)
}

// Resume notes the failed attempts to replace old, another copy of the same result. Nobody
// else has e yet.
func (e *Entry) Resume(old *Entry) {
	e.Own().failures.Store(old.Rest().failures.Load())
	e.Own().retryAt.Store(old.Rest().retryAt.Load())
}

// BacksOff reports whether it is too early at t for another attempt.
func (e *Entry) BacksOff(t int64) bool {
	r := e.Rest()
	return r.failures.Load() > 0 && t < r.retryAt.Load()
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
	r := e.Own()
	r.Trusted = min(r.Trusted, clock.After(e.Began(), fleet.EpochTrust))
}

// Began returns when fn was started: what was invalidated elsewhere since may have overtaken the
// result, and nobody may know.
func (e *Entry) Began() int64 { return e.Created - e.Cost }

// MarkIncomplete notes of an entry with tags that it does not know their epochs. It is trusted
// for as long as a reading of one would be.
func (e *Entry) MarkIncomplete() {
	if len(e.Tags()) > 0 {
		r := e.Own()
		r.Incomplete, r.Trusted = true, min(r.Trusted, clock.After(e.Began(), fleet.EpochTrust))
	}
}

// DependsOn notes epochs that e depends on.
func (e *Entry) DependsOn(more ...fleet.Dependency) {
	r := e.Own()
	r.Dependencies = append(r.Dependencies, more...)
}

// Expire makes e useless to anybody but those who wait for it.
func (e *Entry) Expire() { e.Fresh, e.End = e.Created, e.Created }

// MarkUnverifiable is expire for a result whose tags were invalidated while it was made: what is made
// from it is no better.
func (e *Entry) MarkUnverifiable() {
	e.Expire()
	e.Own().Unverifiable = true
}

// Unpublished returns a copy of e for those who do not wait for its publication, which goes
// on with e.
func (e *Entry) Unpublished(u *nested.Unsettled) *Entry {
	own := &Entry{Item: tier.Item{Key: e.Key}, Value: e.Value, Window: e.Window, Wall: e.Wall}
	own.ValidAt.Store(e.ValidAt.Load())
	r := own.Own()
	r.Err, r.Unkept, r.Exact, r.Origin = e.Err(), !e.Kept(), e.Rest().Exact, e.Rest().Origin
	r.Unsettled, r.Unverifiable = []*nested.Unsettled{u}, false
	own.MarkIncomplete()
	return own
}
