package memo

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0226adef/memo/store"
)

// publish stores what f came back with, as e, and makes e a copy of that. Where
// it must not be stored, because it has been invalidated, e is not to be held
// either. Where it cannot be, e is held for as long as a copy would be trusted.
//
// The function that publish returns gives back what others need not wait for.
func (s *shared) publish(f *flight, e *entry, l landing) (finish func()) {
	if e.err == nil || l.absent {
		e.trusted = s.trust(f.policy, e.created)
	}
	t := f.ticket
	if t == nil {
		return func() {}
	}
	err := s.offer(f, t, e, l)
	s.failed(err)
	if t.refresh || err != nil { // nobody is made to wait for a store that fails again
		return t.release
	}
	t.release()
	return func() {}
}

// offer stores e, if it is to be stored and the ticket is still good. The error is
// that of a store that has failed.
func (s *shared) offer(f *flight, t *ticket, e *entry, l landing) error {
	if e.empty() || e.err != nil && !l.absent {
		if l.err == nil && t.refresh {
			return t.leave(f.sharedKey, t.target) // a result that is not kept is newer than what is there
		}
		return nil
	}
	tags, fences, current, err := s.tagEpochs(f, e)
	switch {
	case err != nil:
		return err
	case !current:
		e.void()
		return nil
	}
	p, token := f.policy, store.NewToken()
	value, err := s.encode(p, f.sharedKey, e, token, s.scopesOf(f.epochs), tags)
	if err != nil {
		s.report(p, "a result cannot be encoded; it stays in this process", "error", err)
		return nil
	}
	e.reports = s.notices.of(f.sharedKey).Load()
	share := s.shareOf(f.sharedKey, token, f.epochs, fences)
	err = s.write(f.ctx, p.storeTimeout, func(ctx context.Context) error {
		return s.store.Swap(ctx, f.sharedKey, t.target, value, e.ttl())
	})
	switch {
	case err == nil:
		e.share = share
		if !t.refresh {
			t.forget()
		}
	case errors.Is(err, store.ErrConflict):
		e.void() // invalidated, or overtaken
	case errors.Is(err, store.ErrRefused):
		s.report(p, "the store refuses a result; it stays in this process", "error", err)
	default:
		return err
	}
	return nil
}

// void makes e of no use to anybody but those who wait for it.
func (e *entry) void() { e.fresh, e.end = e.created, e.created }

// scopesOf returns the epochs of the function's scopes when an execution began.
func (s *shared) scopesOf(epochs map[string]reading) []scopeEpoch {
	scopes := make([]scopeEpoch, len(s.scope))
	for i, scope := range s.scope {
		scopes[i] = scopeEpoch{scope.path, epochs[scope.key].token}
	}
	return scopes
}

// shareOf returns what ties a result to the store that is about to be written.
func (s *shared) shareOf(key string, token store.Token, epochs map[string]reading, tags []fence) *share {
	sh := &share{realm: s.realm, key: key, token: token, scopes: len(s.scope), era: s.notices.era.Load()}
	for _, scope := range s.scope {
		sh.fences = append(sh.fences, fence{scope.key, epochs[scope.key].token})
	}
	sh.fences = append(sh.fences, tags...)
	return sh
}

// put stores e as Set does, whatever is there. If that fails, what is there is
// invalidated: it is older.
func (s *shared) put(ctx context.Context, p *policy, key string, e *entry) error {
	e.trusted = s.trust(p, e.created)
	value, share, err := s.prepare(ctx, p, key, e)
	if err == nil && value != nil {
		e.reports = s.notices.of(key).Load()
		err = s.write(ctx, p.storeTimeout, func(ctx context.Context) error { return s.store.Set(ctx, key, value, e.ttl()) })
	}
	if err == nil && value != nil {
		e.share = share
		s.forgive(key)
		return nil
	}
	s.failed(err)
	return errors.Join(err, s.delete(ctx, p, key))
}

// prepare returns e as it is to be stored, nil if it is not.
func (s *shared) prepare(ctx context.Context, p *policy, key string, e *entry) ([]byte, *share, error) {
	if e.empty() {
		return nil, nil, nil
	}
	epochs, err := s.ensure(context.WithoutCancel(ctx), p.storeTimeout, p.needs)
	if err != nil {
		return nil, nil, err
	}
	var tags []tagEpochs
	var fences []fence
	for _, tag := range p.tags {
		te := tagEpochs{path: s.core.space.path, name: tag}
		for _, n := range s.tagNeeds(te.path, tag) {
			te.epochs = append(te.epochs, epochs[n.key].token)
			fences = append(fences, fence{n.key, epochs[n.key].token})
		}
		tags = append(tags, te)
	}
	token := store.NewToken()
	value, err := s.encode(p, key, e, token, s.scopesOf(epochs), tags)
	return value, s.shareOf(key, token, epochs, fences), err
}

// delete deletes keys in the store, and with them the leases of those who execute
// for them. If that fails it is repeated until it succeeds.
func (s *shared) delete(ctx context.Context, p *policy, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	err := s.write(ctx, p.storeTimeout, func(ctx context.Context) error { return s.store.Delete(ctx, keys...) })
	for _, key := range keys {
		if err != nil {
			s.owe(key, debt{owner: s.scope[0].key})
		} else {
			s.forgive(key)
		}
	}
	s.failed(err)
	return err
}

// clear makes everything of the function in the store invalid.
func (s *shared) clear(ctx context.Context, p *policy) error {
	err := s.setEpoch(ctx, p.storeTimeout, s.scope[0].key, mark{}, s.scope[0].key)
	s.failed(err)
	return err
}

// notReached is the error of what could not be told to the store yet.
func (c *core) notReached(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memo: %s: %s has not reached the store yet, and is repeated until it does: %w", c.label, what, err)
}

// wanted returns what has to be known before an execution under p begins: what
// every result of p depends on, and the turns of those other groups whose tags
// the function's results have taken over before.
func (s *shared) wanted(p *policy) []need {
	needs := p.needs[:len(p.needs):len(p.needs)]
	s.foreign.Range(func(turn, _ any) bool {
		needs = append(needs, need{key: turn.(string)})
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
func (s *shared) tagEpochs(f *flight, e *entry) (tags []tagEpochs, fences []fence, current bool, err error) {
	h := f.frame.seal()
	known := h.epochs.of(s.realm)
	var late []need
	for _, tag := range e.tags {
		tag.space.reaches(s.realm)
		late = append(late, s.late(f, h, known, tag)...)
	}
	found, err := s.ensure(context.WithoutCancel(f.ctx), f.policy.storeTimeout, late)
	if err != nil {
		return nil, nil, false, err
	}
	current = !h.epochs.torn
	for _, n := range late {
		current = s.early(f, n, found[n.key]) && current
	}
	for _, tag := range e.tags {
		te := tagEpochs{path: tag.space.path, name: tag.name}
		for _, n := range s.tagNeeds(te.path, te.name) {
			before, read := f.epochs[n.key]
			inherited, taken := known[n.key]
			current = current && !(read && taken && inherited != before.token)
			epoch := found[n.key].token
			switch {
			case read:
				epoch = before.token
			case epoch == (store.Token{}):
				epoch = inherited
			}
			te.epochs = append(te.epochs, epoch)
			fences = append(fences, fence{n.key, epoch})
		}
		tags = append(tags, te)
	}
	return tags, fences, current, nil
}

// late returns those epochs of a tag that have to be looked up now.
func (s *shared) late(f *flight, h *hint, known map[string]store.Token, tag scopedTag) (late []need) {
	for _, n := range s.tagNeeds(tag.space.path, tag.name) {
		_, before := f.epochs[n.key]
		_, taken := known[n.key]
		if !before && (!taken || h.added.has(tag)) {
			late = append(late, n)
		}
	}
	return late
}

// early reports whether an epoch that was read after f's execution had begun was
// in force before. If that cannot be told because nobody had asked for the
// turn of its group, that is asked for from now on.
func (s *shared) early(f *flight, n need, r reading) bool {
	if r.at < f.began {
		return true
	}
	turn, ok := f.epochs[n.turn]
	if !ok {
		s.foreign.Store(n.turn, nil)
	}
	return ok && r.mark.generation == turn.mark.generation && r.mark.count <= turn.mark.count
}
