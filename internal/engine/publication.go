package engine

import (
	"context"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/shared"
	"github.com/seed-0226adef/memo/internal/storeclient"
)

// A publication is everything that happens to a result after fn has returned: finding
// out the epochs of its tags, storing it, giving the lease back.
//
// It runs under a context of its own, which has the values of fn's, for traces, and
// nothing of its end: fn's context is over by then, and the callers may have left. A
// healthy store gets every result, however long others are before it in the queue:
// the deadline of a publication is [storeclient.Unhurried].
//
// Its waiters go when the store has held them up for as long as it may, before and
// after the execution together. From then on the result takes memory that nobody but
// the publication needs, which is why that is bounded; see lingering.
type publication struct {
	cache    *Cache
	settling *nested.Unsettled
	size     int64 // of the result, for lingering
	abandon  context.CancelCauseFunc
	timer    *time.Timer

	mu      sync.Mutex
	lingers bool // guarded by mu; size is counted in the client's lingering
	ended   bool // guarded by mu
}

// publishing begins the publication of e, and returns its context. It ends with stop.
func (c *Call) publishing(e *entry.Entry, got returned) (ctx context.Context, stop func()) {
	if c.run.Epochs == nil {
		return &c.scope.Frame, func() {} // without the store: there is nothing to wait for
	}
	p := &publication{cache: c.cache, settling: nested.NewUnsettled()}
	if p.size = storeclient.ResultOverhead; e.Value != nil {
		p.size += c.cache.Types.Size(c.cache.Types.Any(e.Value))
	}
	ctx, p.abandon = context.WithCancelCause(&c.scope.Frame)
	if c.Policy.StoreTimeout == 0 {
		p.linger() // the waiters stay, but may leave at any time
	} else {
		own := e.Unpublished(p.settling)
		p.timer = time.AfterFunc(c.run.Left, func() {
			c.become(lingering)
			c.release(own, &got)
			p.linger()
		})
	}
	return ctx, func() { p.end(e) }
}

// linger counts the result among those that wait for the store alone. If they are too
// many, it is not stored.
func (p *publication) linger() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if p.lingers = p.cache.Shared.Backlog.Add(p.size); !p.lingers {
		p.abandon(shared.ErrCrowded)
	}
}

// end ends the publication, which has made e what it is going to be.
func (p *publication) end(e *entry.Entry) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.lingers {
		p.cache.Shared.Backlog.Remove(p.size)
	}
	p.abandon(nil)
	p.settling.Settle(&e.Rest().Origin)
}
