package memo

import (
	"context"
	"hash/maphash"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A core is everything of a function that does not depend on its types: it works
// on keys, and on results wrapped in any. All Funcs that With derives from one
// another share a core.
type core struct {
	label string // for display: the Name, or the runtime's name of fn
	own   Options
	types signature
	named bool // register has been through; set by New or under settled

	settling sync.Mutex // held while setting the fields down to count, at the function's first use
	base     *policy    // not nil from then on
	space    *namespace // the group's, or one of the function's own
	count    *counters  // held apart: a group keeps them when the function is gone

	cleared atomic.Uint64        // the sequence number of the function's last Clear
	tier    atomic.Pointer[tier] // nil with NoLocal
	shards  [16]flights
}

// A policy is what decides about the calls through one Func.
type policy struct {
	settings
	maxAge time.Duration         // the oldest result that counts as fresh; negative for no such limit
	keeps  func(any, error) bool // CacheIf, or its default
	direct bool                  // a fresh result is all that a call needs
}

// stale returns how long after its TTL a result is held.
func (p *policy) stale() time.Duration { return max(p.staleWhileRevalidate, p.staleIfError) }

func (p *policy) log() *slog.Logger {
	if p.logger != nil {
		return p.logger
	}
	return slog.Default()
}

// allTags returns the policy's own tags, in space, and more.
func (p *policy) allTags(space *namespace, more []scopedTag) []scopedTag {
	if len(p.tags) == 0 {
		return more
	}
	all := make([]scopedTag, 0, len(p.tags)+len(more))
	for _, t := range p.tags {
		all = append(all, scopedTag{space, t})
	}
	return append(all, more...)
}

// newCore checks what is known before the defaults are: they may still change.
func newCore(label string, own Options, types signature) *core {
	c := &core{label: label, own: own, types: types}
	s := c.settings(nil)
	if s.name != "" {
		c.label = s.name
	}
	c.checkSettings(&s)
	c.register(&s)
	return c
}

// settings lays the options that apply to the function over one another.
func (c *core) settings(defaults Options) settings {
	levels := []Options{defaults}
	g := resolve(defaults, c.own).group
	if g != nil {
		levels = append(levels, g.levels()...)
	}
	s := resolve(append(levels, c.own)...)
	s.group = g
	return s
}

// settle reads the defaults and builds what depends on them, once.
func (c *core) settle() {
	c.settling.Lock()
	defer c.settling.Unlock()
	if c.base != nil {
		return
	}
	var d Options
	if set := defaults.Load(); set != nil {
		d = *set
	}
	s := c.settings(d)
	c.checkSettings(&s) // panics at every call until it is mended, not only at the first
	c.register(&s)
	c.base = c.policy(s)
	c.count, c.space = new(counters), new(namespace)
	if s.group != nil {
		c.space = s.group.space
		s.group.enroll(c)
	}
	if !s.noLocal {
		c.tier.Store(c.newTier())
	}
}

func (c *core) newTier() *tier { return newTier(c.base.entries, c.base.bytes, c.count) }

func (c *core) policy(s settings) *policy {
	return &policy{
		settings: s,
		maxAge:   -1,
		keeps:    c.types.keep(s.keep),
		direct:   !s.bypass && s.clone == nil && s.observer == nil,
	}
}

// derive returns the policy for the calls through a With of these options.
func (c *core) derive(calls Options) *policy {
	s := c.base.settings
	s.ttl = -1 // shows whether calls sets it
	calls.apply(&s)
	maxAge := s.ttl
	if s.ttl < 0 {
		s.ttl = c.base.ttl
	}
	c.checkSettings(&s)
	p := c.policy(s)
	p.maxAge = maxAge
	p.direct = p.direct && maxAge < 0 && p.beta == c.base.beta
	return p
}

func (c *core) shard(key string) *flights {
	return &c.shards[maphash.String(seed, key)>>32%uint64(len(c.shards))]
}

// hit returns the fresh result under key, for a direct policy, if finding it
// takes neither a look at the clock nor one at the context. It allocates
// nothing, and key need not outlive the call.
func (c *core) hit(key string) *entry {
	clock, t := coarseNow(), c.tier.Load()
	if clock == stopped || t == nil {
		return nil
	}
	e := t.front.Load().place(key).Load()
	if e == nil || e.key != key || e.touched.Load() != clock {
		if e = t.fill(key, clock); e == nil {
			return nil
		}
	}
	if e.hotUntil.Load() <= clock || e.validAt.Load() != sequence.Load() || e.heritable() {
		return nil
	}
	if c.count.hits.inc()%hitsPerLook == 0 {
		catchUp()
	}
	return e
}

// find returns the result held under key, if any, and what a call under p may do
// with it at t.
func (c *core) find(p *policy, key string, t int64) (*entry, verdict) {
	local := c.tier.Load()
	if local == nil {
		return nil, unusable
	}
	e := local.get(key)
	if e == nil {
		return nil, unusable
	}
	if !c.valid(e) {
		local.remove(e)
		return nil, unusable
	}
	v := e.judge(t, p, draw)
	if v == fallback && e.backsOff(t) {
		v = held
	}
	return e, v
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

// valid reports whether nothing has invalidated e since its execution began.
func (c *core) valid(e *entry) bool {
	seq := sequence.Load()
	if e.validAt.Load() == seq {
		return true
	}
	if c.overtaken(e.born, e.tags) {
		return false
	}
	e.validAt.Store(seq)
	return true
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
	if t == nil || e.empty() || c.overtaken(e.born, e.tags) {
		return false
	}
	e.size = entryOverhead + int64(len(e.key)) + c.types.size(e.value)
	e.hotUntil.Store(math.MinInt64)
	if !bubbled(e.read) {
		e.hotUntil.Store(e.hot(c.base.beta))
	}
	e.validAt.Store(e.born)
	t.set(e)
	return true
}

// put holds value under key as if fn had just returned it. An execution that is
// under way is older, and is detached.
func (c *core) put(p *policy, key string, value any) {
	if p.bypass {
		return
	}
	e := &entry{key: key, value: value, kept: true, read: time.Now(), born: sequence.Load(), tags: p.allTags(c.space, nil)}
	e.window = p.lifetime(&hint{fresh: forever}).open(at(e.read), 0, draw())
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detach(key)
	if !c.hold(e) {
		c.drop(key)
	}
}

// drop drops what is held under key. The caller holds the mu of its shard.
func (c *core) drop(key string) {
	if t := c.tier.Load(); t != nil {
		t.delete(key)
	}
}

// invalidate drops what is held under key, and detaches the execution that is
// under way: nobody who comes later gets its result.
func (c *core) invalidate(ctx context.Context, key string) {
	s := c.shard(key)
	s.mu.Lock()
	s.detach(key)
	c.drop(key)
	s.mu.Unlock()
	c.base.observe(ctx, c, EventInvalidation, key)
}

// clear invalidates every result of the function. The sequence number does so;
// dropping the tier only gives its memory back.
func (c *core) clear(ctx context.Context) {
	nextSequence(c.cleared.Store)
	c.sweep()
	c.base.observe(ctx, c, EventClear, "")
}

// sweep drops the whole tier.
func (c *core) sweep() {
	if t := c.tier.Load(); t != nil {
		c.tier.CompareAndSwap(t, c.newTier())
	}
}

func (c *core) stats() Stats {
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
