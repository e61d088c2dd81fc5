package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/tier"
)

// A publication is everything that happens to a result after fn has returned: finding
// out the epochs of its tags, storing it, giving the lease back.
//
// It runs under a context of its own, which has the values of fn's, for traces, and
// nothing of its end: fn's context is over by then, and the callers may have left. A
// healthy store gets every result, however long others are before it in the queue:
// the deadline of a publication is [unhurried].
//
// Its waiters go when the store has held them up for as long as it may, before and
// after the execution together. From then on the result takes memory that nobody but
// the publication needs, which is why that is bounded; see lingering.
type publication struct {
	core     *Cache
	flight   *Flight
	settling *epochsToCome
	size     int64 // of the result, for lingering
	abandon  context.CancelCauseFunc
	timer    *time.Timer

	mu      sync.Mutex
	lingers bool // guarded by mu; size is counted in the client's lingering
	ended   bool // guarded by mu
}

// errCrowded is why a publication is abandoned.
var errCrowded = errors.New("memo: too many results are waiting for the store")

// publishing begins the publication of e, and returns its context. It ends with stop.
func (c *Cache) publishing(f *Flight, e *Entry, l returned) (ctx context.Context, stop func()) {
	if f.run.Epochs == nil {
		return &f.frame, func() {} // without the store: there is nothing to wait for
	}
	p := &publication{core: c, flight: f, settling: newEpochsToCome()}
	if p.size = storeclient.ResultOverhead; e.Value != nil {
		p.size += c.Types.Size(e.Value)
	}
	ctx, p.abandon = context.WithCancelCause(&f.frame)
	if f.Policy.StoreTimeout == 0 {
		p.linger() // the waiters stay, but may leave at any time
	} else {
		own := e.unpublished(p.settling)
		p.timer = time.AfterFunc(f.run.Left, func() {
			c.release(f, own, l)
			p.linger()
		})
	}
	return ctx, func() { p.end(e) }
}

// unpublished returns a copy of e for those who do not wait for its publication, which goes
// on with e.
func (e *Entry) unpublished(s *epochsToCome) *Entry {
	own := &Entry{
		Item: tier.Item{Key: e.Key}, Value: e.Value, Err: e.Err, Kept: e.Kept, Window: e.Window, Read: e.Read,
		born: e.born, Tags: e.Tags, Dependencies: e.Dependencies, trusted: e.trusted, incomplete: e.incomplete,
		awaited: []*epochsToCome{s},
	}
	own.markIncomplete()
	return own
}

// linger counts the result among those that wait for the store alone. If they are too
// many, it is not stored.
func (p *publication) linger() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if p.lingers = p.core.Shared.Backlog.Add(p.size); !p.lingers {
		p.abandon(errCrowded)
	}
}

// end ends the publication, which has made e what it is going to be.
func (p *publication) end(e *Entry) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.lingers {
		p.core.Shared.Backlog.Remove(p.size)
	}
	p.abandon(nil)
	p.settling.tell(e)
}

// An epochsToCome says what a result brings with it whose waiters did not wait for its
// publication, when that has ended. A result that is made from this one, and is to be
// stored, waits for that: without the epochs it could not be.
type epochsToCome struct {
	done chan struct{} // closed when the fields below are set

	dependencies []fleet.Dependency
	unverifiable bool
	incomplete   bool
	trusted      int64
}

func newEpochsToCome() *epochsToCome { return &epochsToCome{done: make(chan struct{})} }

func (s *epochsToCome) tell(e *Entry) {
	s.dependencies, s.unverifiable, s.incomplete, s.trusted = e.Dependencies, e.unverifiable, e.incomplete, e.trusted
	close(s.done)
}

// complete returns the epochs of t together with those of the results that were not
// complete when they were taken over. It waits for these, unless ctx ends.
func (t *inheritedEpochs) complete(ctx context.Context) *inheritedEpochs {
	if len(t.awaited) == 0 {
		return t
	}
	all := &inheritedEpochs{unverifiable: t.unverifiable, partial: t.partial, until: t.until}
	all.add(t.dependencies)
	for _, s := range t.awaited {
		select {
		case <-s.done:
		case <-ctx.Done():
			return t
		}
		all.unverifiable = all.unverifiable || s.unverifiable
		all.add(s.dependencies)
		if s.incomplete {
			all.markPartial(s.trusted)
		}
	}
	return all
}

// complete makes e have the epochs of all results that it was made from.
func (e *Entry) complete(taken *inheritedEpochs) {
	e.Dependencies, e.incomplete, e.trusted = slices.Clip(taken.dependencies), taken.incomplete(), taken.trusted()
	if e.awaited = taken.awaited; taken.unverifiable {
		e.markUnverifiable()
	}
}
