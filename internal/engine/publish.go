package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// publish stores what f came back with, as e, and ties e to the store. ctx is that of the
// publication. What must not be stored, because it has been invalidated, is not to be
// held either. What cannot be is held for as long as a copy would be trusted.
//
// The function that publish returns gives back what others need not wait for.
func (s *shared) publish(ctx context.Context, f *Flight, e *Entry, l landing) (finish func()) {
	e.share = &share{realm: s.Keyspace, key: f.sharedKey, era: s.Notifications.Generation.Load(), reports: s.Notifications.Of(f.sharedKey).Load()}
	e.asked = e.Created
	if f.Epochs == nil { // nobody can tell when everything of the function is cleared
		s.lostIfWanted(f, e, f.alone)
		e.unstored()
		e.loosen()
		return func() {}
	}
	taken := f.frame.Seal().epochs.settled(ctx)
	e.settle(taken)
	e.Fences = append(e.Fences, s.fencesFor(f.Epochs)...)
	t := f.ticket.Load()
	if t == nil {
		if s.failed(s.tie(ctx, f, e, taken)); f.refused {
			return func() {}
		}
		s.lostIfWanted(f, e, f.alone)
		e.unstored()
		return func() {}
	}
	t.converting.Lock() // what the result is to replace does not change any more
	defer t.converting.Unlock()
	t.failed++ // for a note in the lease's place, which others may see before the result
	err := s.offer(ctx, f, t, e, l, taken)
	if err != nil {
		s.lost(f, err)
		e.unstored()
	}
	s.failed(err)
	if e.stored() {
		t.failed = 0
	}
	if t.lease().refresh || err != nil { // nobody is made to wait for a store that fails again
		return t.release
	}
	t.release()
	return func() {}
}

// lostIfWanted reports that e is not stored though it should be. Without a reason
// another process stores its own.
func (s *shared) lostIfWanted(f *Flight, e *Entry, why error) {
	if why != nil && !e.Empty() && (e.Err == nil || e.Err == ErrAbsent) {
		s.lost(f, why)
	}
}

// unstored notes of an entry that it is not in the store though it should be. So no
// report tells of what concerns it, and the store is asked again as soon as a change
// of an epoch would be seen.
func (e *Entry) unstored() {
	e.trusted = min(e.trusted, clock.After(e.asked, fleet.EpochTrust))
}

// loosen notes of an entry with tags that it does not know their epochs. It is trusted
// for as long as a reading of one would be.
func (e *Entry) loosen() {
	if len(e.Tags) > 0 {
		e.loose, e.trusted = true, min(e.trusted, clock.After(e.Created, fleet.EpochTrust))
	}
}

// tie makes e, which is not to be stored, depend on the epochs of its tags.
func (s *shared) tie(ctx context.Context, f *Flight, e *Entry, taken *takenEpochs) error {
	if e.Empty() || e.loose {
		return nil
	}
	_, fences, current, err := s.tagEpochs(ctx, f, e, taken)
	switch {
	case err != nil:
		e.loosen()
	case !current:
		e.tear()
	default:
		e.Fences = append(e.Fences, fences...)
	}
	return err
}

// fencesFor returns the epochs of the function's scopes when an execution began.
func (s *shared) fencesFor(epochs map[string]fleet.Epoch) (fences []fleet.Dependency) {
	for _, scope := range s.Scope {
		fences = append(fences, fleet.Dependency{Keyspace: s.Keyspace, Key: scope.Key, Epoch: epochs[scope.Key].Token})
	}
	return fences
}

// offer stores e, if it is to be stored and the ticket is still good. The error is
// that of a store that has failed.
func (s *shared) offer(ctx context.Context, f *Flight, t *ticket, e *Entry, l landing, taken *takenEpochs) error {
	lease := t.lease()
	if e.Empty() || e.Err != nil && !l.absent {
		if l.err == nil && lease.refresh {
			return t.leave(f.sharedKey, lease.target) // a result that is not kept is newer than what is there
		}
		return s.tie(ctx, f, e, taken)
	}
	if e.loose { // it may be older than the epochs that its tags have by now
		s.lost(f, errLoose)
		return nil
	}
	tags, fences, current, err := s.tagEpochs(ctx, f, e, taken)
	if err != nil {
		e.loosen()
		return err
	}
	if !current {
		e.tear()
		return nil
	}
	e.Fences = append(e.Fences, fences...)
	if err := s.Prolong(ctx, storeclient.Unhurried(f.Policy.StoreTimeout), e.ttl(), s.recorded(e, f.Epochs)); err != nil {
		return err
	}
	token := store.NewToken()
	err = s.replace(ctx, f, t, func(old store.Token) error {
		return s.swapResult(ctx, f, e, old, &wire.Record{Token: token, Replaced: old, Scopes: s.scopesOf(f.Epochs), Tags: tags})
	})
	switch {
	case err == nil:
		e.share.Token = token
		s.expectOwn(e.share)
		if !lease.refresh {
			t.end()
		}
	case errors.Is(err, store.ErrConflict):
		e.void() // invalidated, or overtaken
	case errors.Is(err, store.ErrRefused), errors.Is(err, errUnencodable):
		s.reportRefused(f.Policy, err)
	default:
		return err
	}
	return nil
}

// swapResult encodes e and puts it in the place of old. It encodes when it is its turn to
// write: the bytes of no more results than that are in memory.
func (s *shared) swapResult(ctx context.Context, f *Flight, e *Entry, old store.Token, st *wire.Record) error {
	by := storeclient.Unhurried(f.Policy.StoreTimeout)
	end, err := s.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	value, err := s.encode(f.Policy, f.sharedKey, e, st)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnencodable, err)
	}
	return s.Do(ctx, by.Remaining(), func(ctx context.Context) error {
		return s.Store.Swap(ctx, f.sharedKey, old, value, e.ttl())
	})
}

// expectOwn takes one report of the key for that of the write that was just made, if
// the store reports so exactly that this is certain.
func (s *shared) expectOwn(sh *share) {
	if store.ReportsOnce(s.Store) && s.Notifications.State.Load() == fleet.Connected {
		sh.reports++
	}
}

// errLoose is why a result is not stored that was made from one without epochs.
var errLoose = errors.New("memo: a result that it was made from is not in the store, and has tags")

// errUnencodable is why a result is not stored that its codec refuses.
var errUnencodable = errors.New("memo: the codec refuses the result")

// replace puts a result in the place of the ticket's target, by swap. A Refresh
// counts more than one in another process that began before: it also replaces
// what took the target's place, which says so, as long as its lease is good.
// Nothing was invalidated in between, or the chain would be broken.
func (s *shared) replace(ctx context.Context, f *Flight, t *ticket, swap func(old store.Token) error) error {
	lease := t.lease()
	target := lease.target
	for range fleet.MaxContradictions {
		err := swap(target)
		if !f.forced || !lease.refresh || !errors.Is(err, store.ErrConflict) {
			return err
		}
		values, _, failed := s.Read(ctx, storeclient.Unhurried(f.Policy.StoreTimeout), []string{f.sharedKey})
		if failed != nil {
			return failed
		}
		st, _ := wire.Decode(f.sharedKey, values[0])
		if st == nil || st.Kind != wire.KindResult || st.Replaced != target || !t.owns(ctx) {
			return err
		}
		target = st.Token
	}
	return store.ErrConflict
}

// void makes e of no use to anybody but those who wait for it.
func (e *Entry) void() { e.Fresh, e.End = e.Created, e.Created }

// tear is void for a result whose tags were invalidated while it was made: what is made
// from it is of no use either.
func (e *Entry) tear() {
	e.void()
	e.torn = true
}

// scopesOf returns the epochs of the function's scopes when an execution began.
func (s *shared) scopesOf(epochs map[string]fleet.Epoch) []wire.ScopeEpoch {
	scopes := make([]wire.ScopeEpoch, len(s.Scope))
	for i, scope := range s.Scope {
		scopes[i] = wire.ScopeEpoch{Path: scope.path, Epoch: epochs[scope.Key].Token}
	}
	return scopes
}

// put stores e as Set does, whatever is there. If that fails, what is there is
// invalidated: it is older. A result that the store cannot take is not an error,
// as it is none of Call's: it stays in this process.
func (s *shared) put(ctx context.Context, p *Config, key string, e *Entry) error {
	e.share = &share{realm: s.Keyspace, key: key, era: s.Notifications.Generation.Load(), reports: s.Notifications.Of(key).Load()}
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
		return s.invalidate(ctx, by, []string{key}, 1)
	case errors.Is(err, store.ErrRefused), errors.Is(err, errUnencodable):
		s.reportRefused(p, err)
		return s.invalidate(ctx, by, []string{key}, 0)
	case err == nil:
		return s.invalidate(ctx, by, []string{key}, 0)
	}
	s.failed(err)
	s.AddPending(key, fleet.PendingInvalidation{Version: s.Version, Owner: s.Scope[0].Key}, nil)
	return err
}

// reportRefused reports a result that cannot be stored.
func (s *shared) reportRefused(p *Config, err error) {
	s.report(p, "a result cannot be stored; it stays in this process", "error", err)
}

// prepare returns e as it is to be stored, nil if it is not.
func (s *shared) prepare(ctx context.Context, p *Config, by storeclient.Deadline, key string, e *Entry) (value []byte, token store.Token, err error) {
	if e.Empty() {
		return nil, token, nil
	}
	epochs, err := s.Ensure(ctx, by, p.epochLife(), p.needs)
	if err != nil {
		e.trusted = clock.After(e.asked, fleet.EpochTrust)
		e.loosen()
		return nil, token, err
	}
	e.Fences = s.fencesFor(epochs)
	var tags []wire.TagEpochs
	for _, tag := range p.Tags {
		te := wire.TagEpochs{Path: s.core.Space.Path, Name: tag}
		for _, n := range s.TagNeeds(te.Path, tag) {
			te.Epochs = append(te.Epochs, epochs[n.Key].Token)
			e.Fences = append(e.Fences, fleet.Dependency{Keyspace: s.Keyspace, Key: n.Key, Epoch: epochs[n.Key].Token, Tag: true})
		}
		tags = append(tags, te)
	}
	if err := s.Prolong(ctx, by, e.ttl(), s.recorded(e, epochs)); err != nil {
		return nil, token, err
	}
	token = store.NewToken()
	if value, err = s.encode(p, key, e, &wire.Record{Token: token, Scopes: s.scopesOf(epochs), Tags: tags}); err != nil {
		err = fmt.Errorf("%w: %w", errUnencodable, err)
	}
	return value, token, err
}

// invalidate deletes what the store has under keys, in every version of the function
// that is in use, but leaves the first stay of these keys of its own version alone. With
// what is deleted go the leases of those who execute for it. What fails is repeated until
// it succeeds.
func (s *shared) invalidate(ctx context.Context, by storeclient.Deadline, keys []string, stay int) error {
	if len(keys) == 0 {
		return nil
	}
	last := s.LastPending()
	versions, err := s.VersionsInUse(ctx, by, s.Member)
	all, unnamed := s.Reached(s.Version, versions, keys)
	own, left := keys[stay:], func(key string) bool { return storeclient.Concerns(err, key) }
	if err != nil { // there may be versions that are not known here
		own, left = keys, func(string) bool { return true }
	} else if others := all[len(keys):]; len(own)+len(others) > 0 {
		err = s.Do(ctx, by.Remaining(), func(ctx context.Context) error { return s.Store.Delete(ctx, all[stay:]...) })
	}
	s.settleDebts(left, last, fleet.PendingInvalidation{Version: s.Version, Owner: s.Scope[0].Key}, own)
	s.settleDebts(left, last, fleet.PendingInvalidation{Owner: s.Scope[0].Key}, all[len(keys):])
	if unnamed {
		err = errors.Join(err, s.SetEpochs(ctx, by, s.Scope[0].Key, wire.Mark{}, fleet.Need{Key: s.Scope[0].Key, Lists: &s.Version}))
	}
	s.failed(err)
	return err
}

// settleDebts notes how the deletion of keys, which began when last was the newest debt,
// has ended: left reports whether a key may still be there.
func (s *shared) settleDebts(left func(key string) bool, last uint64, d fleet.PendingInvalidation, keys []string) {
	for _, key := range keys {
		if left(key) {
			s.AddPending(key, d, nil)
		} else {
			s.Acknowledge(key, last)
		}
	}
}

// clear makes everything of the function in the store invalid, in every version.
func (s *shared) clear(ctx context.Context, p *Config) error {
	key := s.Scope[0].Key
	err := s.SetEpochs(ctx, storeclient.DeadlineIn(p.StoreTimeout), key, wire.Mark{}, fleet.Need{Key: key, Lists: &s.Version})
	s.failed(err)
	return err
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

// wanted returns what has to be known before an execution under p begins: what
// every result of p depends on, and the turns of those other groups whose tags
// the function's results have taken over before.
func (s *shared) wanted(p *Config) []fleet.Need {
	needs := p.needs[:len(p.needs):len(p.needs)]
	s.foreign.Range(func(turn, _ any) bool {
		needs = append(needs, fleet.Need{Key: turn.(string)})
		return true
	})
	return needs
}

// tagEpochs returns the epochs that the tags of e had when f's execution began. It
// is not current if one of them may have been invalidated since.
//
//   - The epochs of the policy's tags were looked up before.
//   - What was taken over from a result brings the epochs that this has.
//   - What AddTags named is known only now. Its epoch is from before the
//     execution if it was read before, or if its mark says so: every
//     invalidation counts its group's turn up before it writes the epoch, and
//     the turn was read before the execution. No clock is asked.
func (s *shared) tagEpochs(ctx context.Context, f *Flight, e *Entry, taken *takenEpochs) (tags []wire.TagEpochs, fences []fleet.Dependency, current bool, err error) {
	h, by := f.frame.Seal(), storeclient.Unhurried(f.Policy.StoreTimeout)
	var open []fleet.Need
	for _, tag := range e.Tags {
		tag.space.reaches(s.Keyspace)
		open = append(open, s.late(f, h, taken, tag)...)
	}
	found, err := s.Ensure(ctx, by, f.Policy.epochLife(), open)
	if err != nil {
		return nil, nil, false, err
	}
	if current, err = s.Early(ctx, f, open, found); err != nil || !current {
		return nil, nil, false, err
	}
	for _, tag := range e.Tags {
		te := wire.TagEpochs{Path: tag.space.Path, Name: tag.name}
		for _, n := range s.TagNeeds(te.Path, te.Name) {
			before, read := f.Epochs[n.Key]
			inherited, inherits := taken.by[fleet.EpochAt{Keyspace: s.Keyspace, Key: n.Key}]
			latest, asked := found[n.Key]
			if read && inherits && inherited != before.Token || inherits && asked && inherited != latest.Token {
				return nil, nil, false, nil
			}
			epoch := latest.Token
			switch {
			case read:
				epoch = before.Token
			case inherits:
				epoch = inherited
			}
			te.Epochs = append(te.Epochs, epoch)
			fences = append(fences, fleet.Dependency{Keyspace: s.Keyspace, Key: n.Key, Epoch: epoch, Tag: true})
		}
		tags = append(tags, te)
	}
	return tags, fences, true, nil
}

// late returns those epochs of a tag that have to be looked up now.
func (s *shared) late(f *Flight, h *Hint, taken *takenEpochs, tag scopedTag) (late []fleet.Need) {
	for _, n := range s.TagNeeds(tag.space.Path, tag.name) {
		_, before := f.Epochs[n.Key]
		_, inherits := taken.by[fleet.EpochAt{Keyspace: s.Keyspace, Key: n.Key}]
		if !before && (!inherits || h.added.has(tag)) {
			late = append(late, n)
		}
	}
	return late
}

// Early reports whether epochs that were read after f's execution had begun were in
// force before: by when the store had told of them, or by their marks. Where marks do not
// tell, because the turn has begun anew, it suffices that the turn is still
// the one from before: then nothing was invalidated at all.
func (s *shared) Early(ctx context.Context, f *Flight, late []fleet.Need, found map[string]fleet.Epoch) (bool, error) {
	for _, n := range late {
		r := found[n.Key]
		turn, asked := f.Epochs[n.Counter]
		switch {
		case r.Known < f.Began, asked && r.Mark.Generation == turn.Mark.Generation && r.Mark.Count <= turn.Mark.Count:
			continue
		case !asked: // the tag of a group that this one's results had none of before
			s.foreign.Store(n.Counter, nil)
			return false, nil
		}
		values, _, err := s.Read(ctx, storeclient.Unhurried(f.Policy.StoreTimeout), []string{n.Counter})
		if err != nil {
			return false, err
		}
		if s, err := wire.Decode(n.Counter, values[0]); err != nil || s.Epoch != turn.Token {
			return false, nil
		}
	}
	return true, nil
}
