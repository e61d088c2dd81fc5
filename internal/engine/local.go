package engine

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

// A tier holds a function's results in this process. Otter decides what stays
// (W-TinyLFU); when a result may be used is decided by its window, so otter
// knows nothing of time, and none of its goroutines outlives a call.
//
// In front of otter stands a direct-mapped array of the results that were asked
// for last. A hit there is a hash, a load and a comparison.
type tier struct {
	cache *otter.Cache[string, *Entry]
	front atomic.Pointer[front]
	held  atomic.Int64 // how many entries the cache holds
	bytes atomic.Int64 // the sum of their sizes
	count *Counters

	mu     sync.Mutex
	Copies map[string]*Entry // guarded by mu; those of shared results, by shared key
}

// copyOf returns the copy that is held of what the store has under sharedKey, or
// nil.
func (t *tier) copyOf(sharedKey string) *Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Copies[sharedKey]
}

// noteCopy notes that e, which is held, is a copy.
func (t *tier) noteCopy(e *Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Copies == nil {
		t.Copies = map[string]*Entry{}
	}
	if t.Copies[e.share.key] = e; e.Retired() { // evicted before it got there
		delete(t.Copies, e.share.key)
	}
}

func (t *tier) dropCopy(e *Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Copies[e.share.key] == e {
		delete(t.Copies, e.share.key)
	}
}

// A front has a place for each of a power of two of key hashes. It starts small
// and is replaced by a larger one, empty at first, as the tier fills.
type front []atomic.Pointer[Entry]

const (
	minFront = 1 << 6
	maxFront = 1 << 15 // 256 KiB
)

// NewTier makes a tier of at most entries results or, where limit is not zero,
// at most limit bytes.
func NewTier(entries int, limit int64, count *Counters) *tier {
	t := &tier{count: count}
	t.front.Store(newFront(minFront))
	o := &otter.Options[string, *Entry]{OnAtomicDeletion: t.deleted}
	if limit > 0 {
		o.MaximumWeight = uint64(limit)
		o.Weigher = func(_ string, e *Entry) uint32 { return uint32(min(e.size, math.MaxUint32)) }
	} else {
		o.MaximumSize = entries
	}
	t.cache = otter.Must(o)
	return t
}

func newFront(size int) *front {
	f := make(front, size)
	return &f
}

// place returns the place of key. A poor spread costs look-ups in otter and
// nothing else, so short keys get a short hash: the product of their ends.
func (f front) place(key string) *atomic.Pointer[Entry] {
	var h uint64
	if n := len(key); n >= 8 && n <= 16 {
		high, low := bits.Mul64(load64(key, 0)^seeds[0], load64(key, n-8)^seeds[1])
		h = high ^ low
	} else {
		h = maphash.String(seed, key)
	}
	return &f[h&uint64(len(f)-1)]
}

func load64(s string, at int) uint64 {
	return binary.LittleEndian.Uint64(unsafe.Slice(unsafe.StringData(s), len(s))[at:])
}

var (
	seed  = maphash.MakeSeed()
	seeds = [2]uint64{rand.Uint64(), rand.Uint64()}
)

// fill finds what is held under key, which need not outlive the call, and shows it.
// clock is the coarse time.
func (t *tier) fill(key string, clock int64) *Entry {
	e := t.get(key)
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
func (t *tier) show(e *Entry, clock int64) {
	e.touched.Store(clock)
	place := t.front.Load().place(e.Key)
	place.Store(e)
	if e.Retired() { // deleted before it got there
		place.CompareAndSwap(e, nil)
	}
}

// get returns what is held under key, which need not outlive the call: otter
// compares keys on look-up and keeps only those that are stored.
func (t *tier) get(key string) *Entry {
	e, _ := t.cache.GetIfPresent(keys.Transient(key))
	return e
}

// set holds e in place of what was under its key.
func (t *tier) set(e *Entry) {
	t.bytes.Add(e.size)
	n := t.held.Add(1)
	t.cache.Set(e.Key, e)
	if f := t.front.Load(); int(n) > len(*f)/8 && len(*f) < maxFront {
		t.front.CompareAndSwap(f, newFront(min(4*len(*f), maxFront)))
	}
}

// delete drops what is held under key.
func (t *tier) delete(key string) { t.cache.Invalidate(key) }

// remove drops e, unless something else has taken its place.
func (t *tier) remove(e *Entry) {
	t.cache.ComputeIfPresent(e.Key, func(held *Entry) (*Entry, otter.ComputeOp) {
		if held == e {
			return nil, otter.InvalidateOp
		}
		return held, otter.CancelOp
	})
}

// deleted is called by otter as part of every replacement, removal and
// eviction, under the lock of a hash table bucket.
func (t *tier) deleted(d otter.DeletionEvent[string, *Entry]) {
	e := d.Value
	e.retire()
	t.front.Load().place(e.Key).CompareAndSwap(e, nil)
	t.bytes.Add(-e.size)
	t.held.Add(-1)
	if e.share != nil {
		t.dropCopy(e)
	}
	if d.Cause == otter.CauseOverflow {
		t.count.evictions.Add(1)
	}
}

// describe fills in what the tier holds now.
func (t *tier) describe(s *stats) {
	s.Entries = uint64(t.cache.EstimatedSize())
	s.Bytes = uint64(max(t.bytes.Load(), 0))
}
