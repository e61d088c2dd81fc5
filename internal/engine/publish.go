package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// publish stores what call came back with, as e, and ties e to the store. ctx is that of the
// publication. What must not be stored, because it has been invalidated, is not to be
// held either. What cannot be is held for as long as a copy would be trusted.
//
// The function that publish returns gives back what others need not wait for.
func (s *shared) publish(ctx context.Context, call *Call, e *Entry, got returned) (finish func()) {
	e.share = &location{keyspace: s.Keyspace, key: call.run.Key, generation: s.Notifications.Generation.Load(), reports: s.Notifications.Of(call.run.Key).Load()}
	e.asked = e.Created
	if call.run.Epochs == nil { // nobody can tell when everything of the function is cleared
		s.lostIfWanted(call, e, call.run.Alone)
		e.unstored()
		e.markIncomplete()
		return func() {}
	}
	taken := call.frame.Seal().Epochs.Complete(ctx)
	if e.Settle(taken); e.Unverifiable {
		e.expire()
	}
	e.Dependencies = append(e.Dependencies, s.FencesFor(call.run.Epochs)...)
	t := call.run.Lease.Load()
	if t == nil {
		if s.failed(s.tie(ctx, call, e, taken)); call.run.Refused {
			return func() {}
		}
		s.lostIfWanted(call, e, call.run.Alone)
		e.unstored()
		return func() {}
	}
	t.Converting.Lock() // what the result is to replace does not change any more
	defer t.Converting.Unlock()
	t.Failed++ // for a note in the lease's place, which others may see before the result
	err := s.offer(ctx, call, t, e, got, taken)
	if err != nil {
		s.lost(call, err)
		e.unstored()
	}
	s.failed(err)
	if e.stored() {
		t.Failed = 0
	}
	if t.State().Refresh || err != nil { // nobody is made to wait for a store that fails again
		return t.Release
	}
	t.Release()
	return func() {}
}

// lostIfWanted reports that e is not stored though it should be. Without a reason
// another process stores its own.
func (s *shared) lostIfWanted(call *Call, e *Entry, why error) {
	if why != nil && !e.Empty() && (e.Err == nil || e.Err == ErrAbsent) {
		s.lost(call, why)
	}
}

// unstored notes of an entry that it is not in the store though it should be. So no
// report tells of what concerns it, and the store is asked again as soon as a change
// of an epoch would be seen.
func (e *Entry) unstored() {
	e.Trusted = min(e.Trusted, clock.After(e.asked, fleet.EpochTrust))
}

// markIncomplete notes of an entry with tags that it does not know their epochs. It is trusted
// for as long as a reading of one would be.
func (e *Entry) markIncomplete() {
	if len(e.Tags) > 0 {
		e.Incomplete, e.Trusted = true, min(e.Trusted, clock.After(e.Created, fleet.EpochTrust))
	}
}

// tie makes e, which is not to be stored, depend on the epochs of its tags.
func (s *shared) tie(ctx context.Context, call *Call, e *Entry, taken *nested.Epochs) error {
	if e.Empty() || e.Incomplete {
		return nil
	}
	_, fences, current, err := call.run.TagEpochs(ctx, s.tagsFor(call, e), taken.By())
	switch {
	case err != nil:
		e.markIncomplete()
	case !current:
		e.markUnverifiable()
	default:
		e.Dependencies = append(e.Dependencies, fences...)
	}
	return err
}

// offer stores e, if it is to be stored and the lease is still good. The error is
// that of a store that has failed.
func (s *shared) offer(ctx context.Context, call *Call, t *fleet.Lease, e *Entry, got returned, taken *nested.Epochs) error {
	lease := t.State()
	if e.Empty() || e.Err != nil && !got.absent {
		if got.err == nil && lease.Refresh {
			return t.Leave(call.run.Key, lease.Target) // a result that is not kept is newer than what is there
		}
		return s.tie(ctx, call, e, taken)
	}
	if e.Incomplete { // it may be older than the epochs that its tags have by now
		s.lost(call, errLoose)
		return nil
	}
	tags, fences, current, err := call.run.TagEpochs(ctx, s.tagsFor(call, e), taken.By())
	if err != nil {
		e.markIncomplete()
		return err
	}
	if !current {
		e.markUnverifiable()
		return nil
	}
	e.Dependencies = append(e.Dependencies, fences...)
	if err := s.Prolong(ctx, storeclient.Unhurried(call.Policy.StoreTimeout), e.ttl(), s.Recorded(e.Dependencies, call.run.Epochs)); err != nil {
		return err
	}
	token := store.NewToken()
	err = call.run.Replace(ctx, t, func(old store.Token) error {
		st := &wire.Record{Token: token, Replaced: old, Scopes: s.ScopesOf(call.run.Epochs), Tags: tags}
		return call.run.Write(ctx, old, e.ttl(), func() ([]byte, error) { return s.encodeFor(call, e, st) })
	})
	switch {
	case err == nil:
		e.share.Token = token
		s.expectOwn(e.share)
		if !lease.Refresh {
			t.End()
		}
	case errors.Is(err, store.ErrConflict):
		e.expire() // invalidated, or overtaken
	case errors.Is(err, store.ErrRefused), errors.Is(err, errUnencodable):
		s.ReportRefused(err)
	default:
		return err
	}
	return nil
}

// expectOwn takes one report of the key for that of the write that was just made, if
// the store reports so exactly that this is certain.
func (s *shared) expectOwn(sh *location) {
	if s.Prompt && s.Notifications.State.Load() == fleet.Connected {
		sh.reports++
	}
}

// errLoose is why a result is not stored that was made from one without epochs.
var errLoose = errors.New("memo: a result that it was made from is not in the store, and has tags")

// errUnencodable is why a result is not stored that its codec refuses.
var errUnencodable = errors.New("memo: the codec refuses the result")

// expire makes e useless to anybody but those who wait for it.
func (e *Entry) expire() { e.Fresh, e.End = e.Created, e.Created }

// markUnverifiable is expire for a result whose tags were invalidated while it was made: what is made
// from it is no better.
func (e *Entry) markUnverifiable() {
	e.expire()
	e.Unverifiable = true
}

// put stores e as Set does, whatever is there. If that fails, what is there is
// invalidated: it is older. A result that the store cannot take is not an error,
// as it is none of Call's: it stays in this process.
func (s *shared) put(ctx context.Context, p *Config, key string, e *Entry) error {
	e.share = &location{keyspace: s.Keyspace, key: key, generation: s.Notifications.Generation.Load(), reports: s.Notifications.Of(key).Load()}
	e.asked = e.Created
	if p.StoreTimeout > 0 { // which bounds it: a caller in a hurry has set r all the same
		ctx = context.WithoutCancel(ctx)
	}
	last := s.LastPending()
	by := storeclient.DeadlineIn(p.StoreTimeout)
	value, token, err := s.prepare(ctx, p, by, key, e)
	if err == nil && value != nil {
		err = s.Do(ctx, by.Remaining(), func(ctx context.Context) error { return s.Store.Set(ctx, key, value, e.ttl()) })
	}
	switch {
	case err == nil && value != nil:
		e.share.Token = token
		s.expectOwn(e.share)
		s.Acknowledge(key, last)
		return s.Invalidate(ctx, by, []string{key}, 1)
	case errors.Is(err, store.ErrRefused), errors.Is(err, errUnencodable):
		s.ReportRefused(err)
		return s.Invalidate(ctx, by, []string{key}, 0)
	case err == nil:
		return s.Invalidate(ctx, by, []string{key}, 0)
	}
	s.failed(err)
	s.AddPending(key, fleet.PendingInvalidation{Version: s.Version, Owner: s.Scope[0].Key}, nil)
	return err
}

// prepare returns e as it is to be stored, nil if it is not.
func (s *shared) prepare(ctx context.Context, p *Config, by storeclient.Deadline, key string, e *Entry) (value []byte, token store.Token, err error) {
	if e.Empty() {
		return nil, token, nil
	}
	epochs, err := s.Ensure(ctx, by, p.epochLife(), p.needs)
	if err != nil {
		e.Trusted = clock.After(e.asked, fleet.EpochTrust)
		e.markIncomplete()
		return nil, token, err
	}
	e.Dependencies = s.FencesFor(epochs)
	var tags []wire.TagEpochs
	for _, tag := range p.Tags {
		te := wire.TagEpochs{Path: s.Path, Name: tag}
		for _, n := range s.TagNeeds(te.Path, tag) {
			te.Epochs = append(te.Epochs, epochs[n.Key].Token)
			e.Dependencies = append(e.Dependencies, fleet.Dependency{Keyspace: s.Keyspace, Key: n.Key, Epoch: epochs[n.Key].Token, Tag: true})
		}
		tags = append(tags, te)
	}
	if err := s.Prolong(ctx, by, e.ttl(), s.Recorded(e.Dependencies, epochs)); err != nil {
		return nil, token, err
	}
	token = store.NewToken()
	if value, err = s.encode(p, key, e, &wire.Record{Token: token, Scopes: s.ScopesOf(epochs), Tags: tags}); err != nil {
		err = fmt.Errorf("%w: %w", errUnencodable, err)
	}
	return value, token, err
}

// notSet is the error of a Set that did not reach the store. Unlike the deletion of
// what it was to replace, a Set is not repeated: by then it may be an old one.
func (c *Cache) notSet(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memo: %s: Set has not reached the store, where what it was to replace is deleted as soon as that can be reached: %w", c.Label, err)
}

// notReached is the error of what could not be told to the store yet.
func (c *Cache) notReached(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memo: %s: %s has not reached the store yet, and is repeated until it does: %w", c.Label, what, err)
}

// tagsFor returns the tags of e, what call came back with, and sees to it that invalidations
// of their groups reach the store.
func (s *shared) tagsFor(call *Call, e *Entry) []fleet.Tag {
	h := call.frame.Seal()
	tags := make([]fleet.Tag, len(e.Tags))
	for i, t := range e.Tags {
		t.Space.Reaches(s.Keyspace)
		tags[i] = fleet.Tag{Path: t.Space.Path, Name: t.Name, Added: h.Added.Has(t)}
	}
	return tags
}

// encodeFor is encode for what call came back with.
func (s *shared) encodeFor(call *Call, e *Entry, st *wire.Record) ([]byte, error) {
	value, err := s.encode(call.Policy, call.run.Key, e, st)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnencodable, err)
	}
	return value, nil
}
