package entry

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/tags"
	"github.com/seed-0226adef/memo/internal/values"
	"github.com/seed-0226adef/memo/internal/wire"
)

// A Config is what the options say of the calls through one handle.
type Config struct {
	fresh.Policy
	SoftTimeout  time.Duration // how long a call with an old result waits for fn; zero for no such limit
	LoadTimeout  time.Duration // bounds fn; zero for no limit
	StoreTimeout time.Duration // bounds what a call waits for the store; zero for no limit
	ErrorTTL     time.Duration // how long an error that errorMatch accepts is remembered
	ErrorMatch   func(error) bool
	MissingTTL   time.Duration // how long it is remembered that fn of a batch left a key out
	Codec        codec.Codec
	LocalTTL     time.Duration // how long a copy of a shared result is trusted; negative: not given
	HasSince     bool          // no copy is used, and no epoch, that the store was not asked for after Since
	Since        int64
	Confirm      bool // what is used of the store, it has to confirm now: no copy, and no epoch that was read before
	Tags         []string
	InheritTTL   bool
	ContextFrom  func(context.Context) context.Context
	Logger       *slog.Logger // nil for the default one

	Cloned  bool                                                                                 // every caller gets a copy of a result
	Keeps   func(value any, err error) bool                                                      // which results are kept
	Asks    bool                                                                                 // keeps is the user's
	Observe func(ctx context.Context, kind EventKind, key string, took time.Duration, err error) // nil if nobody observes
	Needs   []fleet.Need                                                                         // the epochs that its results depend on
}

// Log returns the logger in use.
func (p *Config) Log() *slog.Logger {
	if p.Logger != nil {
		return p.Logger
	}
	return slog.Default()
}

// Lend returns the context for what a call under ctx may leave behind; see nested.Lend.
func (p *Config) Lend(ctx context.Context) context.Context { return nested.Lend(ctx, p.ContextFrom) }

// Lifetime returns what the policy, and fn itself by its hints, say about a
// result.
func (p *Config) Lifetime(h *nested.Hint) fresh.Lifetime {
	l := fresh.Lifetime{TTL: p.TTL, Jitter: p.Jitter, Stale: p.Stale(), Inherit: clock.Forever}
	if h.HasTTL {
		l.TTL = h.TTL
	}
	if p.InheritTTL {
		l.Inherit = h.Fresh
	}
	return l
}

// A Typing is what is known of the type of results, R. They are a *R in an any, so that a
// nil interface is a result too; an Entry, of which there are many, has the pointer alone.
type Typing struct {
	values.Usage
	Size    func(value any) int64          // of a *R, on the heap
	Blank   func() any                     // a new *R
	Any     func(p unsafe.Pointer) any     // p as a *R; nil for nil
	Pointer func(value any) unsafe.Pointer // the reverse
}

// TypingOf returns the Typing of R.
func TypingOf[R any]() Typing {
	return Typing{
		Usage: values.UsageOf(reflect.TypeFor[R]()),
		Size:  values.SizeOf[R](),
		Blank: func() any { return new(R) },
		Any: func(p unsafe.Pointer) any {
			if p == nil {
				return nil
			}
			return (*R)(p)
		},
		Pointer: func(value any) unsafe.Pointer {
			if value == nil {
				return nil
			}
			return unsafe.Pointer(value.(*R))
		},
	}
}

// An EventKind says what happened. The kinds are those of memo.EventKind.
type EventKind int

const (
	EventHit EventKind = iota + 1
	EventSharedHit
	EventStaleHit
	EventMiss
	EventJoined
	EventExecution
	EventInvalidation
	EventClear
	EventExpiry
)

// Tell tells the observers, if there are any. key need not outlive the call.
func (p *Config) Tell(ctx context.Context, kind EventKind, key string) {
	if p.Observe != nil {
		p.Observe(ctx, kind, strings.Clone(key), 0, nil)
	}
}

// DisabledByDefault says that functions are disabled for which no level but the
// defaults says anything of it. While it is set, no hit is answered without a look at its
// function.
var DisabledByDefault atomic.Bool

// AllTags returns the policy's own tags, in space, and more.
func (p *Config) AllTags(space *tags.Namespace, more []tags.Tag) []tags.Tag {
	if len(p.Tags) == 0 {
		return more
	}
	all := make([]tags.Tag, 0, len(p.Tags)+len(more))
	for _, t := range p.Tags {
		all = append(all, tags.Tag{Space: space, Name: t})
	}
	return append(all, more...)
}

// EpochLife returns the life of the epochs that p's results record, as far as p tells.
func (p *Config) EpochLife() time.Duration {
	if p.TTL == fresh.Forever || p.TTL > fresh.Forever-p.Stale() {
		return 0
	}
	return wire.EpochLife(p.TTL + p.Stale())
}

// Remembers reports whether err is one of those that CacheErrors is for.
func (p *Config) Remembers(err error) bool {
	return err != nil && p.ErrorTTL > 0 && p.ErrorMatch(err)
}

// Verdict says what a call may do at t with a result, or with none.
func (p *Config) Verdict(e *Entry, t int64) fresh.Verdict {
	if e == nil {
		return fresh.Unusable
	}
	v := e.Window.Verdict(t, &p.Policy, Draw)
	if v == fresh.Fallback && e.BacksOff(t) {
		v = fresh.BackingOff
	}
	return v
}

// Leaves returns how long a caller that has waited for the store for took may go on doing
// so; zero is no limit.
func (p *Config) Leaves(took time.Duration) time.Duration {
	if p.StoreTimeout == 0 {
		return 0
	}
	return max(p.StoreTimeout-took, time.Nanosecond)
}

// AskEpochs asks for those epochs that are not known to a call under p, within StoreTimeout
// altogether.
func (p *Config) AskEpochs(ctx context.Context, dependencies []fleet.Dependency) {
	keys, asked := map[*fleet.Keyspace][]string{}, map[fleet.EpochAt]bool{}
	for _, d := range dependencies {
		at := fleet.EpochAt{Keyspace: d.Keyspace, Key: d.Key}
		if e, known := d.Keyspace.Epoch(d.Key, clock.Now()); (!known || p.TooEarly(&e)) && !asked[at] {
			asked[at] = true
			keys[d.Keyspace] = append(keys[d.Keyspace], d.Key)
		}
	}
	by := storeclient.DeadlineIn(p.StoreTimeout)
	for k, keys := range keys {
		if values, sent, _ := k.Read(ctx, by, keys); values != nil { // some of them, if one key fails
			k.NoteEpochs(keys, values, sent)
		}
	}
}
