package engine

import (
	"context"
	"errors"
	"math"
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
	// validAt is the sequence number at which the entry was last found not to
	// be overtaken.
	validAt atomic.Uint64

	Value         any // *R, so that a nil interface is a value too
	Err           error
	Kept          bool      // value is a result: it came without an error, or CacheIf accepted it with one
	nested.Origin           // what it depends on
	born          uint64    // the sequence number that its execution noted before it began
	fresh.Window            // when it may be used
	Read          time.Time // the time of day when fn returned
	size          int64     // in bytes, for LocalBytes and Stats

	// With shared stores, its own function's or those of others whose results
	// it was made from.
	share *location // where it is in the store; nil without one
	asked int64     // when it was read from the store, or executed
	exact bool      // the coarse time must not be used for it

	// failures counts attempts in a row to refresh the entry that failed, and
	// retryAt is when the next one may begin. They are written under the mu of
	// the key's shard.
	failures atomic.Uint32
	retryAt  atomic.Int64
}

// propagates reports whether a call that returns e may have to tell an execution
// around it what e brings with it. While nothing is being executed there is
// nobody to tell; before anyone uses InheritTTL, only tags matter.
func (e *Entry) propagates() bool {
	return nested.Executing.Load() != 0 && (len(e.Tags) > 0 || nested.Inheritors.Load())
}

// Propagate hands what e brings with it to the execution that ctx belongs to.
func (e *Entry) Propagate(ctx context.Context) {
	if e.propagates() {
		nested.Of(ctx).Merge(&e.Origin, e.Fresh)
	}
}

// Bytes implements [tier.Entry].
func (e *Entry) Bytes() int64 { return e.size }

// StoreKey implements [tier.Entry].
func (e *Entry) StoreKey() string {
	if e.share == nil {
		return ""
	}
	return e.share.key
}

// A location says where a result is in a store.
type location struct {
	keyspace   *fleet.Keyspace
	key        string
	Token      store.Token // zero if the result is not there, and others' would be
	generation uint64      // of the notifications when the result was read or written
	reports    uint32      // how many reports of the key there had been
}

// stored reports whether e is a copy of what a store holds.
func (e *Entry) stored() bool { return e.share != nil && e.share.Token != store.Token{} }

// doubtful reports whether something was reported of the entry's key since it
// was read. What the store does not have is no copy of what has changed there.
func (e *Entry) doubtful() bool {
	if !e.stored() {
		return false
	}
	n := &e.share.keyspace.Notifications
	return n.Generation.Load() != e.share.generation || n.Of(e.share.key).Load() != e.share.reports
}

// bound returns until when a call under p may use e without asking its store, and
// whether all epochs that this depends on are known. An instant that is past
// says that e must not be used.
func (e *Entry) bound(p *Config, t int64) (until int64, sure bool) {
	until = e.Trusted
	if e.share != nil {
		n := &e.share.keyspace.Notifications
		state := n.State.Load()
		if e.stored() && (n.Generation.Load() != e.share.generation || state == fleet.Broken) {
			return never, true
		}
		if e.Err == nil || e.Err == ErrAbsent { // errors stay in this process, and are no copies
			until = min(until, clock.After(e.asked, p.trustFor(state)))
		}
	}
	if t >= until {
		return never, true
	}
	sure = true
	for _, f := range e.Dependencies {
		r, known := f.Keyspace.Epoch(f.Key, t)
		switch {
		case !known:
			sure = false
			continue
		case r.Token != f.Epoch:
			return never, true
		}
		until = min(until, clock.After(r.At, fleet.EpochTrust))
	}
	return until, sure
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

// refreshFailed notes a failed attempt at t to replace the entry.
func (e *Entry) refreshFailed(t int64) {
	e.retryAt.Store(clock.After(t, fresh.Backoff(e.failures.Load()+1)))
	e.failures.Add(1)
}

// backsOff reports whether it is too early at t for another attempt.
func (e *Entry) backsOff(t int64) bool {
	return e.failures.Load() > 0 && t < e.retryAt.Load()
}
