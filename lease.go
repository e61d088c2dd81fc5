package memo

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

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
	shared  *shared
	policy  *policy
	key     string      // of the lease
	token   store.Token // of the lease
	value   []byte      // the lease
	held    bool        // there is a lease, which has to be given back
	target  store.Token // what the result is to replace
	refresh bool        // the lease is under a key of its own

	mu    sync.Mutex
	ended bool        // guarded by mu
	timer *time.Timer // guarded by mu; renews the lease
}

// obtain asks the fleet for the right to execute f. If another process has the
// result, or gets it while obtain waits, obtain returns that. Otherwise f is to be
// executed: with a ticket, or without one where the store is of no help.
func (s *shared) obtain(f *flight) *entry {
	p, began := f.policy, now()
	seen := f.seen
	for poll := firstPoll; f.ctx.Err() == nil; {
		var err error
		if seen == nil {
			seen, err = s.seeOne(f)
		}
		if err == nil {
			f.epochs, err = s.ensure(f.ctx, p.storeTimeout, s.wanted(p))
		}
		if err != nil {
			s.failed(err)
			return nil
		}
		e, next := s.claim(f, seen)
		if e != nil || f.ticket != nil {
			return e
		}
		switch next {
		case goAlone:
			return nil
		case waitFor:
			f.waited = true
			f.exec.waive()
			if p.loadTimeout > 0 && now()-began > int64(p.loadTimeout) {
				return nil
			}
			s.await(f.ctx, f.sharedKey, poll)
			poll = min(poll*8/5, maxPoll)
		}
		seen = nil
	}
	return nil
}

// seeOne looks what the store holds for f.
func (s *shared) seeOne(f *flight) (*sighting, error) {
	seen, err := s.see(f.ctx, f.policy, f.sharedKey)
	if seen[0] != nil {
		err = nil
	}
	return seen[0], err
}

// What comes after an attempt to claim the execution that brought nothing.
type step int

const (
	lookAgain step = iota // somebody else was faster
	waitFor               // somebody else executes
	goAlone               // the store is of no help
)

// claim returns the result that was seen if it serves f, and otherwise tries to
// get a ticket.
func (s *shared) claim(f *flight, seen *sighting) (*entry, step) {
	st := seen.stored
	switch {
	case seen.there == nil:
		return nil, s.take(f, &ticket{key: f.sharedKey}, nil)
	case st == nil || !seen.valid || st.kind == kindReleased:
		return nil, s.take(f, &ticket{key: f.sharedKey}, seen.there)
	case st.kind == kindLease:
		if f.forced {
			return nil, s.take(f, &ticket{key: f.sharedKey}, seen.there)
		}
		return nil, waitFor
	case st.kind != kindResult:
		return nil, s.take(f, &ticket{key: f.sharedKey}, seen.there)
	}
	if e := s.accept(f, seen); e != nil {
		return e, 0
	}
	return nil, s.takeRefresh(f, seen)
}

// accept returns the result that was seen if it is what f would execute for: it is
// fresh, and another one than f is to replace.
func (s *shared) accept(f *flight, seen *sighting) *entry {
	if f.forced || f.old != nil && f.old.share != nil && f.old.share.token == seen.stored.token {
		return nil
	}
	e := s.result(f.policy, f.key, f.sharedKey, seen, f.born)
	if e == nil || now() >= e.fresh || f.policy.maxAge >= 0 && now() >= after(e.created, f.policy.maxAge) {
		return nil
	}
	return e
}

// take puts a lease in the place of what is there, and makes t the flight's ticket
// if that succeeds.
func (s *shared) take(f *flight, t *ticket, there []byte) step {
	t.shared, t.policy, t.token = s, f.policy, store.NewToken()
	lease := &stored{token: t.token, kind: kindLease, scopes: s.scopesOf(f.epochs)}
	t.value, _ = lease.encode(t.key, nil)
	if !t.refresh {
		t.target = t.token
	}
	old, swappable := store.TokenOf(there)
	err := s.write(f.ctx, f.policy.storeTimeout, func(ctx context.Context) error {
		switch {
		case swappable:
			return s.store.Swap(ctx, t.key, old, t.value, leaseTTL)
		case there != nil:
			if err := s.store.Delete(ctx, t.key); err != nil {
				return err
			}
		}
		return s.store.Add(ctx, t.key, t.value, leaseTTL)
	})
	switch {
	case err == nil:
		t.held = true
		f.ticket = t
		t.keep()
		return 0
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		return lookAgain
	}
	s.failed(err)
	return goAlone
}

// takeRefresh tries to get the ticket for replacing the old result that was seen.
func (s *shared) takeRefresh(f *flight, seen *sighting) step {
	t := &ticket{key: s.lease + f.exec.args(f.key), refresh: true, target: seen.stored.token}
	next := s.take(f, t, nil)
	if next == lookAgain {
		next = s.inherit(f, t)
	}
	if f.ticket == nil {
		if f.forced && next == waitFor { // that execution began too early to count
			t.shared, t.policy = s, f.policy
			f.ticket = t
		}
		return next
	}
	// Whoever had the lease before may have replaced the result.
	again, err := s.seeOne(f)
	if err != nil || again.stored == nil || again.stored.token != t.target {
		f.ticket = nil
		t.release()
		if err != nil {
			s.failed(err)
			return goAlone
		}
		return lookAgain
	}
	return 0
}

// inherit takes over the lease for a refresh if it was given back.
func (s *shared) inherit(f *flight, t *ticket) step {
	values, _, err := s.readNoting(f.ctx, f.policy.storeTimeout, []string{t.key})
	if err != nil {
		s.failed(err)
		return goAlone
	}
	if values[0] == nil {
		return lookAgain
	}
	if st, err := decodeEntry(t.key, values[0]); err == nil && st.kind == kindLease {
		return waitFor
	}
	return s.take(f, t, values[0])
}

// await waits until a change of key is reported, or for about d.
func (s *shared) await(ctx context.Context, key string, d time.Duration) {
	changed, unwatch := s.watch(key)
	defer unwatch()
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// keep renews the lease until release or forget is called.
func (t *ticket) keep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(leaseRenewal, t.renew)
}

// renew writes the same lease again, with the same token: whoever has seen it has
// seen this one. If it is not there any more, the execution goes on without.
func (t *ticket) renew() {
	err := t.shared.write(context.Background(), t.policy.storeTimeout, func(ctx context.Context) error {
		return t.shared.store.Swap(ctx, t.key, t.token, t.value, leaseTTL)
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended && !errors.Is(err, store.ErrConflict) {
		t.timer.Reset(leaseRenewal)
	}
}

// forget ends the renewals of a lease that has been replaced.
func (t *ticket) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended, t.held = true, false
	if t.timer != nil {
		t.timer.Stop()
	}
}

// release gives the lease back, if there is one, so that nobody waits for its end.
func (t *ticket) release() {
	held := t.held
	t.forget()
	if held {
		t.shared.failed(t.leave(t.key, t.token))
	}
}

// leave puts into the place of a token a note that there is nothing. It must not
// remove what others have put there meanwhile, which is why it is no Delete.
func (t *ticket) leave(key string, token store.Token) error {
	s := t.shared
	note, _ := (&stored{token: store.NewToken(), kind: kindReleased}).encode(key, nil)
	err := s.write(context.Background(), t.policy.storeTimeout, func(ctx context.Context) error {
		return s.store.Swap(ctx, key, token, note, time.Second)
	})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
