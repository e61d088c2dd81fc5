package memo

import (
	"sync"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/tags"
)

// A function is a memoized function as its options made it: it settles what they come
// to, once the defaults are known, and owns the cache of the function that does the rest. All Funcs that
// With derives from one another share a function.
type function struct {
	*engine.Cache
	own       Options
	signature signature
	made      callStack
	claimed   *claim // the name that is registered; set by New or with settling held

	settling sync.Mutex // held by settle
	policy   *policy    // of the function itself; guarded by settling until it is set, which happens once
}

// A policy is what decides about the calls through one Func.
type policy struct {
	settings
	direct bool // a fresh result is all that a call needs
}

// newFunction checks what is known before the defaults are: they may still change.
func newFunction(label string, own Options, types signature) *function {
	f := &function{own: own, signature: types}
	s := f.settings(nil)
	if s.name != "" {
		label = s.name
	}
	f.Cache = engine.New(label, types.Typing)
	f.checkSettings(&s)
	f.join(s.group)
	return f
}

// settings lays the options that apply to the function over one another, and over
// weakest.
func (f *function) settings(weakest Options) settings {
	levels := []Options{weakest, {option(func(s *settings) { s.bypassSaid = false })}} // what a default says of Disabled can change
	g := resolve(weakest, f.own).group
	if g != nil {
		levels = append(levels, g.levels()...)
	}
	s := resolve(append(levels, f.own)...)
	s.group = g
	return s
}

// settle reads the defaults and builds what depends on them, once.
func (f *function) settle() {
	f.settling.Lock()
	defer f.settling.Unlock()
	if f.policy != nil {
		return
	}
	defaultsRead.Store(true)
	defaults := currentDefaults()
	f.joinDefault(defaults)
	s := f.settings(defaults)
	f.checkSettings(&s) // panics at every call until it is mended, not only at the first
	f.register(&s)
	f.join(s.group)
	if !s.noLocal {
		f.HoldLocally(s.entries, s.bytes)
	}
	if s.store != nil {
		f.Share(engine.Place{
			Store: s.store, Prefix: s.prefix, Name: s.name, Version: f.version(&s),
			ArgsShape: keys.ArgsShape(f.signature.arg, s.keyFunc != nil), Logger: s.Logger,
		})
	}
	p := f.newPolicy(s)
	f.Start(&p.Config)
	f.policy = p
}

// joinDefault has the function's own group join the default one, if it is to do so.
func (f *function) joinDefault(defaults Options) {
	if g := resolve(f.own).group; g != nil {
		g.joinDefault(resolve(defaults).group)
	}
}

// joinDefaultNow is joinDefault for a function that may not have been used yet.
func (f *function) joinDefaultNow() {
	f.settling.Lock()
	defer f.settling.Unlock()
	if f.policy == nil {
		f.joinDefault(currentDefaults())
	}
}

// join makes the function one of g, if that is not nil. A function joins when it is
// made, if its group is among its own options, so that the group reaches what
// others have stored for it before it is called here.
func (f *function) join(g *Group) {
	switch {
	case g == nil:
		if f.Space == nil {
			f.Space = new(tags.Namespace)
		}
	case f.Space != g.space:
		f.Space = g.space
		g.enroll(f)
	}
}

// keyspace returns where the function's results are shared, whether or not it was
// used yet; nil for one without a store.
func (f *function) keyspace() *fleet.Keyspace {
	if f.inUse() != nil {
		if f.Shared == nil {
			return nil
		}
		return f.Shared.Keyspace
	}
	if s := f.settings(currentDefaults()); s.store != nil {
		return engine.KeyspaceOf(s.store, s.prefix)
	}
	return nil
}

// inUse returns the policy, or nil if the function was never used.
func (f *function) inUse() *policy {
	f.settling.Lock()
	defer f.settling.Unlock()
	return f.policy
}

// newPolicy returns the policy of what s says.
func (f *function) newPolicy(s settings) *policy {
	p := &policy{
		settings: s,
		direct:   !(s.bypassSaid && s.bypass) && s.clone == nil && s.observer == nil,
	}
	if f.policy != nil && s.LocalTTL != f.policy.LocalTTL {
		p.direct = false
	}
	p.MaxAge, p.Cloned = -1, s.clone != nil
	p.Keeps, p.Asks = f.signature.keep(s.keep), s.keep != nil
	p.Observe = observing(s.observer, f.Label)
	f.Prepare(&p.Config)
	return p
}

// derive returns the policy for the calls through a With of these options.
func (f *function) derive(calls Options) *policy {
	s := f.policy.settings
	s.TTL = -1 // shows whether calls sets it
	calls.apply(&s)
	maxAge := s.TTL
	if s.TTL < 0 {
		s.TTL = f.policy.TTL
	}
	f.checkSettings(&s)
	p := f.newPolicy(s)
	p.MaxAge = maxAge
	p.direct = p.direct && maxAge < 0 && p.Beta == f.policy.Beta
	return p
}
