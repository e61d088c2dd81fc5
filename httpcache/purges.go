package httpcache

import (
	"hash/maphash"
	"sync/atomic"
)

// purges counts what makes responses on their way too old to be stored. memo does
// so for all that its function brings; this is for what is stored beside that: the
// answer to a POST, and a part. Resources share counters, so that now and then
// one of these is not stored without need.
type purges struct {
	all atomic.Uint64 // of tags, and of everything
	of  [4096]atomic.Uint64
}

var purgeSeed = maphash.MakeSeed()

// counter returns the counter of a resource; see purgeNames.
func (p *purges) counter(name string) *atomic.Uint64 {
	return &p.of[maphash.String(purgeSeed, name)%uint64(len(p.of))]
}

// at returns a number that is another one after each purge of the resource that has
// these names.
func (p *purges) at(names []string) uint64 {
	sum := p.all.Load()
	for _, name := range names {
		sum += p.counter(name).Load()
	}
	return sum
}

// shared returns by how much a purge of one resource raises the number of another.
func (p *purges) shared(of, purged []string) (n uint64) {
	for _, a := range of {
		for _, b := range purged {
			if p.counter(a) == p.counter(b) {
				n++
			}
		}
	}
	return n
}
