package function

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/shared"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/tags"
)

// A Group is a named set of functions that share settings and are invalidated together.
type Group struct {
	name    string
	own     Options
	space   *tags.Namespace
	number  uint64 // on the roll of groups that are in no other
	bubbled bool   // it was made in a synctest bubble; see outermostHere

	mu      sync.Mutex
	parent  *Group                                     // guarded by mu; the group around it
	lone    bool                                       // guarded by mu; it joins the default group when its function is first used; see joinDefault
	inner   []*Group                                   // guarded by mu
	members map[*entry.Counters]weak.Pointer[Function] // guarded by mu; the functions in use
	gone    entry.Stats                                // guarded by mu; what functions that were dropped had counted
}

// NewGroup makes a group with these options.
func NewGroup(name string, opts Options) *Group {
	if name == "" {
		panic("memo: NewGroup(\"\"): a group needs a name")
	}
	g := &Group{
		name: name, own: opts,
		members: map[*entry.Counters]weak.Pointer[Function]{},
		bubbled: clock.Bubbled(time.Now()),
	}
	s := Resolve(g.own)
	s.refuseOwn(fmt.Sprintf("NewGroup(%q)", name))
	if s.Group == nil {
		g.space = tags.Claim(tags.PathOf("", name))
		g.number = outermost.enter(g)
		return g
	}
	g.parent = s.Group
	g.space = tags.Claim(tags.PathOf(s.Group.space.Name(), name))
	s.Group.adopt(g)
	return g
}

// outermost are the groups that are in no other.
var outermost roll[Group]

// outermostHere returns those that a call may reach which is made here: outside of all
// synctest bubbles none that was made in one, for its store may wait for a channel of that
// bubble, which ends the program.
func outermostHere() []*Group {
	if clock.Bubbled(time.Now()) {
		return outermost.all()
	}
	return slices.DeleteFunc(outermost.all(), func(g *Group) bool { return g.bubbled })
}

// joinDefault makes a group that a package of this module has made for itself one
// of the default group, as what is in it would be without that. It is called once, when
// the group's only function is settled, before anything else reads the group's path.
func (g *Group) joinDefault(around *Group) {
	if !g.enters(around) {
		return
	}
	g.space.Move(tags.PathOf(around.space.Name(), g.name))
	around.adopt(g)
	outermost.strike(g.number)
}

// enters makes around the group around g, if g is to have one and has none.
func (g *Group) enters(around *Group) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.lone || g.parent != nil || around == nil {
		return false
	}
	g.parent = around
	return true
}

// isLone reports whether the group is one that joins the default group, sooner or later.
func (g *Group) isLone() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lone
}

// MakeLone makes it one of these.
func (g *Group) MakeLone() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lone = true
}

// around returns the group that g is in, or nil.
func (g *Group) around() *Group {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.parent
}

// adopt takes another group in.
func (g *Group) adopt(inner *Group) {
	g.space.Adopt(inner.space)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inner = append(g.inner, inner)
}

// levels returns the options of the group and of those around it, the weakest
// first.
func (g *Group) levels() []Options {
	if around := g.around(); around != nil {
		return append(around.levels(), g.own)
	}
	return []Options{g.own}
}

// enroll makes f a member. The group does not keep it alive.
func (g *Group) enroll(f *Function) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members[f.Count] = weak.Make(f)
	runtime.AddCleanup(f, g.strike, f.Count)
}

// strike takes the counters of a function that was dropped over.
func (g *Group) strike(count *entry.Counters) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = g.gone.Add(count.Read())
	delete(g.members, count)
}

// InvalidateTags invalidates every result that carries one of the tags, in this process and in
// the stores.
func (g *Group) InvalidateTags(ctx context.Context, names []string) error {
	return g.changeTags(ctx, "InvalidateTags", names, false, g.space.Invalidate)
}

// ExpireTags ends the freshness of these results.
func (g *Group) ExpireTags(ctx context.Context, names []string) error {
	return g.changeTags(ctx, "ExpireTags", names, true, func(names []string) { g.space.ExpireTags(names, clock.Now()) })
}

// changeTags invalidates or expires what carries one of the tags; here does so in this process.
func (g *Group) changeTags(ctx context.Context, what string, names []string, expires bool, here func([]string)) error {
	if len(names) == 0 {
		return nil
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	lent, path := g.lend(ctx), g.space.Name()
	err := g.tell(func(r *fleet.Keyspace, limit time.Duration) error {
		return r.InvalidateTags(lent, limit, expires, path, names)
	})
	here(names)
	return Told(ctx, g.notReached(what, err))
}

// InvalidateTags does so for every group of the process that a call from here may reach.
func InvalidateTags(ctx context.Context, names []string) error {
	for _, g := range outermostHere() {
		g.joinDefaultNow()
	}
	groups := outermostHere()
	errs := make([]error, len(groups))
	var wg sync.WaitGroup
	for i, g := range groups {
		lent := g.lend(ctx) // in the caller's goroutine, as ContextFrom says
		wg.Go(func() { errs[i] = g.InvalidateTags(lent, names) })
	}
	wg.Wait()
	return Told(ctx, errors.Join(errs...))
}

// joinDefaultNow is joinDefault for a group whose function may not have been used yet: its
// results in stores go by the path that it will have.
func (g *Group) joinDefaultNow() {
	if !g.isLone() {
		return
	}
	for _, c := range g.functions() {
		c.joinDefaultNow()
	}
}

// Clear invalidates every result of the functions.
func (g *Group) Clear(ctx context.Context) error {
	return g.changeAll(ctx, "Clear", fleet.Change{}, entry.EventClear, func() {
		g.space.Clear()
		for _, c := range g.functions() {
			if c.inUse() != nil {
				c.Sweep()
			}
		}
	})
}

// Expire ends the freshness of every result of the functions.
func (g *Group) Expire(ctx context.Context) error {
	return g.changeAll(ctx, "Expire", fleet.Change{Expires: true}, entry.EventExpiry, func() { g.space.Expire(clock.Now()) })
}

// changeAll invalidates or expires all results; here does so in this process.
func (g *Group) changeAll(ctx context.Context, what string, change fleet.Change, event entry.EventKind, here func()) error {
	lent, path := g.lend(ctx), g.space.Name()
	err := g.tell(func(r *fleet.Keyspace, limit time.Duration) error {
		key := r.EpochKey("group", path, "")
		return r.SetEpochs(lent, storeclient.DeadlineIn(limit), key, change, fleet.Need{Key: key})
	})
	here()
	for _, c := range g.functions() {
		if p := c.inUse(); p != nil {
			p.Tell(lent, event, "")
		}
	}
	return Told(ctx, g.notReached(what, err))
}

// lend returns the context for operations that may go on when a call has returned.
func (g *Group) lend(ctx context.Context) context.Context {
	s := g.Settings()
	return s.Lend(ctx)
}

// tell tells all stores that the group's results are in, at the same time.
func (g *Group) tell(what func(r *fleet.Keyspace, limit time.Duration) error) error {
	limit, keyspaces := g.Settings().StoreTimeout, g.keyspaces()
	errs := make([]error, len(keyspaces))
	var wg sync.WaitGroup
	for i, r := range keyspaces {
		wg.Go(func() { errs[i] = what(r, limit) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Settings returns the options of the group as its functions see them.
func (g *Group) Settings() Settings {
	return Resolve(append([]Options{currentDefaults()}, g.levels()...)...)
}

// keyspaces returns where results of the group may be, each keyspace once: those of its
// functions, also of those that were dropped or not called yet, and of others
// that took over its tags.
func (g *Group) keyspaces() []*fleet.Keyspace {
	all := g.space.Reached()
	if s := g.Settings(); s.Store != nil {
		all = append(all, shared.KeyspaceOf(s.Store, s.Prefix, s.Bus))
	}
	for _, c := range g.functions() {
		if r := c.keyspace(); r != nil {
			all = append(all, r)
		}
	}
	var once []*fleet.Keyspace
	for _, r := range all {
		if !slices.Contains(once, r) {
			once = append(once, r)
		}
	}
	return once
}

func (g *Group) notReached(what string, err error) error {
	if err == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone.StoreErrors++
	return fmt.Errorf("memo: group %s: %s has not reached a store yet, and is repeated until it does: %w", g.name, what, err)
}

// functions returns the members, those of inner groups included.
func (g *Group) functions() (all []*Function) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.members {
		if c := w.Value(); c != nil {
			all = append(all, c)
		}
	}
	for _, inner := range g.inner {
		all = append(all, inner.functions()...)
	}
	return all
}

// Stats returns the sums over the functions, those that were dropped included.
func (g *Group) Stats() entry.Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := g.gone
	for count, w := range g.members {
		if c := w.Value(); c != nil {
			sum = sum.Add(c.Stats())
		} else {
			sum = sum.Add(count.Read())
		}
	}
	for _, inner := range g.inner {
		sum = sum.Add(inner.Stats())
	}
	return sum
}
