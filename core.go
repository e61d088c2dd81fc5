package memo

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/values"
)

// A core is everything of a function that does not depend on its types: it works
// on keys, and on results wrapped in any. All Funcs that With derives from one
// another share a core.
type core struct {
	label   string  // for display: the Name, or the runtime's name of fn
	batched bool    // of a Batch
	types   typing  // of its results
	base    *config // of the function itself; set before anything is looked up

	space *namespace // the group's, or one of the function's own
	count *counters  // held apart: a group keeps them when the function is gone

	onceReported atomic.Bool          // that a result can be used only once
	tagsReported atomic.Bool          // that there are tags, but no group
	cleared      atomic.Uint64        // the sequence number of the function's last Clear
	tier         atomic.Pointer[tier] // nil if nothing is held in this process
	newTier      func() *tier         // a new one, empty
	shared       *shared              // nil without a store; set before base
	shards       [16]flights
}

// A typing is what a core knows of the type of results. They are kept as a *R in an any.
type typing struct {
	values.Usage
	size  func(value any) int64 // of a *R, on the heap
	blank func() any            // a new *R
}

// newCore returns the core of a function.
func newCore(label string, types typing) *core {
	return &core{label: label, types: types, count: new(counters)}
}

// holdLocally has results held in this process: at most entries or, where limit is not
// zero, limit bytes.
func (c *core) holdLocally(entries int, limit int64) {
	c.newTier = func() *tier { return newTier(entries, limit, c.count) }
	c.tier.Store(c.newTier())
}

// start sets the config of the function itself, which is complete from then on.
func (c *core) start(p *config) {
	if c.base = p; c.shared != nil {
		c.space.reaches(c.shared.Keyspace)
		c.shared.Enroll(c.shared.Member)
	}
}

// prepare completes p, for calls of the function.
func (c *core) prepare(p *config) {
	if len(p.tags) > 0 {
		c.needsGroup(p)
	}
	if c.shared != nil {
		p.needs = c.shared.needs(p)
		c.shared.codecs.add(p.codec)
		c.shared.NoteTimeout(p.storeTimeout)
	}
}

// allTags returns the policy's own tags, in space, and more.
func (p *config) allTags(space *namespace, more []scopedTag) []scopedTag {
	if len(p.tags) == 0 {
		return more
	}
	all := make([]scopedTag, 0, len(p.tags)+len(more))
	for _, t := range p.tags {
		all = append(all, scopedTag{space, t})
	}
	return append(all, more...)
}

// needsGroup logs, once, that the function's own tags are good for nothing if it is in
// no group: nothing invalidates them.
func (c *core) needsGroup(p *config) {
	if c.space.path != "" || c.tagsReported.Swap(true) {
		return
	}
	defer c.survive(p)
	p.log().Warn("memo: a function has tags but belongs to no group, so nothing can invalidate them; give it a group (NewGroup)", "func", c.label)
}

func (c *core) shard(key string) *flights {
	return &c.shards[maphash.String(seed, key)>>32%uint64(len(c.shards))]
}

// hit returns the fresh result under key, for a direct policy, if finding it
// takes neither a look at the clock nor one at the context. It allocates
// nothing, and key need not outlive the call.
func (c *core) hit(key string) *entry {
	tick, t := clock.Coarse(), c.tier.Load()
	if tick == clock.Stopped || t == nil {
		return nil
	}
	e := t.front.Load().place(key).Load()
	if e == nil || e.key != key || e.touched.Load() != tick {
		if e = t.fill(key, tick); e == nil {
			return nil
		}
	}
	if e.hotUntil.Load() <= tick || e.validAt.Load() != sequence.Load() || e.heritable() {
		return nil
	}
	if c.count.hits.inc()%clock.HitsPerLook == 0 {
		clock.CatchUp()
	}
	return e
}

// find returns the result held under key, if any, and what a call under p may do
// with it at t.
func (c *core) find(p *config, key string, t int64) (*entry, fresh.Verdict) {
	local := c.tier.Load()
	if local == nil {
		return nil, fresh.Unusable
	}
	e := local.get(key)
	if e == nil {
		return nil, fresh.Unusable
	}
	seq := sequence.Load()
	if e.validAt.Load() != seq && c.overtaken(e.born, e.tags) {
		local.remove(e)
		return nil, fresh.Unusable
	}
	if v := c.trust(p, e, t); v != fresh.Fresh {
		return e, v
	}
	if !disabledByDefault.Load() {
		e.validAt.Store(seq)
	}
	v := e.Verdict(t, &p.Policy, draw)
	if v == fresh.Fallback && e.backsOff(t) {
		v = fresh.BackingOff
	}
	return e, v
}

// trust returns verdictFresh if e may be used at t without asking a store, and lets hits
// do so for as long as that holds.
func (c *core) trust(p *config, e *entry, t int64) fresh.Verdict {
	if e.share == nil && len(e.fences) == 0 && !e.loose {
		return fresh.Fresh
	}
	until, sure := e.bound(p, t)
	switch {
	case t >= until:
		e.warm(fresh.Cold)
		return fresh.Unusable
	case !sure:
		e.warm(fresh.Cold)
		return fresh.Unverified
	}
	if !e.exact && p.localTTL == c.base.localTTL {
		e.warm(min(e.CoarseUntil(c.base.Beta), until-int64(clock.Slack)))
	}
	return fresh.Fresh
}

// search is find, where the epochs that a result depends on are asked for if they
// are not known; spent is how long that took. The result stays unverified only if ctx
// ends meanwhile.
func (c *core) search(ctx context.Context, p *config, key string) (_ *entry, _ fresh.Verdict, spent time.Duration) {
	e, v := c.find(p, key, clock.Precise())
	if v != fresh.Unverified {
		return e, v, 0
	}
	began := clock.Now()
	if !storeclient.Outlive(p.lend(ctx), func(ctx context.Context) { askEpochs(ctx, p.storeTimeout, e.fences) }) {
		return nil, fresh.Unverified, 0
	}
	t := clock.Now()
	if e, v := c.find(p, key, t); v != fresh.Unverified {
		return e, v, time.Duration(t - began)
	}
	return nil, fresh.Unusable, time.Duration(t - began)
}

// askEpochs asks for those epochs that are not known, within limit altogether.
func askEpochs(ctx context.Context, limit time.Duration, fences []fleet.Dependency) {
	keys, asked := map[*fleet.Keyspace][]string{}, map[fleet.EpochAt]bool{}
	for _, f := range fences {
		at := fleet.EpochAt{Keyspace: f.Keyspace, Key: f.Key}
		if _, known := f.Keyspace.Epoch(f.Key, clock.Now()); !known && !asked[at] {
			asked[at] = true
			keys[f.Keyspace] = append(keys[f.Keyspace], f.Key)
		}
	}
	by := storeclient.DeadlineIn(limit)
	for r, keys := range keys {
		if values, sent, _ := r.Read(ctx, by, keys); values != nil { // some of them, if one key fails
			r.NoteEpochs(keys, values, sent)
		}
	}
}

// executes reports whether an execution for key is under way that a call may join.
func (c *core) executes(p *config, key string) bool {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.of[key]
	return f != nil && !c.overtaken(f.born, f.tags()) && !f.refreshes(p)
}

// draw returns a random number in (0, 1].
func draw() float64 { return 1 - rand.Float64() }

// held returns the result under key whatever its state, or nil.
func (c *core) held(key string) *entry {
	if t := c.tier.Load(); t != nil {
		return t.get(key)
	}
	return nil
}

// overtaken reports whether a result with these tags, whose execution noted the
// sequence number born, has been invalidated since: by a Clear of its function
// or its group, or by a tag.
func (c *core) overtaken(born uint64, tags []scopedTag) bool {
	return sequence.Load() != born &&
		(c.cleared.Load() > born || c.space.cleared.Load() > born || anyInvalidated(tags, born))
}

// hold puts e into the tier, unless it is useless already, and reports whether it
// did. The caller holds the mu of its key's shard, as everyone does who changes
// what the tier holds under a key; evictions may come in between.
func (c *core) hold(e *entry) bool {
	t := c.tier.Load()
	if t == nil || e.Empty() || e.doubtful() || c.overtaken(e.born, e.tags) {
		return false
	}
	e.size = c.weigh(e)
	e.exact = clock.Bubbled(e.read)
	e.hotUntil.Store(fresh.Cold)
	if !e.exact && e.share == nil && len(e.fences) == 0 && !e.loose {
		e.hotUntil.Store(e.CoarseUntil(c.base.Beta))
	}
	if !disabledByDefault.Load() {
		e.validAt.Store(e.born)
	}
	t.set(e)
	if e.share == nil {
		return true
	}
	t.noteCopy(e)
	if e.doubtful() { // a report came before there was a copy to be found
		t.remove(e)
		return false
	}
	return true
}

// forgetKey drops what is held under key.
func (c *core) forgetKey(key string) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.drop(key)
}

// forget drops the copy of what the store holds under sharedKey.
func (c *core) forget(sharedKey string) {
	if t := c.tier.Load(); t != nil {
		if e := t.copyOf(sharedKey); e != nil && e.stored() {
			t.remove(e)
		}
	}
}

// put holds value under key as if fn had just returned it. An execution that is
// under way is older, and is detached.
func (c *core) put(ctx context.Context, p *config, key string, exec execution, value any) error {
	e := &entry{
		key: key, value: value, kept: true, read: time.Now(), born: sequence.Load(),
		tags: p.allTags(c.space, nil), trusted: clock.Forever,
	}
	e.Window = p.lifetime(&hint{fresh: clock.Forever}).Window(clock.At(e.read), 0, draw())
	if c.shared == nil {
		c.replace(e, nil)
		return nil
	}
	// Whoever looks for the key meanwhile looks again; and an Invalidate takes
	// the mark away, so that e is not held after it.
	mark := &lookup{key: key, sharedKey: c.sharedKey(key, exec), retry: true}
	s := c.shard(key)
	s.mu.Lock()
	s.note(mark)
	s.mu.Unlock()
	defer s.end(mark)
	err := c.shared.put(ctx, p, mark.sharedKey, e)
	c.replace(e, mark)
	c.shared.Overtake(c.shared.Member, key, mark.sharedKey)
	return c.notSet(err)
}

// replace holds e in place of what there is, unless mark, if there is one, was
// taken away.
func (c *core) replace(e *entry, mark *lookup) {
	s := c.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	noted := s.lookups[e.key] == mark
	s.overtake(e.key)
	if !noted || !c.hold(e) {
		c.drop(e.key)
	}
}

// drop drops what is held under key. The caller holds the mu of its shard.
func (c *core) drop(key string) {
	if t := c.tier.Load(); t != nil {
		t.delete(key)
	}
}

// invalidate drops what is held under keys, and detaches the executions that are
// under way: nobody who comes later gets their results. The store comes first, so
// that nothing that is read from it afterwards can be from before.
func (c *core) invalidate(ctx context.Context, p *config, keys, sharedKeys []string) error {
	var err error
	if c.shared != nil {
		err = c.shared.invalidate(ctx, storeclient.DeadlineIn(p.storeTimeout), sharedKeys, 0)
	}
	for i, key := range keys {
		c.overtake(key)
		if c.shared != nil {
			c.shared.Overtake(c.shared.Member, key, sharedKeys[i])
		}
		c.base.tell(ctx, eventInvalidation, key)
	}
	return c.notReached("Invalidate", err)
}

// overtake drops what is held under key, and detaches what is under way.
func (c *core) overtake(key string) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overtake(key)
	c.drop(key)
}

// clear invalidates every result of the function. The sequence number does so in
// this process, and an epoch in the store; dropping the tier only gives its
// memory back.
func (c *core) clear(ctx context.Context, p *config) error {
	var err error
	if c.shared != nil {
		err = c.shared.clear(ctx, p)
	}
	nextSequence(c.cleared.Store)
	c.sweep()
	if c.shared != nil {
		for _, other := range c.shared.Namesakes(c.shared.Member) {
			other.On.Cleared()
		}
	}
	c.base.tell(ctx, eventClear, "")
	return c.notReached("Clear", err)
}

// sweep drops the whole tier.
func (c *core) sweep() {
	if t := c.tier.Load(); t != nil {
		c.tier.CompareAndSwap(t, c.newTier())
	}
}

func (c *core) stats() stats {
	t := c.tier.Load()
	if t != nil {
		t.cache.CleanUp() // so that Evictions and Entries agree
	}
	s := c.count.read()
	if t != nil {
		t.describe(&s)
	}
	return s
}

// sharedKey returns the key under which a store has the result of exec, whose
// canonical key is key. head is a sharedHead. A shared key reads
//
//	prefix:name:version:epoch:args
//
// The first four are escaped where they contain a colon, a percent sign or
// anything that does not print, so they can be told apart again whatever they
// hold. The arguments are legible where they are short and printable;
// otherwise they, and a name and version or a prefix that are too long, are
// replaced by "#" and their SHA-256, which no legible form contains.
//
// The epochs of results are kept in the entries and not in the key, so that who
// invalidates a key finds its entry whatever epochs it has seen. In the place of
// the epoch stands whose epochs they are, followed by "+" in the key that guards
// the refresh of an entry.
func sharedKey(head, key string, exec execution) string {
	b := append(make([]byte, 0, len(head)+max(len(key), keys.MaxDigits)), head...)
	b = exec.appendArgs(b, key)
	return unsafe.String(unsafe.SliceData(b), len(b)) // nobody else has b
}

// usedUp returns why a result must not be given to more than one caller, nil if it
// may be. value is a *R.
func (c *core) usedUp(p *config, value any) error {
	if p.cloned || !c.types.Hides {
		return nil
	}
	left := values.MaxLooks
	if err := values.HeldOnce(reflect.ValueOf(value).Elem(), &left); err != nil {
		return errors.New("result " + values.Describe(err))
	}
	return nil
}

// keepApart sees to it that what f came back with is kept nowhere and given to one
// caller, if it can be used only once. It is logged the first time.
func (c *core) keepApart(f *flight, l *landing) {
	if l.value == nil || l.absent || l.err != nil && !l.keep {
		return
	}
	err := c.usedUp(f.policy, l.value)
	if err == nil {
		return
	}
	l.keep, l.once = false, true
	if !c.onceReported.Swap(true) {
		f.policy.log().Warn("memo: a result can be used only once; it is not kept, and each caller executes", "func", c.label, "error", err)
	}
}
