package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// One process of a fleet executes fn for a key at a time, by lease (Nishtala et
// al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1):
//
//   - On a miss a process adds a lease under the key: an entry with a token
//     that it drew. Whoever finds a lease there waits.
//   - The result replaces the lease by a Swap of that token. If the key was
//     invalidated meanwhile, the token is gone and the result is not stored.
//   - A lease lasts leaseTTL and is renewed while fn runs, so others are held up
//     by no more than that if its process dies.
//   - An old result stays in the store while it is refreshed. The lease for that
//     is under a key of its own, and what the result replaces is the old one.
//
// A lease saves work and is not a lock: when the store drops it, fn runs twice.
// That what was invalidated is not stored rests on the tokens alone.
const (
	leaseTTL     = 5 * time.Second
	leaseRenewal = leaseTTL / 3

	firstPoll = 2 * time.Millisecond
	maxPoll   = 100 * time.Millisecond
)

// A ticket is what an execution holds in the store.
type ticket struct {
	shared *shared
	policy *Config
	failed uint64 // how many executions in a row have ended without a result; see publish
	entry  string // the key that the result is to be under
	since  uint64 // what was asked from here on, by the realm's order, was asked with the lease in place
	ends   int64  // of a refresh, when the old result's life in the store ends

	converting sync.Mutex // held while a refresh becomes a miss; see becomeMiss
	mu         sync.Mutex
	leaseState             // guarded by mu
	held       bool        // guarded by mu; there is a lease, which has to be given back
	timer      *time.Timer // guarded by mu; renews the lease
}

// A leaseState is what a ticket is for at one moment.
type leaseState struct {
	key     string      // of the lease
	token   store.Token // of the lease
	value   []byte      // the lease
	target  store.Token // what the result is to replace
	refresh bool        // the lease is under a key of its own
}

// errUnseen is why a result is not stored whose call waited for another's look-up.
var errUnseen = errors.New("memo: the store has not answered in time what it holds")

// errElsewhere is why a result is not stored that another process has executed for
// all the time, as far as its lease said.
var errElsewhere = errors.New("memo: another process had the lease for longer than LoadTimeout")

// obtain asks the fleet for the right to execute f. If another process has the
// result, or gets it while obtain waits, obtain returns that. Otherwise f is to be
// executed: with a ticket, or without one where the store is of no help.
func (s *shared) obtain(ctx context.Context, f *Flight) *Entry {
	p, began, poll := f.Policy, clock.Now(), firstPoll
	seen, waits := f.seen, 0
	for attempt := 0; ctx.Err() == nil; attempt++ {
		var err error
		if seen == nil {
			seen, err = s.seeOne(ctx, f)
		}
		if err == nil {
			f.Epochs, err = s.Ensure(ctx, f.storeDeadline(), p.epochLife(), s.wanted(p))
		}
		if err != nil {
			s.failed(err)
			f.alone = err
			return nil
		}
		e, next := s.claim(ctx, f, seen)
		if next == stepSettled || next == stepGoAlone {
			return e
		}
		if attempt-waits >= fleet.MaxContradictions {
			f.alone = fleet.ErrUnsettled
			return e
		}
		if next == stepWaitFor {
			waits = attempt + 1
			f.exec.Abstain()
			if f.waited = true; p.LoadTimeout > 0 && clock.Now()-began > int64(p.LoadTimeout) {
				f.alone = errElsewhere
				return nil
			}
			s.await(ctx, f.sharedKey, poll)
			poll = min(poll*8/5, maxPoll)
			f.deadline = clock.After(clock.Now(), p.StoreTimeout)
		}
		seen = nil
	}
	return nil
}

// storeDeadline returns until when f may wait for the store before it is executed: the
// end of one StoreTimeout, whose zero sets no limit.
func (f *Flight) storeDeadline() storeclient.Deadline {
	if f.Policy.StoreTimeout == 0 {
		return storeclient.Deadline{}
	}
	return storeclient.Deadline{At: f.deadline}
}

// seeOne looks what the store holds for f.
func (s *shared) seeOne(ctx context.Context, f *Flight) (*sighting, error) {
	if s.IsPending(f.sharedKey) {
		return nil, storeclient.ErrOut
	}
	seen, err := s.see(ctx, f.Policy, f.storeDeadline(), f.sharedKey)
	if seen[0] != nil {
		err = nil
	}
	return seen[0], err
}

// What comes after an attempt to claim the execution.
type step int

const (
	stepSettled   step = iota // nothing: there is a ticket, or a result
	stepLookAgain             // somebody else was faster
	stepWaitFor               // somebody else executes
	stepGoAlone               // the store is of no help
)

// claim returns the result that was seen if it serves f, and otherwise tries to
// get a ticket.
func (s *shared) claim(ctx context.Context, f *Flight, seen *sighting) (*Entry, step) {
	st := seen.stored
	switch {
	case seen.bad:
		f.refused = true
		return nil, stepGoAlone
	case st != nil && st.Kind == wire.KindLease && seen.valid && !f.forced:
		if f.waited && st.Failed > 0 { // what was waited for has ended without a result
			return nil, stepGoAlone
		}
		return nil, stepWaitFor
	case st != nil && st.Kind == wire.KindResult && seen.valid:
		if e := s.accept(f, seen); e != nil {
			return e, stepSettled
		}
		return nil, s.takeRefresh(ctx, f, seen)
	}
	return nil, s.take(ctx, f, &ticket{leaseState: leaseState{key: f.sharedKey}}, seen.value, st)
}

// accept returns the result that was seen if it is what f would execute for: it is
// fresh, and another one than f is to replace.
func (s *shared) accept(f *Flight, seen *sighting) *Entry {
	if f.forced || f.old != nil && f.old.stored() && f.old.share.Token == seen.stored.Token {
		return nil
	}
	e := s.result(f.Policy, f.key, f.sharedKey, seen, f.born)
	if e == nil || clock.Now() >= e.Fresh || f.Policy.MaxAge >= 0 && clock.Now() >= clock.After(e.Created, f.Policy.MaxAge) {
		return nil
	}
	return e
}

// take puts a lease in the place of what is there, and makes t the flight's ticket
// if that succeeds. st is what is there as an entry, if it is one.
func (s *shared) take(ctx context.Context, f *Flight, t *ticket, there []byte, st *wire.Record) step {
	if st != nil && st.Kind == wire.KindReleased {
		t.failed = st.Failed
	}
	t.shared, t.policy, t.entry, t.token = s, f.Policy, f.sharedKey, store.NewToken()
	lease := &wire.Record{Token: t.token, Kind: wire.KindLease, Scopes: s.scopesOf(f.Epochs), Failed: t.failed}
	t.value, _ = lease.Encode(t.key, nil) // which fails only for results
	if !t.refresh {
		t.target = t.token
	}
	old, swappable := store.TokenOf(there)
	err := s.writeLease(ctx, f, func(ctx context.Context) error {
		switch {
		case swappable:
			return s.Store.Swap(ctx, t.key, old, t.value, leaseTTL)
		case there != nil:
			if err := s.Store.Delete(ctx, t.key); err != nil {
				return err
			}
		}
		return s.Store.Add(ctx, t.key, t.value, leaseTTL)
	})
	switch {
	case err == nil:
		t.since = s.NextOrder()
		t.keep()
		f.ticket.Store(t)
		return stepSettled
	case errors.Is(err, store.ErrRefused):
		s.reportRefused(f.Policy, err)
		f.refused = true
		return stepGoAlone
	case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict):
		s.failed(err)
		f.alone = err
		if !errors.Is(err, storeclient.ErrBusy) && !errors.Is(err, storeclient.ErrOut) && !errors.Is(err, store.ErrReadOnly) {
			go t.leave(t.key, t.token) // the lease may be there all the same, and would hold others up; ends within StoreTimeout
		}
		return stepGoAlone
	case f.waited && t.failed > 0:
		return stepGoAlone // others waited for the same, and one of them stores what comes
	}
	return stepLookAgain
}

// writeLease writes a lease for f within what f may wait for the store. Where it was the
// wait for a turn that has used this up, which takeTurn allows while the store answers
// promptly, the operation has a StoreTimeout of its own.
func (s *shared) writeLease(ctx context.Context, f *Flight, op func(context.Context) error) error {
	by, enough := f.storeDeadline(), f.Policy.StoreTimeout/storeclient.Promptly
	before := by.Remaining()
	end, err := s.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	limit := by.Remaining()
	if before >= enough && limit < enough {
		limit = f.Policy.StoreTimeout
	}
	return s.Do(ctx, limit, op)
}

// takeRefresh tries to get the ticket for replacing the old result that was seen.
func (s *shared) takeRefresh(ctx context.Context, f *Flight, seen *sighting) step {
	t := &ticket{
		leaseState: leaseState{key: s.lease + f.sharedKey[len(s.Head):], refresh: true, target: seen.stored.Token},
		ends:       seen.stored.Ends(),
	}
	next := s.take(ctx, f, t, nil, nil)
	if next == stepLookAgain {
		next = s.takeOver(ctx, f, t)
	}
	if next != stepSettled || f.forced {
		return next
	}
	// Whoever had the lease before may have replaced the result.
	again, err := s.seeOne(ctx, f)
	if err != nil || again.stored == nil || again.stored.Token != seen.stored.Token {
		f.ticket.Store(nil)
		t.release()
		if err != nil {
			s.failed(err)
			f.alone = err
			return stepGoAlone
		}
		return stepLookAgain
	}
	return stepSettled
}

// takeOver takes the lease for a refresh if it was given back or, where an execution
// that has begun does not count, from whoever has it.
func (s *shared) takeOver(ctx context.Context, f *Flight, t *ticket) step {
	values, _, err := s.Read(ctx, f.storeDeadline(), []string{t.key})
	if err != nil {
		s.failed(err)
		f.alone = err
		return stepGoAlone
	}
	st, _ := wire.Decode(t.key, values[0])
	switch {
	case values[0] == nil:
		return stepLookAgain
	case st != nil && st.Kind == wire.KindLease && !f.forced:
		if f.waited && st.Failed > 0 {
			return stepGoAlone
		}
		return stepWaitFor
	}
	return s.take(ctx, f, t, values[0], st)
}

// await waits until a change of key is reported, or for about d.
func (s *shared) await(ctx context.Context, key string, d time.Duration) {
	changed, unwatch := s.Watch(key)
	defer unwatch()
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// keep renews the lease until it is released or replaced.
func (t *ticket) keep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = true
	t.timer = time.AfterFunc(t.pause(), t.renew)
}

// convertMargin is how long before the end of an old result its refresh becomes a miss.
const convertMargin = 500 * time.Millisecond

// pause returns how long the lease can be left alone. The caller holds t.mu.
func (t *ticket) pause() time.Duration {
	if !t.refresh || t.ends == clock.Forever {
		return leaseRenewal
	}
	return min(leaseRenewal, max(time.Duration(t.ends-clock.Now())-convertMargin, 0))
}

// renew writes the same lease again, with the same token: whoever has seen it has
// seen this one. If it is not there any more, the execution goes on without.
//
// It does so also while the result waits for its turn to be written, behind others: the
// lease must not run out meanwhile.
func (t *ticket) renew() {
	lease, held, over := t.due()
	if !held {
		return
	}
	if over {
		t.converting.Lock()
		defer t.converting.Unlock()
		if _, held, over = t.due(); held && over {
			t.becomeMiss()
		}
		return
	}
	err := t.shared.Write(context.Background(), storeclient.DeadlineIn(leaseRenewal), t.policy.StoreTimeout, func(ctx context.Context) error {
		return t.shared.Store.Swap(ctx, lease.key, lease.token, lease.value, leaseTTL)
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held && !errors.Is(err, store.ErrConflict) {
		t.timer.Reset(t.pause())
	}
}

// due returns what is to be renewed, whether it still is, and whether a refresh has to
// become a miss instead.
func (t *ticket) due() (lease leaseState, held, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leaseState, t.held, t.refresh && t.ends != clock.Forever && clock.Now() >= t.ends-int64(convertMargin)
}

// becomeMiss makes a miss of a refresh whose old result is about to end: it puts a lease
// in that one's place. Otherwise the result would find nothing to replace, and
// nobody could tell whether what it was to replace has expired or was
// invalidated. The caller holds t.converting.
func (t *ticket) becomeMiss() {
	s, token := t.shared, store.NewToken()
	old, _ := wire.Decode(t.key, t.value)
	lease := &wire.Record{Token: token, Kind: wire.KindLease, Scopes: old.Scopes, Failed: t.failed}
	value, _ := lease.Encode(t.entry, nil)
	err := s.Do(context.Background(), t.policy.StoreTimeout, func(ctx context.Context) error {
		return s.Store.Swap(ctx, t.entry, t.target, value, leaseTTL)
	})
	t.mu.Lock()
	held, former := t.held, t.leaseState
	if held && err == nil {
		t.leaseState = leaseState{key: t.entry, token: token, value: value, target: token}
		t.timer.Reset(t.pause())
	}
	t.mu.Unlock()
	switch {
	case err != nil: // the result is going to find out why
	case held:
		s.failed(t.leave(former.key, former.token))
	default: // the execution has ended meanwhile
		s.failed(t.leave(t.entry, token))
	}
}

// lease returns what the ticket is for at the moment.
func (t *ticket) lease() leaseState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leaseState
}

// end ends the renewals, and reports whether there was a lease.
func (t *ticket) end() (held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held, t.held = t.held, false
	if t.timer != nil {
		t.timer.Stop()
	}
	return held
}

// release gives the lease back, if there is one, so that nobody waits for its end.
func (t *ticket) release() {
	if t.end() {
		lease := t.lease()
		t.shared.failed(t.leave(lease.key, lease.token))
	}
}

// leave puts into the place of a token a note that there is nothing. It must not
// remove what others have put there meanwhile, which is why it is no Delete.
func (t *ticket) leave(key string, token store.Token) error {
	s := t.shared
	note, _ := (&wire.Record{Token: store.NewToken(), Kind: wire.KindReleased, Failed: t.failed}).Encode(key, nil)
	err := s.Write(context.Background(), storeclient.Unhurried(t.policy.StoreTimeout), t.policy.StoreTimeout, func(ctx context.Context) error {
		err := s.Store.Swap(ctx, key, token, note, time.Second)
		if errors.Is(err, store.ErrRefused) || errors.Is(err, store.ErrReadOnly) {
			// Others would wait for the end of the lease. Nobody has put a result there
			// if nobody can, and a server that is full still deletes.
			return s.Store.Delete(ctx, key)
		}
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// owns reports whether the lease is still the ticket's.
func (t *ticket) owns(ctx context.Context) bool {
	lease := t.lease()
	values, _, err := t.shared.Read(ctx, storeclient.Unhurried(t.policy.StoreTimeout), []string{lease.key})
	if err != nil {
		return false
	}
	token, ok := store.TokenOf(values[0])
	return ok && token == lease.token
}
