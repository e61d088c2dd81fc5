package tier

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// An index finds items by key. Readers take no lock: they load the directory, a segment of
// it, and go from a bucket on. Writers hold the tier's mu.
//
// It is an extendible hash table (Fagin et al., ACM TODS 1979): the directory has a place
// for each value of the hash's highest bits, and a segment that fills up is split in two by
// one more of them. So growing takes no more than a segment's items at a time. All segments
// are of one size; while there is a single one, it doubles.
//
// What a reader may see beside a writer:
//
//   - An item stays where it is for as long as its segment is in use, and one that takes its
//     place under the same key takes it in one store: a reader finds the one or the other.
//   - A segment that was split is not written to any more. A reader that still goes through
//     it finds what was held when it loaded the directory, and the tier marks what has left.
type index struct {
	directory atomic.Pointer[directory]
}

type directory struct {
	shift    uint // how far the hash is shifted for the number of the place
	mask     uint64
	places   []atomic.Pointer[bucket] // the first bucket of the segment
	segments []*segment               // the same, for writers
}

// A segment is so many buckets, and what writers know of them.
type segment struct {
	buckets []bucket
	depth   uint // how many bits of the hash its items have in common
	held    int
}

// A bucket is a cache line: a tag of each item, which is eight bits of its hash, and the items.
// A tag of zero says that there is none.
type bucket struct {
	// tags has the tag of items[i] in byte i. The highest byte counts the items that would be
	// here if there were room, and are further on. Once that is at its limit it stays there.
	tags  atomic.Uint64
	items [slots]atomic.Pointer[Item]
}

const (
	slots       = 7
	minBuckets  = 4
	maxBuckets  = 512 // 32 KiB: from there on Go's allocator aligns to pages, and a bucket is a cache line
	overflowOne = 1 << 56
	overflowMax = 0xff
	everyByte   = 0x0101010101010101
	highBits    = 0x8080808080808080
)

func (x *index) init() { x.directory.Store(newDirectory(0, newSegment(minBuckets, 0))) }

func newSegment(buckets int, depth uint) *segment {
	return &segment{buckets: make([]bucket, buckets), depth: depth}
}

// newDirectory returns one with 1<<depth places, all of which are s's.
func newDirectory(depth uint, s *segment) *directory {
	d := &directory{shift: 64 - depth, mask: uint64(len(s.buckets) - 1)}
	d.places, d.segments = make([]atomic.Pointer[bucket], 1<<depth), make([]*segment, 1<<depth)
	for i := range d.segments {
		d.put(i, s)
	}
	return d
}

func (d *directory) put(i int, s *segment) {
	d.segments[i] = s
	d.places[i].Store(&s.buckets[0])
}

// tagOf returns the tag of a hash in every byte of a word but the highest.
func tagOf(hash uint64) uint64 { return max(hash&0xff, 1) * (everyByte >> 8) }

// matches returns a word with the highest bit set in those of the seven lower bytes of tags
// in which they equal want, and perhaps in some above such a one.
func matches(tags, want uint64) uint64 {
	x := tags ^ want
	return (x - everyByte) &^ x & (highBits >> 8)
}

// get returns the item under key, or nil. hash is key's.
func (x *index) get(hash uint64, key string) *Item {
	d := x.directory.Load()
	first, want := unsafe.Pointer(d.places[hash>>d.shift].Load()), tagOf(hash)
	for at, left := hash>>8, d.mask; ; at, left = at+1, left-1 {
		b := (*bucket)(unsafe.Add(first, (at&d.mask)*uint64(unsafe.Sizeof(bucket{}))))
		tags := b.tags.Load()
		for m := matches(tags, want); m != 0; m &= m - 1 {
			if i := b.items[bits.TrailingZeros64(m)>>3].Load(); i != nil && i.Key == key {
				return i
			}
		}
		if tags < overflowOne || left == 0 { // in a small segment, all buckets may have overflowed
			return nil
		}
	}
}

// segmentOf returns the segment of a hash.
func (x *index) segmentOf(hash uint64) *segment {
	d := x.directory.Load()
	return d.segments[hash>>d.shift]
}

// replace puts i in the place of old, which is held under the same key.
func (x *index) replace(hash uint64, old, i *Item) {
	s := x.segmentOf(hash)
	for at := hash >> 8; ; at++ {
		b := &s.buckets[at&uint64(len(s.buckets)-1)]
		for n := range b.items {
			if b.items[n].Load() == old {
				b.items[n].Store(i)
				return
			}
		}
	}
}

// insert adds i, under whose key nothing is held.
func (x *index) insert(hash uint64, i *Item) {
	s := x.segmentOf(hash)
	for s.held >= len(s.buckets)*slots*4/5 {
		x.grow(hash, s)
		s = x.segmentOf(hash)
	}
	s.add(hash, i)
}

func (s *segment) add(hash uint64, i *Item) {
	s.held++
	want := tagOf(hash)
	for at := hash >> 8; ; at++ {
		b := &s.buckets[at&uint64(len(s.buckets)-1)]
		tags := b.tags.Load()
		for n := range slots {
			if place := uint64(0xff) << (8 * n); tags&place == 0 {
				b.items[n].Store(i)
				b.tags.Store(tags | want&place)
				return
			}
		}
		if tags>>56 < overflowMax {
			b.tags.Store(tags + overflowOne)
		}
	}
}

// remove takes i out.
func (x *index) remove(hash uint64, i *Item) {
	s := x.segmentOf(hash)
	s.held--
	for at := hash >> 8; ; at++ {
		b := &s.buckets[at&uint64(len(s.buckets)-1)]
		tags := b.tags.Load()
		for n := range b.items {
			if b.items[n].Load() == i {
				b.tags.Store(tags &^ (0xff << (8 * n)))
				b.items[n].Store(nil)
				return
			}
		}
		if tags>>56 < overflowMax {
			b.tags.Store(tags - overflowOne)
		}
	}
}

// grow makes room in the segment of a hash, which is full.
func (x *index) grow(hash uint64, s *segment) {
	d := x.directory.Load()
	if len(s.buckets) < maxBuckets { // there is no other one
		bigger := newSegment(2*len(s.buckets), 0)
		s.each(bigger.add)
		x.directory.Store(newDirectory(0, bigger))
		return
	}
	depth := s.depth + 1
	halves := [2]*segment{newSegment(maxBuckets, depth), newSegment(maxBuckets, depth)}
	s.each(func(h uint64, i *Item) { halves[h>>(64-depth)&1].add(h, i) })
	if bits := 64 - d.shift; depth > bits {
		double := newDirectory(bits+1, s)
		for i := range double.segments {
			double.put(i, d.segments[i/2])
		}
		d = double
	}
	of := 1 << (64 - d.shift - depth) // how many places a half has
	from := int(hash>>d.shift) &^ (2*of - 1)
	for i := range 2 * of {
		d.put(from+i, halves[i/of])
	}
	x.directory.Store(d)
}

// each calls do with all items and their hashes.
func (s *segment) each(do func(hash uint64, i *Item)) {
	for b := range s.buckets {
		for n := range slots {
			if i := s.buckets[b].items[n].Load(); i != nil {
				do(Hash(i.Key), i)
			}
		}
	}
}
