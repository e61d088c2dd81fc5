package httpcache

import (
	"hash/maphash"
	"sync/atomic"
)

// purges counts what makes responses on their way too old to be stored. memo does
// so for all that its function brings; this is for what is stored beside that: the
// answer to a POST, what a HEAD has taught, a part. Resources share counters, so
// now and then one of them is not stored without need.
type purges struct {
	all atomic.Uint64 // of tags, and of everything
	of  [256]atomic.Uint64
}

var purgeSeed = maphash.MakeSeed()

// counter returns the counter of a resource, which is named by its URL.
func (p *purges) counter(url string) *atomic.Uint64 {
	return &p.of[maphash.String(purgeSeed, url)%uint64(len(p.of))]
}

// at returns a number that is another one after each purge of the resource.
func (p *purges) at(url string) uint64 { return p.all.Load() + p.counter(url).Load() }
