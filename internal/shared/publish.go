package shared

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/lease"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// Publish stores what x came back with, as e, and ties e to the store. ctx is that of the
// publication. What must not be stored, because it has been invalidated, is not to be
// held either. What cannot be is held for as long as a copy would be trusted.
//
// The function that Publish returns gives back what others need not wait for.
func (s *Results) Publish(ctx context.Context, x *Published, e *entry.Entry) (finish func()) {
	r := e.Own()
	if x.Run.Epochs == nil { // nobody can tell when everything of the function is cleared
		s.lostIfWanted(x, e, x.Run.Alone)
		e.Unstored()
		e.MarkIncomplete()
		return func() {}
	}
	taken := x.Frame.Seal().Epochs.Complete(ctx)
	if r.Settle(taken); r.Unverifiable {
		e.Expire()
	}
	r.Dependencies = append(r.Dependencies, s.DependenciesFor(x.Run.Epochs)...)
	t := x.Run.Lease.Load()
	if t == nil {
		if s.Failed(s.tie(ctx, x, e, taken)); x.Run.Refused {
			return func() {}
		}
		s.lostIfWanted(x, e, x.Run.Alone)
		e.Unstored()
		return func() {}
	}
	t.Converting.Lock() // what the result is to replace does not change any more
	defer t.Converting.Unlock()
	t.Failed++ // for a note in the lease's place, which others may see before the result
	err := s.offer(ctx, x, t, e, taken)
	if err != nil {
		s.lost(x, err)
		e.Unstored()
	}
	s.Failed(err)
	if e.Stored() {
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
func (s *Results) lostIfWanted(x *Published, e *entry.Entry, why error) {
	if why != nil && !e.Empty() && (e.Err() == nil || e.Err() == entry.ErrAbsent) {
		s.lost(x, why)
	}
}

// tie makes e, which is not to be stored, depend on the epochs of its tags.
func (s *Results) tie(ctx context.Context, x *Published, e *entry.Entry, taken *nested.Epochs) error {
	if e.Empty() || e.Rest().Incomplete {
		return nil
	}
	_, dependencies, current, err := x.Run.TagEpochs(ctx, s.tagsFor(x, e), taken.By())
	switch {
	case err != nil:
		e.MarkIncomplete()
	case !current:
		e.MarkUnverifiable()
	default:
		e.DependsOn(dependencies...)
	}
	return err
}

// offer stores e, if it is to be stored and the lease is still good. The error is
// that of a store that has failed.
func (s *Results) offer(ctx context.Context, x *Published, t *lease.Lease, e *entry.Entry, taken *nested.Epochs) error {
	lease := t.State()
	if e.Empty() || e.Err() != nil && !x.Absent {
		if x.Err == nil && lease.Refresh {
			err := t.Leave(x.Run.Key, lease.Target) // a result that is not kept is newer than what is there
			if err == nil {
				s.Keyspace.Publish(x.Run.Key)
			}
			return err
		}
		return s.tie(ctx, x, e, taken)
	}
	if e.Rest().Incomplete { // it may be older than the epochs that its tags have by now
		s.lost(x, errIncomplete)
		return nil
	}
	tags, dependencies, current, err := x.Run.TagEpochs(ctx, s.tagsFor(x, e), taken.By())
	if err != nil {
		e.MarkIncomplete()
		return err
	}
	if !current {
		e.MarkUnverifiable()
		return nil
	}
	e.DependsOn(dependencies...)
	if err := s.Prolong(ctx, storeclient.Unhurried(x.Policy.StoreTimeout), e.TTL(), s.Recorded(e.Rest().Dependencies, x.Run.Epochs)); err != nil {
		return err
	}
	token := store.NewToken()
	err = x.Run.Replace(ctx, t, func(old store.Token) error {
		st := &wire.Record{Token: token, Replaced: old, Scopes: s.ScopesOf(x.Run.Epochs), Tags: tags}
		return x.Run.Write(ctx, old, e.TTL(), func() ([]byte, error) { return s.encodeFor(x, e, st) })
	})
	switch {
	case err == nil:
		e.Location().Token = token
		e.Own().Asked = e.Created // the lease was still there
		s.expectOwn(e.Location())
		if lease.Refresh || x.Run.Forced { // otherwise nobody has a copy
			s.Keyspace.Publish(x.Run.Key)
		}
		if !lease.Refresh {
			t.End()
		}
	case errors.Is(err, store.ErrConflict):
		e.MarkUnverifiable() // it was invalidated, or overtaken: so is what is made from it
	case errors.Is(err, store.ErrRefused), errors.Is(err, errUnencodable):
		s.ReportRefused(err)
	default:
		return err
	}
	return nil
}

// expectOwn takes one report of the key for that of the write that was just made, if
// the store reports so exactly that this is certain.
func (s *Results) expectOwn(sh *entry.Location) {
	if s.Prompt && s.Notifications.State.Load() == fleet.Connected {
		sh.Reports++
	}
}

// errIncomplete is why a result is not stored that was made from one without epochs.
var errIncomplete = errors.New("memo: a result that it was made from is not in the store, and has tags")

// errUnencodable is why a result is not stored that its codec refuses.
var errUnencodable = errors.New("memo: the codec refuses the result")

// tagsFor returns the tags of e, what x came back with, and sees to it that invalidations
// of their groups reach the store.
func (s *Results) tagsFor(x *Published, e *entry.Entry) []lease.Tag {
	h := x.Frame.Seal()
	tags := make([]lease.Tag, len(e.Tags()))
	for i, t := range e.Tags() {
		t.Space.Reaches(s.Keyspace)
		tags[i] = lease.Tag{Path: t.Space.Path, Name: t.Name, Added: h.Added.Has(t)}
	}
	return tags
}

// encodeFor is encode for what x came back with.
func (s *Results) encodeFor(x *Published, e *entry.Entry, st *wire.Record) ([]byte, error) {
	value, err := s.encode(x.Policy, x.Run.Key, e, st)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnencodable, err)
	}
	return value, nil
}
