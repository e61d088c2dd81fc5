package storeclient

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
)

// turns are a semaphore, first come, first served, that knows how fast it goes. It has a
// channel only for who waits, made by that one: a store may be used in several
// testing/synctest bubbles, one after the other.
type turns struct {
	mu      sync.Mutex
	free    int             // guarded by mu
	waiting []chan struct{} // guarded by mu; closed to give a turn

	paced bool  // guarded by mu; a turn has ended, and the following are set
	last  int64 // guarded by mu; when that was
	mean  int64 // guarded by mu; how long turns take, the last ones counting most
}

// take takes a turn if one is free. Otherwise it returns a place to wait in.
func (t *turns) take() (given chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		return nil
	}
	given = make(chan struct{})
	t.waiting = append(t.waiting, given)
	return given
}

// leave gives up a place, and reports whether the turn had not been given yet.
func (t *turns) leave(given chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, given)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return true
}

// end ends a turn that was begun then.
func (t *turns) end(began int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ended := clock.Now()
	t.mean += (ended - began - t.mean) / 8
	t.paced, t.last = true, ended
	if len(t.waiting) == 0 {
		t.free++
		return
	}
	close(t.waiting[0])
	t.waiting = t.waiting[1:]
}

// within reports whether turns take no longer than d, also the ones under way.
func (t *turns) within(d time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	idle := clock.Now() - t.last
	return t.paced && t.mean <= int64(d) && idle >= 0 && idle <= int64(d)
}

// TakeTurn waits until a write may be sent, of which no more than maxWriting are under
// way at a time: others would wait in the client, within their limit, and be taken for
// a store that is slow. A write that gets no turn in time gets errBusy.
//
// Many writes of one call wait for one another, not for the store. While that answers
// promptly they wait for longer than the deadline says, lest most of a big batch is
// executed again by the next process.
func (c *Client) TakeTurn(ctx context.Context, by Deadline) (end func(), err error) {
	if given := c.turns.take(); given != nil {
		if err := c.awaitTurn(ctx, by, given); err != nil {
			return nil, err
		}
	}
	began := clock.Now()
	return func() { c.turns.end(began) }, nil
}

const (
	// Promptly is the part of StoreTimeout within which writes must end, and
	// maxQueue how many times StoreTimeout they then may wait for their turn.
	Promptly = 32
	maxQueue = 8
)

func (c *Client) awaitTurn(ctx context.Context, by Deadline, given chan struct{}) error {
	var late <-chan time.Time
	var timer *time.Timer
	if queue := by.Queue(); queue > 0 {
		timer = time.NewTimer(queue)
		defer timer.Stop()
		late = timer.C
	}
	for end := clock.After(clock.Now(), maxQueue*c.LongestTimeout()); ; {
		var err error
		select {
		case <-given:
			return nil
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-late:
			if c.turns.within(c.LongestTimeout()/Promptly) && clock.Now() < end {
				timer.Reset(c.LongestTimeout() / Promptly)
				continue
			}
			err = ErrBusy
		}
		if c.turns.leave(given) {
			return err
		}
		return nil // it is the caller's turn by now
	}
}
