// Package tier holds entries in this process: an index by key, an eviction policy, a bound
// in entries or in bytes.
//
//   - A Tier is what one function holds.
//   - An Item is what a tier keeps of each entry, which embeds it.
//
// The package knows keys, weights and use. It knows nothing of what makes an entry good or
// bad, and nothing of time but the coarse instants at which entries were used.
package tier

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/maypok86/otter/v2"

	"github.com/seed-0226adef/memo/internal/keys"
)

// A Tier holds entries of type E. Otter decides what stays (W-TinyLFU); when an entry may
// be used is not its concern, so otter knows nothing of time, and none of its goroutines
// outlives a call.
//
// In front of otter stands a direct-mapped array of the entries that were asked for
// last. A hit there is a hash, a load and a comparison.
//
// All methods are safe for concurrent use.
type Tier[E any, P Entry[E]] struct {
	cache   *otter.Cache[string, P]
	front   atomic.Pointer[front[E]]
	held    atomic.Int64 // how many entries the cache holds
	bytes   atomic.Int64 // the sum of their sizes
	evicted func()       // called for each eviction

	mu     sync.Mutex
	copies map[string]P // guarded by mu; the entries with a StoreKey, by that
}

// An Entry is a pointer to what a tier holds.
type Entry[E any] interface {
	*E
	// Self returns the Item that the entry embeds.
	Self() *Item
	// Bytes returns the entry's size. It does not change while the entry is held.
	Bytes() int64
	// StoreKey returns the key of what the entry is a copy of in a shared store; "" for none.
	StoreKey() string
}

// An Item is what a tier keeps of an entry. The entry's maker sets Key before the entry is
// held; it does not change from then on.
type Item struct {
	// Until is until when the coarse time suffices to use the entry: an instant of its
	// owner's, or Retired once the entry has left the tier.
	Until atomic.Int64
	// touched is the coarse time at which the entry was last reported to the eviction
	// policy.
	touched atomic.Int64

	Key string
}

// Retired is the value of Until when the entry has left the tier.
const Retired = math.MinInt64

// Self returns i: what embeds an Item has it by this.
func (i *Item) Self() *Item { return i }

// Retired reports whether the entry has left the tier.
func (i *Item) Retired() bool { return i.Until.Load() == Retired }

// TouchedAt reports whether the entry was reported to the eviction policy at that coarse
// time.
func (i *Item) TouchedAt(tick int64) bool { return i.touched.Load() == tick }

// SetUntil sets until when the coarse time suffices, unless the entry has left the tier.
func (i *Item) SetUntil(until int64) {
	if old := i.Until.Load(); old != Retired {
		i.Until.CompareAndSwap(old, max(until, Retired+1))
	}
}

// CopyOf returns the copy that is held of what the store has under sharedKey, or
// nil.
func (t *Tier[E, P]) CopyOf(sharedKey string) P {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.copies[sharedKey]
}

// NoteCopy notes that e, which is held, is a copy.
func (t *Tier[E, P]) NoteCopy(e P) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.copies == nil {
		t.copies = map[string]P{}
	}
	if t.copies[e.StoreKey()] = e; e.Self().Retired() { // evicted before it got there
		delete(t.copies, e.StoreKey())
	}
}

func (t *Tier[E, P]) dropCopy(e P) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.copies[e.StoreKey()] == e {
		delete(t.copies, e.StoreKey())
	}
}

// A front has a place for each of a power of two of key hashes. It starts small
// and is replaced by a larger one, empty at first, as the tier fills.
type front[E any] []atomic.Pointer[E]

const (
	minFront = 1 << 6
	maxFront = 1 << 15 // 256 KiB
)

// New returns a tier of at most entries entries or, where limit is not zero, at most limit
// bytes. evicted is called for each entry that is dropped for want of room.
func New[E any, P Entry[E]](entries int, limit int64, evicted func()) *Tier[E, P] {
	t := &Tier[E, P]{evicted: evicted}
	t.front.Store(newFront[E](minFront))
	o := &otter.Options[string, P]{OnAtomicDeletion: t.deleted}
	if limit > 0 {
		o.MaximumWeight = uint64(limit)
		o.Weigher = func(_ string, e P) uint32 { return uint32(min(e.Bytes(), math.MaxUint32)) }
	} else {
		o.MaximumSize = entries
	}
	t.cache = otter.Must(o)
	return t
}

func newFront[E any](size int) *front[E] {
	f := make(front[E], size)
	return &f
}

// InFront returns what was asked for last of the keys that share the hash's place in front;
// nil for nothing. hash is the [Hash] of a key; what is returned need not be the entry for
// it. It is small enough to be inlined.
func (t *Tier[E, P]) InFront(hash uint64) *E { return t.front.Load().place(hash).Load() }

// place returns the place of a key with that hash.
func (f front[E]) place(hash uint64) *atomic.Pointer[E] { return &f[hash&uint64(len(f)-1)] }

// Hash returns a hash of key. A poor one costs look-ups in otter and nothing else, so
// short keys get a short hash: the product of their ends.
func Hash(key string) uint64 {
	if n := len(key); n >= 8 && n <= 16 {
		high, low := bits.Mul64(load64(key, 0)^seeds[0], load64(key, n-8)^seeds[1])
		return high ^ low
	}
	return maphash.String(seed, key)
}

func load64(s string, at int) uint64 {
	return binary.LittleEndian.Uint64(unsafe.Slice(unsafe.StringData(s), len(s))[at:])
}

var (
	seed  = maphash.MakeSeed()
	seeds = [2]uint64{rand.Uint64(), rand.Uint64()}
)

// Fill finds what is held under key, which need not outlive the call, and shows it.
// clock is the coarse time.
func (t *Tier[E, P]) Fill(key string, clock int64) P {
	e := t.Get(key)
	if e != nil {
		t.show(e, clock)
	}
	return e
}

// show makes e the one that is found in front, and notes that its use was reported
// to the eviction policy at clock.
//
// A result that is found in front is reported once a tick at most: that keeps
// the order of what is used and what is not, and spares every other hit the
// policy's bookkeeping.
func (t *Tier[E, P]) show(e P, clock int64) {
	i := e.Self()
	i.touched.Store(clock)
	place := t.front.Load().place(Hash(i.Key))
	place.Store(e)
	if i.Retired() { // deleted before it got there
		place.CompareAndSwap(e, nil)
	}
}

// Get returns what is held under key, which need not outlive the call: otter
// compares keys on look-up and keeps only those that are stored.
func (t *Tier[E, P]) Get(key string) P {
	e, _ := t.cache.GetIfPresent(keys.Transient(key))
	return e
}

// Set holds e in place of what was under its key.
func (t *Tier[E, P]) Set(e P) {
	t.bytes.Add(e.Bytes())
	n := t.held.Add(1)
	t.cache.Set(e.Self().Key, e)
	if f := t.front.Load(); int(n) > len(*f)/8 && len(*f) < maxFront {
		t.front.CompareAndSwap(f, newFront[E](min(4*len(*f), maxFront)))
	}
}

// Delete drops what is held under key.
func (t *Tier[E, P]) Delete(key string) { t.cache.Invalidate(key) }

// Remove drops e, unless something else has taken its place.
func (t *Tier[E, P]) Remove(e P) {
	t.cache.ComputeIfPresent(e.Self().Key, func(held P) (P, otter.ComputeOp) {
		if held == e {
			return nil, otter.InvalidateOp
		}
		return held, otter.CancelOp
	})
}

// deleted is called by otter as part of every replacement, removal and
// eviction, under the lock of a hash table bucket.
func (t *Tier[E, P]) deleted(d otter.DeletionEvent[string, P]) {
	e := d.Value
	e.Self().Until.Store(Retired)
	t.front.Load().place(Hash(e.Self().Key)).CompareAndSwap(e, nil)
	t.bytes.Add(-e.Bytes())
	t.held.Add(-1)
	if e.StoreKey() != "" {
		t.dropCopy(e)
	}
	if d.Cause == otter.CauseOverflow {
		t.evicted()
	}
}

// Held returns how many entries the tier holds now, and the sum of their sizes. What is
// still to be evicted, so that the bound holds, is evicted before.
func (t *Tier[E, P]) Held() (entries, bytes uint64) {
	t.cache.CleanUp()
	return uint64(t.cache.EstimatedSize()), uint64(max(t.bytes.Load(), 0))
}
