package engine

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/nested"
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
	Tags         []string
	InheritTTL   bool
	ContextFrom  func(context.Context) context.Context
	Logger       *slog.Logger // nil for the default one

	Cloned  bool                                                                                 // every caller gets a copy of a result
	Keeps   func(value any, err error) bool                                                      // which results are kept
	Asks    bool                                                                                 // keeps is the user's
	Observe func(ctx context.Context, kind EventKind, key string, took time.Duration, err error) // nil if nobody observes
	needs   []fleet.Need                                                                         // the epochs that its results depend on
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

// lifetime returns what the policy, and fn itself by its hints, say about a
// result.
func (p *Config) lifetime(h *nested.Hint) fresh.Lifetime {
	l := fresh.Lifetime{TTL: p.TTL, Jitter: p.Jitter, Stale: p.Stale(), Inherit: clock.Forever}
	if h.HasTTL {
		l.TTL = h.TTL
	}
	if p.InheritTTL {
		l.Inherit = h.Fresh
	}
	return l
}

// An EventKind says what happened. The kinds are those of memo.EventKind.
type EventKind int

const (
	eventHit EventKind = iota + 1
	eventSharedHit
	eventStaleHit
	eventMiss
	eventJoined
	eventExecution
	eventInvalidation
	EventClear
)

// Tell tells the observers, if there are any. key need not outlive the call.
func (p *Config) Tell(ctx context.Context, kind EventKind, key string) {
	if p.Observe != nil {
		p.Observe(ctx, kind, strings.Clone(key), 0, nil)
	}
}

// DisabledByDefault says that functions are disabled for which no level but the
// defaults says anything of it. While it is set, no entry is marked as valid, so that
// no hit is answered without a look at it.
var DisabledByDefault atomic.Bool
