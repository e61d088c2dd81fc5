package httpcache

import (
	"github.com/seed-0226adef/memo"
)

// Stats are a cache's counters since [New]. A request counts as exactly one of
// Hits, StaleHits, Revalidated, Collapsed, Misses and Passes when its answer
// begins. These do not count:
//
//   - requests for another protocol (Upgrade, CONNECT) and for a stream of events,
//     which go past the cache; of those of a [Cache.Transport], also the ones that
//     go past it for their body or a condition such as If-Match;
//   - requests whose context is one of [memo.WithBypass], which go past it, too;
//   - those that are answered with 504 because they said only-if-cached;
//   - those that fail, or whose client leaves, before their answer begins.
//
// A validation in the background counts as one of Refreshes and, by what it came
// to, as if it were a request.
type Stats struct {
	Hits        uint64 // answered with a fresh response
	StaleHits   uint64 // answered with a stale one, which was allowed
	Revalidated uint64 // answered with a stored one, when the origin had said that it is still good
	Collapsed   uint64 // answered with what somebody else's request had brought
	Misses      uint64 // forwarded, to be stored if the response allows it
	Passes      uint64 // forwarded, for the request or the resource is not one to store

	NotModified uint64 // of all these, answered with 304 Not Modified
	Stored      uint64 // responses that were stored
	Refreshes   uint64 // validations in the background, for stale-while-revalidate

	// Memory says what is held in this process, and how the shared store does.
	Memory memo.Stats
}

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	n := &c.core.Count
	return Stats{
		Hits: n.Hits.Load(), StaleHits: n.StaleHits.Load(), Revalidated: n.Revalidated.Load(),
		Collapsed: n.Collapsed.Load(), Misses: n.Misses.Load(), Passes: n.Passes.Load(),
		NotModified: n.NotModified.Load(), Stored: n.Stored.Load(), Refreshes: n.Refreshes.Load(),
		Memory: memo.Stats(c.core.Records.Stats()),
	}
}
