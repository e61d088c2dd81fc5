package engine

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/shared"
)

// finish ends the execution: it publishes what came back, and lets the waiters go. Only
// the first call does anything; a second one is that of a fn which came back after
// it was given up.
func (c *Call) finish(got *returned) {
	if c.run != nil {
		defer c.cache.executing.CompareAndDelete(c.sharedKey, c)
	}
	switch {
	case got.abandoned:
		c.endUnpublished(failed, got)
	case got.elsewhere != nil:
		c.endUnpublished(answered, got)
	case c.become(publishing):
		c.publish(got)
	default: // fn was not run
		c.endUnpublished(failed, got)
	}
}

// endUnpublished ends an execution in which fn was not run.
func (c *Call) endUnpublished(end State, got *returned) {
	e := got.elsewhere
	if e == nil && !got.abandoned {
		e = c.entryFor(got)
	}
	c.shard.mu.Lock()
	if !c.to(end) {
		c.shard.mu.Unlock()
		return
	}
	c.hold(e)
	c.retire()
	c.shard.mu.Unlock()
	c.release(e, got)
	c.letLateGo()
	c.scope.End(context.Canceled)
}

// letLateGo lets those waiters go who have waited for the end of the publication.
func (c *Call) letLateGo() {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	c.endOver()
}

// publish stores and holds what fn came back with.
func (c *Call) publish(got *returned) {
	e := c.entryFor(got)
	if c.run != nil {
		defer c.store(e, got)() // when the waiters have gone
	}
	isFailure := got.err != nil && !got.keep
	c.shard.mu.Lock()
	c.hold(e)
	if isFailure && c.old != nil && !c.left {
		c.shard.failing.Note(c.old, e.Created)
	}
	c.to(published)
	c.retire()
	unattended := c.waiters == 0 && c.wanted
	c.shard.mu.Unlock()
	c.release(e, got)
	if c.run != nil { // nobody is late without a store
		c.letLateGo()
	}
	if unattended && isFailure {
		defer c.cache.Survive(c.Policy)
		c.cache.ReportBackground(c.Policy, got.err, got.panicked)
	}
}

// store publishes e in the store; see [shared.Results.Publish].
func (c *Call) store(e *entry.Entry, got *returned) (finish func()) {
	ctx, stop := c.publishing(e, *got)
	defer stop()
	x := &shared.Published{Run: c.run, Frame: &c.scope.Frame, Policy: c.Policy, Absent: got.absent, Err: got.err}
	return c.cache.Shared.Publish(ctx, x, e)
}

// hold holds the result in this process, or drops what it is newer than. The caller holds
// shard.mu.
func (c *Call) hold(e *entry.Entry) {
	switch {
	case !c.current || e == nil:
	case e.Kept():
		if c.overtakenElsewhere(nil) || !c.cache.hold(e) {
			c.cache.drop(c.key) // it is older than what is not to be held
		}
	case !c.oldServes(e.Created):
		c.cache.hold(e)
	}
}

// oldServes reports whether the result that the execution was to replace can
// still be returned in place of an error.
func (c *Call) oldServes(t int64) bool {
	return c.old != nil && c.old.Err() == nil && t < c.old.End
}

// release lets the waiters go, with e. Only the first call does anything.
func (c *Call) release(e *entry.Entry, got *returned) {
	c.shard.mu.Lock()
	first := !c.released
	if first {
		c.released, c.Result, c.panicked, c.elsewhere, c.single = true, e, got.panicked, got.elsewhere != nil, got.single
	}
	fnRan := c.state == publishing || c.state == lingering || c.state == published
	c.shard.mu.Unlock()
	if !first {
		return
	}
	defer c.end()
	if fnRan && !c.exec.Counted() {
		defer c.cache.Survive(c.Policy)
		c.cache.CountExecution(&c.scope.Frame, c.Policy, c.key, time.Duration(e.Cost), got.err)
	}
}

// madeElsewhere reports whether the execution is done, with another process's result.
func (c *Call) madeElsewhere() bool {
	if c.run == nil {
		return false
	}
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	return c.ended && c.elsewhere
}

// entryFor makes an entry of what came back just now. Its window is empty if it is not to
// be held. It is written for small frames: in its goroutine, Go's smallest stack suffices for
// it and what comes after it.
func (c *Call) entryFor(got *returned) *entry.Entry {
	p, h, value := c.Policy, c.scope.Seal(), c.cache.Types.Pointer(got.value)
	if len(h.Added.List) > 0 {
		c.cache.NeedsGroup(p)
	}
	if got.read.IsZero() {
		got.read = time.Now()
	}
	var e *entry.Entry
	if c.run == nil {
		e = entry.New(c.key, value, c.windowFor(got, h), got.read, c.born)
	} else {
		e = entry.NewIn(c.cache.Shared.LocationOf(c.run.Key), c.key, value, c.windowFor(got, h), got.read, c.born)
		e.Own().Asked = e.Began()
	}
	switch {
	case got.absent:
		e.Own().Err = entry.ErrAbsent
	case got.err != nil:
		e.Own().Err, e.Own().Unkept = got.err, !got.keep
	}
	if len(p.Tags) > 0 || len(h.Tags.List) > 0 || !h.Epochs.IsEmpty() {
		c.depend(e, h)
	}
	return e
}

// windowFor returns the window of what came back.
//
//go:noinline
func (c *Call) windowFor(got *returned, h *nested.Hint) fresh.Window {
	var life fresh.Lifetime
	switch p := c.Policy; {
	case h.NoStore, h.Epochs.Unverifiable():
	case got.absent:
		life = fresh.Lifetime{TTL: p.MissingTTL, Inherit: p.Lifetime(h).Inherit}
	case got.keep:
		life = p.Lifetime(h)
	case got.remember:
		life = fresh.Lifetime{TTL: p.ErrorTTL, Inherit: clock.Forever}
	}
	created := clock.At(got.read)
	return life.Window(created, created-c.ran, entry.Draw())
}

// depend notes what e depends on, which its execution has said.
func (c *Call) depend(e *entry.Entry, h *nested.Hint) {
	e.Own().Origin = h.Epochs.Origin(c.Policy.AllTags(c.scope.Space, h.Tags.List))
}

// refuseToShare sees to it that what an execution came back with is kept nowhere and
// given to one caller, if it can be used only once.
func (c *Cache) refuseToShare(call *Call, got *returned) {
	isResult := got.value != nil && !got.absent && (got.err == nil || got.keep)
	if isResult && c.RefuseUsedUp(call.Policy, got.value) {
		got.keep, got.single = false, true
	}
}
