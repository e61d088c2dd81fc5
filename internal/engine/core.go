// Package engine is the life of each key of a function in this process: it looks a result up,
// waits for the execution that is under way, executes, and publishes what comes back.
//
//   - A Cache is everything of a function that does not depend on its types.
//   - A Call is what is under way for one key: a read of the store, or an execution. A Waiter
//     is one caller's wait for it.
//   - A Search is one caller's search for a result that it may use.
//   - An Execution is fn with one argument, and a Lead an execution that its caller carries out.
//
// The package knows calls, waiters, nesting, and what entry.Config has of a function's options.
// It knows nothing of the types of arguments and results, or of HTTP; and of a store, only what
// the packages shared, lease and fleet say.
package engine

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/shared"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/tags"
	"github.com/seed-0226adef/memo/internal/tier"
)

// A Cache is everything of a function that does not depend on its types: it works
// on keys, and on results wrapped in any. All Funcs that With derives from one
// another share a Cache.
type Cache struct {
	shared.Function

	cleared   atomic.Uint64             // the sequence number of the function's last Clear
	Tier      atomic.Pointer[localTier] // nil if nothing is held in this process
	newTier   func() *localTier         // a new one, empty
	Shared    *shared.Results           // nil without a store; set before base
	executing sync.Map                  // the executions under way, by shared key
	Copying   nested.Copying            // of its results, for callers
	shards    [16]shard
}

// sequence returns the number of the last invalidation.
func sequence() uint64 { return tags.Sequence.Load() }

// A localTier holds the function's results in this process.
type localTier = tier.Tier[entry.Entry, *entry.Entry]

// seed is of the hashes that spread keys over shards.
var seed = maphash.MakeSeed()

// New returns the Cache of a function.
func New(label string, types entry.Typing) *Cache {
	return &Cache{Function: shared.Function{Label: label, Types: types, Count: new(entry.Counters)}}
}

// HoldLocally has results held in this process: at most entries or, where limit is not
// zero, limit bytes.
func (c *Cache) HoldLocally(entries int, limit int64) {
	c.newTier = func() *localTier {
		return tier.New[entry.Entry, *entry.Entry](entries, limit, func() { c.Count.Evictions.Add(1) })
	}
	c.Tier.Store(c.newTier())
}

// Share has the function's results shared at p.
func (c *Cache) Share(p shared.Place) { c.Shared = shared.New(&c.Function, p, member{c}) }

// Start sets the config of the function itself, which is complete from then on.
func (c *Cache) Start(p *entry.Config) {
	if c.Base = p; c.Shared != nil {
		c.Shared.Collection.Tags = p.Tags
		c.Space.Reaches(c.Shared.Keyspace)
		c.Shared.Enroll(c.Shared.Member)
	}
}

// Prepare completes p, for calls of the function.
func (c *Cache) Prepare(p *entry.Config) {
	if len(p.Tags) > 0 {
		c.NeedsGroup(p)
	}
	if c.Shared != nil {
		p.Needs = c.Shared.NeedsOf(p.Tags)
		c.Shared.Codecs.Add(p.Codec)
		c.Shared.NoteTimeout(p.StoreTimeout)
	}
}

func (c *Cache) Shard(key string) *shard {
	return &c.shards[maphash.String(seed, key)>>32%uint64(len(c.shards))]
}

// Hit returns the fresh result under key, for a direct policy, if finding it
// takes neither a look at the clock nor one at the context. It allocates
// nothing, and key need not outlive the call.
func (c *Cache) Hit(key string) *entry.Entry {
	tick, t := clock.Coarse(), c.Tier.Load()
	if tick == clock.Stopped || t == nil {
		return nil
	}
	e := t.Get(key)
	if e == nil || e.Until.Load() <= tick || e.ValidAt.Load() != sequence() || e.Propagates() || entry.DisabledByDefault.Load() {
		return nil
	}
	if c.Count.Hits.Inc()%clock.HitsPerLook == 0 {
		clock.CatchUp()
	}
	return e
}

// Held returns the result under key whatever its state, or nil.
func (c *Cache) Held(key string) *entry.Entry {
	if t := c.Tier.Load(); t != nil {
		return t.Get(key)
	}
	return nil
}

// invalidated reports whether a result with these tags, whose execution noted the
// sequence number born, has been invalidated since: by a Clear of its function
// or its group, or by a tag.
func (c *Cache) invalidated(born uint64, of []tags.Tag) bool {
	return sequence() != born &&
		(c.cleared.Load() > born || c.Space.ClearedAfter(born) || tags.AnyInvalidated(of, born))
}

// overtaken reports whether it has been invalidated, or has expired: who comes after that
// does not wait for it.
func (c *Cache) overtaken(born uint64, of []tags.Tag) bool {
	if sequence() == born {
		return false
	}
	_, expired := c.Space.Expired(born, of)
	return expired || c.invalidated(born, of)
}

// hold puts e into the tier, unless it is useless already, and reports whether it
// did. The caller holds the mu of its key's shard, as everyone does who changes
// what the tier holds under a key; evictions may come in between.
func (c *Cache) hold(e *entry.Entry) bool {
	t := c.Tier.Load()
	if t == nil || e.Empty() || e.Doubtful() || c.invalidated(e.ValidAt.Load(), e.Tags()) {
		return false
	}
	e.SetBytes(e.Weigh(&c.Types))
	e.Until.Store(fresh.Cold)
	if r := e.Rest(); !r.Exact && r.Alone() {
		e.Until.Store(e.CoarseUntil(c.Base.Beta))
	}
	t.Set(e)
	if e.Location() == nil {
		return true
	}
	t.NoteCopy(e)
	if e.Doubtful() { // a report came before there was a copy to be found
		t.Remove(e)
		return false
	}
	return true
}

// ForgetKey drops what is held under key.
func (c *Cache) ForgetKey(key string) {
	s := c.Shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.drop(key)
}

// forget drops the copy of what the store holds under sharedKey.
func (c *Cache) forget(sharedKey string) {
	if t := c.Tier.Load(); t != nil {
		if e := t.CopyOf(sharedKey); e != nil && e.Stored() {
			t.Remove(e)
		}
	}
}

// Put holds value under key as if fn had just returned it. An execution that is
// under way is older, and is detached.
func (c *Cache) Put(ctx context.Context, p *entry.Config, key string, exec Execution, value any) error {
	born, read, hint := sequence(), time.Now(), nested.NewHint()
	window := p.Lifetime(&hint).Window(clock.At(read), 0, entry.Draw())
	e := entry.New(key, c.Types.Pointer(value), window, read, born)
	if t := p.AllTags(c.Space, nil); len(t) > 0 {
		e.Own().Tags = t
	}
	if c.Shared == nil {
		c.replace(e, nil)
		return nil
	}
	// A caller that looks for the key meanwhile looks again; and an Invalidate makes the
	// call one that is not current, so that e is not held after it.
	call := c.beginSet(key, c.SharedKey(key, exec))
	defer call.endSet()
	if c.Tier.Load() != nil {
		c.Shared.Subscribe()
	}
	err := c.Shared.Put(ctx, p, call.sharedKey, e)
	c.replace(e, call)
	c.Shared.Overtake(c.Shared.Member, key, call.sharedKey)
	return c.NotSet(err)
}

// beginSet makes a Set the current call of its key.
func (c *Cache) beginSet(key, sharedKey string) *Call {
	s := c.Shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	call := c.newCall(key, sharedKey, setting)
	call.read.again = true
	return call
}

func (c *Call) endSet() {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	c.to(answered)
	c.retire()
	c.endOver()
}

// replace holds e in place of what there is, unless set, the call that has told the store
// if there is one, is not current any more.
func (c *Cache) replace(e *entry.Entry, set *Call) {
	s := c.Shard(e.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	current := set == nil || set.current
	s.overtake(e.Key)
	if !current || !c.hold(e) {
		c.drop(e.Key)
	}
}

// drop drops what is held under key. The caller holds the mu of its shard.
func (c *Cache) drop(key string) {
	if t := c.Tier.Load(); t != nil {
		t.Delete(key)
	}
}

// Invalidate drops what is held under keys, and detaches the executions that are
// under way: nobody who comes later gets their results. The store comes first, so
// that nothing that is read from it afterwards can be from before.
func (c *Cache) Invalidate(ctx context.Context, p *entry.Config, keys, sharedKeys []string) error {
	var err error
	if c.Shared != nil {
		err = c.Shared.Invalidate(ctx, storeclient.DeadlineIn(p.StoreTimeout), sharedKeys)
	}
	for i, key := range keys {
		c.overtake(key)
		if c.Shared != nil {
			c.Shared.Overtake(c.Shared.Member, key, sharedKeys[i])
		}
		c.Base.Tell(ctx, entry.EventInvalidation, key)
	}
	return c.NotReached("Invalidate", err)
}

// overtake drops what is held under key, and detaches what is under way.
func (c *Cache) overtake(key string) {
	s := c.Shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overtake(key)
	c.drop(key)
}

// Clear invalidates every result of the function. The sequence number does so in
// this process, and an epoch in the store; dropping the tier only gives its
// memory back.
func (c *Cache) Clear(ctx context.Context, p *entry.Config) error {
	var err error
	if c.Shared != nil {
		err = c.Shared.Clear(ctx, p.StoreTimeout)
	}
	tags.NextSequence(c.cleared.Store)
	c.Sweep()
	if c.Shared != nil {
		for _, other := range c.Shared.Namesakes(c.Shared.Member) {
			other.On.Cleared()
		}
	}
	c.Base.Tell(ctx, entry.EventClear, "")
	return c.NotReached("Clear", err)
}

// Sweep drops the whole tier.
func (c *Cache) Sweep() {
	if t := c.Tier.Load(); t != nil {
		c.Tier.CompareAndSwap(t, c.newTier())
	}
}

func (c *Cache) Stats() (s entry.Stats) {
	var entries, bytes uint64
	if t := c.Tier.Load(); t != nil {
		entries, bytes = t.Held() // before the evictions are read, so that these agree
	}
	s = c.Count.Read()
	s.Entries, s.Bytes = entries, bytes
	return s
}

// Reset makes the cache what New returns. No call may be under way.
func (c *Cache) Reset() {
	if c.Shared != nil {
		c.Shared.Dismiss(c.Shared.Member)
	}
	c.Tier.Store(nil)
	c.newTier, c.Shared, c.Base = nil, nil, nil
	c.OnceReported.Store(false)
	c.TagsReported.Store(false)
	c.executing.Clear()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.overtakings++
		s.calls, s.failing = nil, entry.Failing{}
		s.mu.Unlock()
	}
}

// SharedKey returns the key in the store of the argument that exec is for, or ""
// without a store. It may call a method of the argument, which may panic, so it
// comes before anything that others could wait for.
func (c *Cache) SharedKey(key string, exec Execution) string {
	if c.Shared == nil {
		return ""
	}
	return shared.SharedKey(c.Shared.Head, key, exec)
}
