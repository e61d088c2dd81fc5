// Package tier holds entries in this process: an index by key, an eviction policy, a bound
// in entries or in bytes.
//
//   - A Tier is what one function holds.
//   - An Item is what a tier keeps of each entry, which embeds it.
//
// The package knows keys, weights and use. It knows nothing of what makes an entry good or
// bad, and nothing of time.
//
// # A hit
//
// A hit takes no lock. It reads the index's directory, which is small, one cache line of the
// index, the first one of the entry, and the bytes of its key. It writes nothing, unless the
// entry has been used less than three times since the policy last looked at it: then it
// stores that in the entry.
//
// # What guards what
//
// A tier has one mutex. Whoever adds, replaces, removes or evicts an entry holds it for that
// long: some hundred nanoseconds, or a hundred times that where the index grows. An entry is
// evicted before the one that it makes room for can be found, so the bound holds at every
// moment.
//
//   - Item.Key, and the size: set before the entry is held, and not changed any more.
//   - Item.Until, and the count of uses: atomic. The count is a load and a store, so uses at
//     the same moment may count as one.
//   - Item.place, the policy and the copies: guarded by the mutex.
//   - The index: written under the mutex, read without it; see there for what readers see.
//
// An entry that leaves the tier is marked, after it has left the index. So whoever found it
// just before does not take it for one that is held.
package tier

import (
	"math"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Tier holds entries of type E. When an entry may be used is not its concern.
//
// All methods are safe for concurrent use.
type Tier[E any, P Entry[E]] struct {
	table table
}

// A table is a Tier that does not know the type of its entries.
type table struct {
	index   index
	evicted func() // called for each eviction
	// storeKey returns the key of what the entry is a copy of in a shared store; "" for none.
	storeKey func(i *Item) string

	mu     sync.Mutex
	policy policy           // guarded by mu
	copies map[string]*Item // guarded by mu; the entries with a store key, by that
}

// An Entry is a pointer to what a tier holds. It embeds its Item as its first field.
type Entry[E any] interface {
	*E
	// Self returns the Item that the entry embeds.
	Self() *Item
	// StoreKey returns the key of what the entry is a copy of in a shared store; "" for none.
	StoreKey() string
}

// An Item is what a tier keeps of an entry. The entry's maker sets Key and the size before
// the entry is held; they do not change from then on.
type Item struct {
	// Until is until when the coarse time suffices to use the entry: an instant of its
	// owner's, or Retired once the entry has left the tier.
	Until atomic.Int64

	Key string

	// usage has how often the entry was used since the policy last looked, up to maxUses, in
	// its lowest bits, and the size above them in units of sizeUnit.
	usage atomic.Uint32
	place uint32 // where the policy has it
}

const (
	usesBits = 2
	maxUses  = 1<<usesBits - 1
	sizeUnit = 8 // what Go's allocator rounds up to at least
)

// Retired is the value of Until when the entry has left the tier.
const Retired = math.MinInt64

// Self returns i: what embeds an Item has it by this.
func (i *Item) Self() *Item { return i }

// Retired reports whether the entry has left the tier.
func (i *Item) Retired() bool { return i.Until.Load() == Retired }

// SetUntil sets until when the coarse time suffices, unless the entry has left the tier.
func (i *Item) SetUntil(until int64) {
	if old := i.Until.Load(); old != Retired {
		i.Until.CompareAndSwap(old, max(until, Retired+1))
	}
}

// SetBytes sets the size of an entry that is not held yet. It is rounded up to 8 bytes, and
// 8 GiB is the most.
func (i *Item) SetBytes(n int64) {
	units := (min(max(n, 0), maxBytes) + sizeUnit - 1) / sizeUnit
	i.usage.Store(uint32(units) << usesBits)
}

// Bytes returns the entry's size.
func (i *Item) Bytes() int64 { return int64(i.usage.Load()>>usesBits) * sizeUnit }

func (i *Item) uses() uint32 { return i.usage.Load() & maxUses }

func (i *Item) setUses(n uint32) { i.usage.Store(i.usage.Load()&^maxUses | n) }

// New returns a tier of at most entries entries or, where limit is not zero, at most limit
// bytes. evicted is called for each entry that is dropped for want of room, or not held
// because it is larger than limit; it must not call the tier.
func New[E any, P Entry[E]](entries int, limit int64, evicted func()) *Tier[E, P] {
	if e := new(E); unsafe.Pointer(P(e).Self()) != unsafe.Pointer(e) {
		panic("tier: an Item that is not the first field of its entry")
	}
	t := &Tier[E, P]{table: table{evicted: evicted}}
	t.table.storeKey = func(i *Item) string { return of[E, P](i).StoreKey() }
	t.table.index.init()
	t.table.policy = newPolicy(entries, limit, t.table.leaves)
	return t
}

// of returns the entry that i is the Item of, or nil.
func of[E any, P Entry[E]](i *Item) P { return P((*E)(unsafe.Pointer(i))) }

// Get returns what is held under key, which need not outlive the call, and counts a use of
// it; nil for nothing. It may have left the tier meanwhile.
func (t *Tier[E, P]) Get(key string) P { return of[E, P](t.table.get(key)) }

func (t *table) get(key string) *Item {
	i := t.index.get(Hash(key), key)
	if i != nil {
		if u := i.usage.Load(); u&maxUses < maxUses {
			i.usage.Store(u + 1)
		}
	}
	return i
}

// Set holds e in place of what was under its key. What has to make room is evicted before.
// An entry that is larger than the limit is not held.
func (t *Tier[E, P]) Set(e P) { t.table.set(e.Self()) }

func (t *table) set(i *Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	hash, p := Hash(i.Key), &t.policy
	old := t.index.get(hash, i.Key)
	switch {
	case p.weight(i) > p.limit:
		if old != nil {
			t.drop(old)
		}
		i.Until.Store(Retired)
		t.evicted()
	case old == nil:
		p.makeRoom(i, hash)
		p.add(i)
		t.index.insert(hash, i)
	default:
		if !p.replace(old, i) {
			p.remove(old)
			p.makeRoom(i, hash)
			p.add(i)
		}
		t.index.replace(hash, old, i)
		t.retire(old)
	}
}

// Delete drops what is held under key.
func (t *Tier[E, P]) Delete(key string) {
	t.table.mu.Lock()
	defer t.table.mu.Unlock()
	if i := t.table.index.get(Hash(key), key); i != nil {
		t.table.drop(i)
	}
}

// Remove drops e, unless something else has taken its place.
func (t *Tier[E, P]) Remove(e P) {
	t.table.mu.Lock()
	defer t.table.mu.Unlock()
	if i := e.Self(); t.table.index.get(Hash(i.Key), i.Key) == i {
		t.table.drop(i)
	}
}

// drop takes i, which is held, out of the tier. The caller holds mu, as for what follows.
func (t *table) drop(i *Item) {
	t.policy.remove(i)
	t.index.remove(Hash(i.Key), i)
	t.retire(i)
}

// leaves is called by the policy for what it evicts.
func (t *table) leaves(i *Item) {
	t.index.remove(Hash(i.Key), i)
	t.retire(i)
	t.evicted()
}

// retire marks i, which the index does not have any more.
func (t *table) retire(i *Item) {
	i.Until.Store(Retired)
	if t.copies == nil {
		return
	}
	if key := t.storeKey(i); key != "" && t.copies[key] == i {
		delete(t.copies, key)
	}
}

// CopyOf returns the copy that is held of what the store has under sharedKey, or
// nil.
func (t *Tier[E, P]) CopyOf(sharedKey string) P {
	t.table.mu.Lock()
	defer t.table.mu.Unlock()
	return of[E, P](t.table.copies[sharedKey])
}

// NoteCopy notes that e, which is held, is a copy.
func (t *Tier[E, P]) NoteCopy(e P) {
	t.table.mu.Lock()
	defer t.table.mu.Unlock()
	if e.Self().Retired() { // evicted before it got there
		return
	}
	if t.table.copies == nil {
		t.table.copies = map[string]*Item{}
	}
	t.table.copies[e.StoreKey()] = e.Self()
}

// Held returns how many entries the tier holds now, and the sum of their sizes.
func (t *Tier[E, P]) Held() (entries, bytes uint64) {
	t.table.mu.Lock()
	defer t.table.mu.Unlock()
	return uint64(t.table.policy.held()), uint64(t.table.policy.bytes)
}
