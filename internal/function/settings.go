package function

import (
	"fmt"
	"reflect"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/store"
)

// An Option sets one thing about a function.
type Option interface{ Apply(*Settings) }

// A CallOption is one that may differ from call to call.
type CallOption interface{ PerCall(*Settings) }

// Options are options, none of which is a list.
type Options []Option

// Apply sets what the options say, in order.
func (l Options) Apply(s *Settings) {
	for _, o := range l {
		if o == nil {
			panic("memo: a nil Option was given; remove it")
		}
		o.Apply(s)
	}
}

// Settings are all options together.
type Settings struct {
	entry.Config
	Keep                  any // func(R, error) bool
	Clone                 any // func(R) R
	KeyFunc               any // func(A) string
	Store                 store.Store
	Bus                   store.Bus
	Entries               int
	Bytes                 int64
	NoLocal               bool
	Name, Prefix, Version string
	SharedName            bool
	bypass                bool
	bypassSaid            bool // a level that is stronger than the defaults has set bypass
	MaxBatch              int  // zero for any
	maxAge                time.Duration
	maxAgeSaid            bool
	Observers             []Observer
	Group                 *Group
}

// Resolve lays the levels over memo's own defaults, the weakest first.
func Resolve(levels ...Options) Settings {
	s := Settings{
		Config: entry.Config{
			Policy:       fresh.Policy{TTL: time.Minute},
			LoadTimeout:  30 * time.Second,
			StoreTimeout: storeclient.DefaultTimeout,
			Codec:        codec.JSON,
			LocalTTL:     -1,
		},
		Entries: 10_000,
	}
	for _, level := range levels {
		level.Apply(&s)
	}
	return s
}

// Bus is memo.Bus.
func Bus(b store.Bus) Option {
	switch {
	case b == nil:
		panic("memo: Bus(nil): give one, such as redisstore.NewBus(client, nil), or leave the option out")
	case !reflect.ValueOf(b).Comparable():
		panic(fmt.Sprintf("memo: Bus(%T): buses are told apart by ==, which this one has not; give a pointer", b))
	}
	return onBus{b}
}

// onBus is the option that Bus returns.
type onBus struct{ store.Bus }

// Apply implements [Option].
func (b onBus) Apply(s *Settings) { s.Bus = b.Bus }

// MaxAge is what memo.MaxAge sets.
type MaxAge time.Duration

// Apply implements [Option].
func (d MaxAge) Apply(s *Settings) { s.maxAge, s.maxAgeSaid = time.Duration(d), true }

// PerCall implements [CallOption].
func (MaxAge) PerCall(*Settings) {}

// refuseOwn panics when a level above single functions was given what only one
// function can have.
func (s *Settings) refuseOwn(level string) {
	switch {
	case s.Name != "":
		panic(fmt.Sprintf("memo: %s was given Name(%q), but a name belongs to one function; give it to New or Wrap", level, s.Name))
	case s.SharedName:
		panic("memo: " + level + " was given SharedName(), which goes with a Name and belongs to one function; give it to New or Wrap")
	case s.KeyFunc != nil:
		panic("memo: " + level + " was given a KeyFunc, but that belongs to one function; give it to New or Wrap")
	}
}

// Typed returns v, an option's function, as an F; nil if the option was not
// given. It panics if the option was given for other types.
func Typed[F any](option, name string, v any) F {
	f, ok := v.(F)
	if v != nil && !ok {
		panic(fmt.Sprintf("memo: %s: %s was given a %T; this function needs a %v", name, option, v, reflect.TypeFor[F]()))
	}
	return f
}
