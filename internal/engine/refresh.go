package engine

import (
	"context"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/nested"
)

// Refresh executes fn for key now. An execution that is under way began too
// early to count, and is waited for first: there is one at a time.
func (c *Cache) Refresh(ctx context.Context, p *entry.Config, s *Search) Outcome {
	around, sh := nested.Of(ctx), c.Shard(s.Key)
	s.old = nil
	for wait := true; ; {
		sh.mu.Lock()
		earlier := sh.calls[s.Key]
		if earlier != nil && !(earlier.state.executes() && (wait || !earlier.forced)) {
			earlier = nil
		}
		sh.mu.Unlock()
		if earlier != nil {
			if err := earlier.outlast(ctx, around); err != nil {
				return Outcome{Err: err}
			}
		}
		wait = false
		if err := ctx.Err(); err != nil {
			return Outcome{Err: err}
		}
		w := Waiter{cache: c, policy: p, around: around, search: s, seq: sequence(), forced: true}
		call := w.joinOrLead(ctx)
		if call == nil {
			continue
		}
		if out, ok := w.wait(ctx, call); ok {
			return out
		}
	}
}

// RefreshInBackground starts an execution that is to replace e, unless one is
// under way. Nobody waits for it.
func (c *Cache) RefreshInBackground(ctx context.Context, p *entry.Config, e *entry.Entry, exec Execution) (started bool) {
	if c.executes(e.Key) {
		return false
	}
	exec.Own(e.Key)
	sharedKey := c.SharedKey(e.Key, exec)
	sh := c.Shard(e.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if call := sh.calls[e.Key]; call != nil && (call.state == setting || call.state.executes() && !call.overtaken()) {
		return false
	}
	if h := c.Held(e.Key); h == nil && !e.Stored() || h != nil && h.Created > e.Created || e.BacksOff(clock.Now()) {
		return false // replaced, gone, or backing off by now
	}
	call := c.newCall(e.Key, sharedKey, c.firstState())
	call.begin(ctx, p, e, &Search{Key: e.Key})
	call.waiters, call.wanted = 0, true
	call.start(exec)
	return true
}

// executes reports whether an execution for key is under way.
func (c *Cache) executes(key string) bool {
	sh := c.Shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	call := sh.calls[key]
	return call != nil && call.state.executes() && !call.overtaken()
}
