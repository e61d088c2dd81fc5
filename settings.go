package memo

import (
	"fmt"
	"reflect"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/store"
)

// settings are all options together.
type settings struct {
	engine.Config
	keep                  any // func(R, error) bool
	clone                 any // func(R) R
	keyFunc               any // func(A) string
	store                 store.Store
	entries               int
	bytes                 int64
	noLocal               bool
	name, prefix, version string
	sharedName            bool
	bypass                bool
	bypassSaid            bool // a level that is stronger than the defaults has set bypass
	maxBatch              int  // zero for any
	observer              Observer
	group                 *Group
}

// resolve lays the levels over memo's own defaults, the weakest first.
func resolve(levels ...Options) settings {
	s := settings{
		Config: engine.Config{
			Policy:       fresh.Policy{TTL: time.Minute},
			LoadTimeout:  30 * time.Second,
			StoreTimeout: storeclient.DefaultTimeout,
			Codec:        codec.JSON,
			LocalTTL:     -1,
		},
		entries: 10_000,
	}
	for _, level := range levels {
		level.apply(&s)
	}
	return s
}

// refuseOwn panics when a level above single functions was given what only one
// function can have.
func (s *settings) refuseOwn(level string) {
	switch {
	case s.name != "":
		panic(fmt.Sprintf("memo: %s was given Name(%q), but a name belongs to one function; give it to New or Wrap", level, s.name))
	case s.sharedName:
		panic("memo: " + level + " was given SharedName(), which goes with a Name and belongs to one function; give it to New or Wrap")
	case s.keyFunc != nil:
		panic("memo: " + level + " was given a KeyFunc, but that belongs to one function; give it to New or Wrap")
	}
}

// typed returns v, an option's function, as an F; nil if the option was not
// given. It panics if the option was given for other types.
func typed[F any](option, name string, v any) F {
	f, ok := v.(F)
	if v != nil && !ok {
		panic(fmt.Sprintf("memo: %s: %s was given a %T; this function needs a %v", name, option, v, reflect.TypeFor[F]()))
	}
	return f
}
