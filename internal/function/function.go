// Package function is a memoized function before it has types: what its options come to, its
// group, and its name.
//
//   - Settings are all options together, and an Option sets one of them.
//   - A Function settles what its options come to, once, and owns the [engine.Cache] that does
//     the rest. A Signature is what is known of its types.
//   - A Policy is what decides about the calls through one handle.
//   - A Group is functions that share settings and are invalidated together.
//   - Info describes a function.
//
// The package knows options, names, groups and defaults. It knows neither how a call goes on
// nor the types of arguments and results.
package function

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/shared"
	"github.com/seed-0226adef/memo/internal/tags"
)

// A Function is a memoized function as its options made it: it settles what they come
// to, once the defaults are known, and owns the cache of the function that does the rest. All Funcs that
// With derives from one another share a function.
type Function struct {
	*engine.Cache
	own       Options
	Signature Signature
	Made      callStack
	claimed   *claim // the name that is registered; set by New or with settling held

	settling sync.Mutex // held by settle
	Policy   *Policy    // of the function itself; guarded by settling until it is set, which happens once
}

// A Policy is what decides about the calls through one Func.
type Policy struct {
	Settings
	Direct     bool   // a fresh result is all that a call needs
	generation uint64 // of the functions; see Reset
}

// New checks what is known before the defaults are: they may still change.
func New(label string, own Options, types Signature) *Function {
	f := &Function{own: own, Signature: types}
	s := f.Settings(nil)
	if s.Name != "" {
		label = s.Name
	}
	f.Cache = engine.New(label, types.Typing)
	f.checkSettings(&s)
	f.join(s.Group)
	return f
}

// Settings lays the options that apply to the function over one another, and over
// weakest.
func (f *Function) Settings(weakest Options) Settings {
	levels := []Options{weakest, {unsaid{}}} // what a default says of Disabled can change
	g := Resolve(weakest, f.own).Group
	if g != nil {
		levels = append(levels, g.levels()...)
	}
	s := Resolve(append(levels, f.own)...)
	s.Group = g
	return s
}

// An unsaid is the option that takes back what was said of Disabled.
type unsaid struct{}

// Apply is what makes it an option.
func (unsaid) Apply(s *Settings) { s.bypassSaid = false }

// Settle reads the defaults and builds what depends on them, once.
func (f *Function) Settle() {
	f.settling.Lock()
	defer f.settling.Unlock()
	if f.Policy != nil {
		return
	}
	defaultsRead.Store(true)
	defaults := currentDefaults()
	f.joinDefault(defaults)
	s := f.Settings(defaults)
	f.checkSettings(&s) // panics at every call until it is mended, not only at the first
	if s.Store == nil && Resolve(f.own).Bus != nil {
		panic(fmt.Sprintf("memo: %s has a Bus but no shared store; a bus only tells which results in the store have changed, so give it a Store too", f.Label))
	}
	f.Register(&s)
	f.join(s.Group)
	if !s.NoLocal {
		f.HoldLocally(s.Entries, s.Bytes)
	}
	if s.Store != nil {
		f.Share(shared.Place{
			Store: s.Store, Bus: s.Bus, Prefix: s.Prefix, Name: s.Name, Version: f.Version(&s),
			ArgsShape: keys.ArgsShape(f.Signature.arg, s.KeyFunc != nil), Logger: s.Logger,
		})
	}
	p := f.newPolicy(s)
	f.Start(&p.Config)
	f.Policy = p
}

// joinDefault has the function's own group join the default one, if it is to do so.
func (f *Function) joinDefault(defaults Options) {
	if g := Resolve(f.own).Group; g != nil {
		g.joinDefault(Resolve(defaults).Group)
	}
}

// joinDefaultNow is joinDefault for a function that may not have been used yet.
func (f *Function) joinDefaultNow() {
	f.settling.Lock()
	defer f.settling.Unlock()
	if f.Policy == nil {
		f.joinDefault(currentDefaults())
	}
}

// join makes the function one of g, if that is not nil. A function joins when it is
// made, if its group is among its own options, so that the group reaches what
// others have stored for it before it is called here.
func (f *Function) join(g *Group) {
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
func (f *Function) keyspace() *fleet.Keyspace {
	if f.inUse() != nil {
		if f.Shared == nil {
			return nil
		}
		return f.Shared.Keyspace
	}
	if s := f.Settings(currentDefaults()); s.Store != nil {
		return shared.KeyspaceOf(s.Store, s.Prefix, s.Bus)
	}
	return nil
}

// inUse returns the policy, or nil if the function was never used.
func (f *Function) inUse() *Policy {
	f.settling.Lock()
	defer f.settling.Unlock()
	return f.Policy
}

// newPolicy returns the policy of what s says.
func (f *Function) newPolicy(s Settings) *Policy {
	p := &Policy{
		Settings: s, generation: generation.Load(),
		Direct: !(s.bypassSaid && s.bypass) && s.Clone == nil && len(s.Observers) == 0,
	}
	if f.Policy != nil && s.LocalTTL != f.Policy.LocalTTL {
		p.Direct = false
	}
	p.MaxAge, p.Cloned = -1, s.Clone != nil
	p.Keeps, p.Asks = f.Signature.keep(s.Keep), s.Keep != nil
	p.Observe = observing(s.Observers, f.Label)
	if s.maxAgeSaid {
		p.limitAge(s.maxAge)
	}
	f.Prepare(&p.Config)
	return p
}

// limitAge lets calls use nothing that is older than d. For zero the store has to confirm what
// they use; without one there is nothing that they may use.
func (p *Policy) limitAge(d time.Duration) {
	switch {
	case d == 0 && p.Store != nil:
		p.Confirm, p.LocalTTL = true, 0
	case p.Oldest == 0 || d < p.Oldest:
		p.Oldest = max(d, 1)
	}
	p.Direct = false
}

// Under returns the policy for a call under ctx, which may say itself how old a result may be,
// and by its tokens since when the store has to have been asked.
func (p *Policy) Under(ctx context.Context) *Policy {
	p = p.UnderToken(ctx)
	m := MarksOf(ctx)
	if m == nil || m.maxAge == nil {
		return p
	}
	limited := *p
	limited.limitAge(*m.maxAge)
	return &limited
}

// UnderToken is Under for tokens alone.
func (p *Policy) UnderToken(ctx context.Context) *Policy {
	m := MarksOf(ctx)
	if m == nil || m.since == nil {
		return p
	}
	limited := *p
	limited.HasSince, limited.Since, limited.Direct = true, m.since.at, false
	limited.Confirm = limited.Confirm || p.Store != nil
	return &limited
}

// Derive returns the policy for the calls through a With of these options.
func (f *Function) Derive(calls Options) *Policy {
	s := f.Policy.Settings
	s.TTL = -1 // shows whether calls sets it
	calls.Apply(&s)
	maxAge := s.TTL
	if s.TTL < 0 {
		s.TTL = f.Policy.TTL
	}
	f.checkSettings(&s)
	p := f.newPolicy(s)
	p.MaxAge = maxAge
	p.Direct = p.Direct && maxAge < 0 && p.Beta == f.Policy.Beta
	return p
}
