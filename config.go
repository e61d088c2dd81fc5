package memo

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
)

// A config is what the options say of the calls through one handle.
type config struct {
	fresh.Policy
	softTimeout  time.Duration // how long a call with an old result waits for fn; zero for no such limit
	loadTimeout  time.Duration // bounds fn; zero for no limit
	storeTimeout time.Duration // bounds what a call waits for the store; zero for no limit
	errorTTL     time.Duration // how long an error that errorMatch accepts is remembered
	errorMatch   func(error) bool
	missingTTL   time.Duration // how long it is remembered that fn of a batch left a key out
	codec        codec.Codec
	localTTL     time.Duration // how long a copy of a shared result is trusted; negative: not given
	tags         []string
	inheritTTL   bool
	contextFrom  func(context.Context) context.Context
	logger       *slog.Logger // nil for the default one

	cloned  bool                                                                                 // every caller gets a copy of a result
	keeps   func(value any, err error) bool                                                      // which results are kept
	asks    bool                                                                                 // keeps is the user's
	observe func(ctx context.Context, kind eventKind, key string, took time.Duration, err error) // nil if nobody observes
	needs   []fleet.Need                                                                         // the epochs that its results depend on
}

// log returns the logger in use.
func (p *config) log() *slog.Logger {
	if p.logger != nil {
		return p.logger
	}
	return slog.Default()
}

// An eventKind says what happened. The kinds are those of memo.EventKind.
type eventKind int

const (
	eventHit eventKind = iota + 1
	eventSharedHit
	eventStaleHit
	eventMiss
	eventJoined
	eventExecution
	eventInvalidation
	eventClear
)

// tell tells the observers, if there are any. key need not outlive the call.
func (p *config) tell(ctx context.Context, kind eventKind, key string) {
	if p.observe != nil {
		p.observe(ctx, kind, strings.Clone(key), 0, nil)
	}
}

// disabledByDefault says that functions are disabled for which no level but the
// defaults says anything of it. While it is set, no entry is marked as valid, so that
// no hit is answered without a look at it.
var disabledByDefault atomic.Bool
