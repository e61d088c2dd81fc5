package tier

import "math/bits"

// A sketch estimates how often keys were asked for: a count-min sketch of counters of four
// bits (Cormode and Muthukrishnan, J. Algorithms 2005), which are halved after a number of
// additions, so that what was is forgotten (Einziger, Friedman and Manes, TinyLFU, ACM ToS
// 2017). A key's four counters are in one cache line.
//
// The tier's mu guards it.
type sketch struct {
	words []uint64 // of 16 counters; a power of two of lines of 8
	added int      // since the counters were halved
	held  int      // for how many entries it is made
}

const (
	lineWords   = 8
	sampleRatio = 10 // additions until the counters are halved, for each entry
)

// fit makes the sketch one for so many entries. It grows by doubling. A key's line in the larger
// one is the same but for the highest bits, so each copy of the lines has what was counted.
func (s *sketch) fit(entries int) {
	if entries <= s.held {
		return
	}
	s.held = max(64, 1<<bits.Len(uint(entries-1)))
	counted := s.words
	s.words = make([]uint64, max(lineWords, s.held))
	for at := 0; at < len(s.words) && len(counted) > 0; at += len(counted) {
		copy(s.words[at:], counted)
	}
}

// at returns the word of the nth counter of a hash and how far the counter is shifted in it.
func (s *sketch) at(hash uint64, n uint) (word *uint64, shift uint) {
	line := hash * golden >> 16 & uint64(len(s.words)/lineWords-1)
	part := hash * golden2 >> (16 + 8*n)
	return &s.words[line*lineWords+uint64(2*n)+part&1], uint(part>>1&15) * 4
}

const (
	golden  = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio (Knuth, volume 3, section 6.4)
	golden2 = 0xd6e8feb86659fd93
)

// add counts uses of the key with that hash.
func (s *sketch) add(hash uint64, uses uint32) {
	if s.words == nil {
		return
	}
	for n := range uint(4) {
		w, shift := s.at(hash, n)
		if c := uint32(*w >> shift & 15); c < 15 {
			*w += uint64(min(uses, 15-c)) << shift
		}
	}
	if s.added += int(uses); s.added >= sampleRatio*s.held {
		for i := range s.words {
			s.words[i] = s.words[i] >> 1 & 0x7777777777777777
		}
		s.added /= 2
	}
}

// of returns the estimate for a hash.
func (s *sketch) of(hash uint64) uint64 {
	if s.words == nil {
		return 0
	}
	least := uint64(15)
	for n := range uint(4) {
		w, shift := s.at(hash, n)
		least = min(least, *w>>shift&15)
	}
	return least
}
