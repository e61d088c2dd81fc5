package shared

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/lease"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// Put stores e as Set does, whatever is there. If that fails, what is there is
// invalidated: it is older. A result that the store cannot take is not an error,
// as it is none of Call's: it stays in this process.
//
// It takes two operations: one that reads what is there, and which versions are in use, and a
// Swap. Where nothing is there a lease comes in between; see [Results.overwrite].
func (s *Results) Put(ctx context.Context, p *entry.Config, key string, e *entry.Entry) error {
	r := e.Own()
	r.Location, r.Asked = &entry.Location{Keyspace: s.Keyspace, Key: key}, e.Created
	if p.StoreTimeout > 0 { // which bounds it: a caller in a hurry has set r all the same
		ctx = context.WithoutCancel(ctx)
	}
	last := s.LastPending()
	by := storeclient.DeadlineIn(p.StoreTimeout)
	st, epochs, err := s.prepare(ctx, p, by, e)
	if err == nil && st == nil {
		return s.Invalidate(ctx, by, []string{key})
	}
	var there []byte
	var versions []wire.Version
	if err == nil {
		there, versions, err = s.VersionsAnd(ctx, by, key)
	}
	if err == nil {
		err = s.overwrite(ctx, p, by, key, e, st, epochs, there)
	}
	switch {
	case err == nil:
		s.Acknowledge(key, last)
		return s.InvalidateOthers(ctx, by, key, versions)
	case errors.Is(err, store.ErrRefused), errors.Is(err, errUnencodable):
		s.ReportRefused(err)
		return s.Invalidate(ctx, by, []string{key})
	}
	s.Failed(err)
	s.AddPending(key, fleet.PendingInvalidation{Version: s.Version, Owner: s.Scope[0].Key}, nil)
	return err
}

// overwrite puts e, as st, in the place of whatever the store has under key, which has told
// that this is there. It does so by Swap, so that a write which arrives late, when others have
// written or deleted the key since, changes nothing. Where there is nothing to swap it adds a
// lease first, which runs out should it arrive late.
func (s *Results) overwrite(ctx context.Context, p *entry.Config, by storeclient.Deadline, key string, e *entry.Entry, st *wire.Record, epochs map[string]fleet.Epoch, there []byte) error {
	value, err := s.encode(p, key, e, st)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnencodable, err)
	}
	at := e.Location()
	for range fleet.MaxRivals {
		old, swappable := store.TokenOf(there)
		switch {
		case swappable && old == st.Token: // the server has done it twice, and refused the second
			return s.written(e, st)
		case swappable:
		default:
			old, err = lease.Occupy(ctx, s.Collection, by, key, there, epochs)
		}
		if err == nil {
			at.Generation, at.Reports = s.Notifications.Generation.Load(), s.Notifications.Of(key).Load()
			err = s.Do(ctx, key, by.Remaining(), func(ctx context.Context) error { return s.Store.Swap(ctx, key, old, value, e.TTL()) })
		}
		if err == nil {
			return s.written(e, st)
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return err
		}
		values, _, failed := s.Read(ctx, by, []string{key})
		if failed != nil {
			return failed
		}
		there, err = values[0], nil
	}
	return fleet.ErrUnsettled
}

// written notes that the store holds e as st.
func (s *Results) written(e *entry.Entry, st *wire.Record) error {
	e.Location().Token = st.Token
	s.expectOwn(e.Location())
	s.Keyspace.Publish(e.Location().Key)
	return nil
}

// prepare returns what is to be stored of e beside its value, and the epochs in force; nil if
// it is not to be stored.
func (s *Results) prepare(ctx context.Context, p *entry.Config, by storeclient.Deadline, e *entry.Entry) (*wire.Record, map[string]fleet.Epoch, error) {
	if e.Empty() {
		return nil, nil, nil
	}
	r := e.Own()
	epochs, err := s.Ensure(ctx, by, p.EpochLife(), p.Needs)
	if err != nil {
		r.Trusted = clock.After(r.Asked, fleet.EpochTrust)
		e.MarkIncomplete()
		return nil, nil, err
	}
	r.Dependencies = s.DependenciesFor(epochs)
	var tags []wire.TagEpochs
	for _, tag := range p.Tags {
		te := wire.TagEpochs{Path: s.Path, Name: tag}
		for _, n := range s.TagNeeds(te.Path, tag) {
			te.Epochs = append(te.Epochs, epochs[n.Key].Token)
			r.Dependencies = append(r.Dependencies, fleet.Dependency{Keyspace: s.Keyspace, Key: n.Key, Epoch: epochs[n.Key].Token, Tag: true})
		}
		tags = append(tags, te)
	}
	if err := s.Prolong(ctx, by, e.TTL(), s.Recorded(r.Dependencies, epochs)); err != nil {
		return nil, nil, err
	}
	return &wire.Record{Token: store.NewToken(), Scopes: s.ScopesOf(epochs), Tags: tags}, epochs, nil
}
