package stored

import (
	"hash/maphash"
	"sync/atomic"
)

// Purges counts what makes responses on their way too old to be stored. memo does
// so for all that its function brings; this is for what is stored beside that: the
// answer to a POST, and a part. Resources share counters, so that now and then
// one of these is not stored without need.
type Purges struct {
	All atomic.Uint64 // of tags, and of everything
	of  [4096]atomic.Uint64
}

var purgeSeed = maphash.MakeSeed()

// Counter returns the counter of a resource; see [rules.Policy.PurgeNames].
func (p *Purges) Counter(name string) *atomic.Uint64 {
	return &p.of[maphash.String(purgeSeed, name)%uint64(len(p.of))]
}

// At returns a number that is another one after each purge of the resource that has
// these names.
func (p *Purges) At(names []string) uint64 {
	sum := p.All.Load()
	for _, name := range names {
		sum += p.Counter(name).Load()
	}
	return sum
}

// Shared returns by how much a purge of one resource raises the number of another.
func (p *Purges) Shared(of, purged []string) (n uint64) {
	for _, a := range of {
		for _, b := range purged {
			if p.Counter(a) == p.Counter(b) {
				n++
			}
		}
	}
	return n
}
