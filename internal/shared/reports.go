package shared

import (
	"errors"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/store"
)

// reportEvery is how often one kind of trouble is logged by a function.
const reportEvery = time.Minute

// reports limit what a function logs of its store: of each kind of trouble the first
// at once, and then one a minute, with the number of those in between.
type reports struct {
	mu sync.Mutex
	of map[string]*reported // guarded by mu; by what is said
}

// reported is one kind of trouble.
type reported struct {
	last   int64 // when it was logged
	unsaid int   // how often it has happened since
}

// due notes that what has happened at t, and reports whether that is to be logged. If
// so, unsaid is how often it happened since the last time that it was.
func (r *reports) due(what string, t int64) (unsaid int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.of[what]
	switch {
	case known == nil:
		if r.of == nil {
			r.of = map[string]*reported{}
		}
		known = new(reported)
		r.of[what] = known
	case t >= known.last && t < clock.After(known.last, reportEvery): // a bubble's time may be before
		known.unsaid++
		return 0, false
	}
	unsaid = known.unsaid
	*known = reported{last: t}
	return unsaid, true
}

// warn logs something wrong that the function met in the store, as often as reports
// allow. what is one of a few fixed texts.
func (s *Results) warn(p *entry.Config, what string, args ...any) {
	unsaid, ok := s.reports.due(what, clock.Now())
	if !ok {
		return
	}
	args = append([]any{"func", s.Label}, args...)
	if unsaid > 0 {
		args = append(args, "unreported", unsaid)
	}
	p.Log().Warn("memo: "+what, args...)
}

// report is warn for what counts as an error of the store.
func (s *Results) report(p *entry.Config, what string, args ...any) {
	s.Count.StoreErrors.Add(1)
	s.warn(p, what, args...)
}

// Failed counts an operation that did not succeed. While the store is left alone
// there are none.
func (s *Results) Failed(err error) {
	if err != nil && !unsent(err) {
		s.Count.StoreErrors.Add(1)
	}
}

// unsent reports whether err says why an operation was not tried.
func unsent(err error) bool {
	return errors.Is(err, storeclient.ErrOut) || errors.Is(err, fleet.ErrPending) || errors.Is(err, storeclient.ErrBusy) || errors.Is(err, ErrCrowded)
}

// lost reports that a result which should be in the store is not there: the next process
// executes it again. Of a store that is left alone that is told already, for all of
// its functions together, as it is of one that refuses writes; and one that still has to
// be told of an invalidation must not take results.
func (s *Results) lost(x *Published, why error) {
	p, key, outages := x.Policy, x.Run.Key, x.Run.Outages
	healthy := func() bool { return !s.Out(key) && s.Outages(key) == outages }
	if errors.Is(why, storeclient.ErrOut) || errors.Is(why, fleet.ErrPending) || errors.Is(why, store.ErrReadOnly) || !healthy() {
		return
	}
	s.Suspend(key, func() {
		if healthy() {
			s.warn(p, "a result was not stored; it stays in this process", "key", key, "error", why)
		}
	})
}

// ErrCrowded is why a publication is abandoned.
var ErrCrowded = errors.New("memo: too many results are waiting for the store")
