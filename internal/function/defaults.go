package function

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/tags"
)

// defaults are what SetDefault was given last.
var defaults atomic.Pointer[Options]

// Defaults returns what SetDefault was given last.
func Defaults() Options { return currentDefaults() }

func currentDefaults() Options {
	if set := defaults.Load(); set != nil {
		return *set
	}
	return nil
}

var (
	defaultsRead atomic.Bool // by a function, which keeps them
	tooLate      sync.Once
)

// Off reports whether calls under ctx run fn and touch no cache.
func (s *Settings) Off(ctx context.Context) bool { return s.Disabled() || Bypassed(ctx) }

// Disabled reports whether all calls do so.
func (s *Settings) Disabled() bool {
	if s.bypassSaid {
		return s.bypass
	}
	return entry.DisabledByDefault.Load()
}

// Disabled is what Disabled returns.
type Disabled bool

func (d Disabled) Apply(s *Settings) { s.bypass, s.bypassSaid = bool(d), true }
func (Disabled) PerCall(*Settings)   {}

// beyondDisabled reports whether o, which is flat, sets anything but Disabled.
func (o Options) beyondDisabled() bool {
	return slices.ContainsFunc(o, func(o Option) bool { _, ok := o.(Disabled); return !ok })
}

// SetDefault makes o the options of every function, where they are the weakest.
func SetDefault(o Options) {
	s := Resolve(o)
	s.refuseOwn("SetDefault")
	before := currentDefaults()
	tags.NextSequence(func(uint64) { // so that every hit looks once more
		defaults.Store(&o)
		entry.DisabledByDefault.Store(s.bypass)
	})
	if defaultsRead.Load() && (o.beyondDisabled() || before.beyondDisabled()) {
		tooLate.Do(func() {
			s.Log().Warn("memo: SetDefault was called when functions had been used already; these keep the defaults they have, but for Disabled")
		})
	}
}
