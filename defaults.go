package memo

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/tags"
)

// defaults are what SetDefault was given last.
var defaults atomic.Pointer[Options]

func currentDefaults() Options {
	if set := defaults.Load(); set != nil {
		return *set
	}
	return nil
}

// SetDefault sets options for every function of the process. They are the
// weakest: those of a group and of the function itself win. Each call replaces
// the options of the one before; SetDefault without options restores memo's own
// defaults.
//
// A function reads them when it is first called, or first used in another way,
// and keeps what it read. So functions that are package-level variables see what
// main sets, and a SetDefault after that does not change them: it is logged, once. Only
// [Disabled] is different, and takes effect at once.
//
// SetDefault may be called concurrently with anything. It panics when given
// [Name] or [KeyFunc], which belong to one function.
func SetDefault(opts ...Option) {
	o := Options(opts).flat()
	s := resolve(o)
	s.refuseOwn("SetDefault")
	before := currentDefaults()
	tags.NextSequence(func(uint64) { // so that every hit looks once more
		defaults.Store(&o)
		engine.DisabledByDefault.Store(s.bypass)
	})
	if defaultsRead.Load() && (o.beyondDisabled() || before.beyondDisabled()) {
		tooLate.Do(func() {
			s.Log().Warn("memo: SetDefault was called when functions had been used already; these keep the defaults they have, but for Disabled")
		})
	}
}

var (
	defaultsRead atomic.Bool // by a function, which keeps them
	tooLate      sync.Once
)

// off reports whether calls under ctx run fn and touch no cache.
func (s *settings) off(ctx context.Context) bool { return s.disabled() || bypassed(ctx) }

// disabled reports whether all calls do so.
func (s *settings) disabled() bool {
	if s.bypassSaid {
		return s.bypass
	}
	return engine.DisabledByDefault.Load()
}

// A disabled is what Disabled returns.
type disabled bool

func (d disabled) apply(s *settings) { s.bypass, s.bypassSaid = bool(d), true }
func (disabled) perCall()            {}

// beyondDisabled reports whether o, which is flat, sets anything but Disabled.
func (o Options) beyondDisabled() bool {
	return slices.ContainsFunc(o, func(opt Option) bool { _, ok := opt.(disabled); return !ok })
}
