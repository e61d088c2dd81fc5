// Package lease is the right to execute, of which a fleet has one for a key.
//
//   - A Run is the fleet's part of one execution: what the store was seen to hold, the lease, and
//     the epochs in force before fn began.
//   - A Lease is what an execution holds in the store, and what its result replaces.
//   - A Tag is one of a result whose epochs are to be known.
//
// The package knows records, leases and epochs. It must not know functions, waiters or the
// entries of this process.
package lease

import (
	"context"
	"errors"
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
//     that it drew. A process that finds a lease there waits.
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

// A Lease is what an execution holds in the store.
type Lease struct {
	of      *fleet.Collection
	timeout time.Duration // bounds each operation of the store
	Failed  uint64        // how many executions in a row have ended without a result; see publish
	entry   string        // the key that the result is to be under
	since   uint64        // what was asked from here on, by the keyspace's order, was asked with the lease in place
	ends    int64         // of a refresh, when the old result's life in the store ends

	Converting sync.Mutex // held while a refresh becomes a miss; see becomeMiss
	mu         sync.Mutex
	LeaseState             // guarded by mu
	held       bool        // guarded by mu; there is a lease, which has to be given back
	timer      *time.Timer // guarded by mu; renews the lease
}

// A LeaseState is what a lease is for at one moment.
type LeaseState struct {
	key     string      // of the lease
	token   store.Token // of the lease
	value   []byte      // the lease
	Target  store.Token // what the result is to replace
	Refresh bool        // the lease is under a key of its own
}

// Occupy adds a lease under key, where the store holds nothing of ours, for what is to be there
// in a moment. It returns the lease's token, or ErrExists.
func Occupy(ctx context.Context, s *fleet.Collection, by storeclient.Deadline, key string, there []byte, epochs map[string]fleet.Epoch) (store.Token, error) {
	lease := &wire.Record{Token: store.NewToken(), Kind: wire.KindLease, Scopes: s.ScopesOf(epochs)}
	value, _ := lease.Encode(key, nil)
	return lease.Token, s.Do(ctx, key, by.Remaining(), func(ctx context.Context) error {
		if there != nil { // too short to be anything of ours
			if err := s.Store.Delete(ctx, key); err != nil {
				return err
			}
		}
		return s.Store.Add(ctx, key, value, leaseTTL)
	})
}

// keep renews the lease until it is released or replaced.
func (t *Lease) keep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = true
	t.timer = time.AfterFunc(t.pause(), t.renew)
}

// convertMargin is how long before the end of an old result its refresh becomes a miss.
const convertMargin = 500 * time.Millisecond

// pause returns how long the lease can be left alone. The caller holds t.mu.
func (t *Lease) pause() time.Duration {
	if !t.Refresh || t.ends == clock.Forever {
		return leaseRenewal
	}
	return min(leaseRenewal, max(time.Duration(t.ends-clock.Now())-convertMargin, 0))
}

// renew writes the same lease again, with the same token: a process that has seen it has
// seen this one. If it is not there any more, the execution goes on without.
//
// It does so also while the result waits for its turn to be written, behind others: the
// lease must not run out meanwhile.
func (t *Lease) renew() {
	lease, held, over := t.due()
	if !held {
		return
	}
	if over {
		t.Converting.Lock()
		defer t.Converting.Unlock()
		if _, held, over = t.due(); held && over {
			t.becomeMiss()
		}
		return
	}
	err := t.of.Write(context.Background(), lease.key, storeclient.DeadlineIn(leaseRenewal), t.timeout, func(ctx context.Context) error {
		return t.of.Store.Swap(ctx, lease.key, lease.token, lease.value, leaseTTL)
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held && !errors.Is(err, store.ErrConflict) {
		t.timer.Reset(t.pause())
	}
}

// due returns what is to be renewed, whether it still is, and whether a refresh has to
// become a miss instead.
func (t *Lease) due() (lease LeaseState, held, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.LeaseState, t.held, t.Refresh && t.ends != clock.Forever && clock.Now() >= t.ends-int64(convertMargin)
}

// becomeMiss makes a miss of a refresh whose old result is about to end: it puts a lease
// in that one's place. Otherwise the result would find nothing to replace, and
// nobody could tell whether what it was to replace has expired or was
// invalidated. The caller holds t.converting.
func (t *Lease) becomeMiss() {
	s, token := t.of, store.NewToken()
	old, _ := wire.Decode(t.key, t.value)
	lease := &wire.Record{Token: token, Kind: wire.KindLease, Scopes: old.Scopes, Failed: t.Failed}
	value, _ := lease.Encode(t.entry, nil)
	err := s.Do(context.Background(), t.entry, t.timeout, func(ctx context.Context) error {
		return s.Store.Swap(ctx, t.entry, t.Target, value, leaseTTL)
	})
	t.mu.Lock()
	held, former := t.held, t.LeaseState
	if held && err == nil {
		t.LeaseState = LeaseState{key: t.entry, token: token, value: value, Target: token}
		t.timer.Reset(t.pause())
	}
	t.mu.Unlock()
	switch {
	case err != nil: // the result is going to find out why
	case held:
		s.Failed(t.Leave(former.key, former.token))
	default: // the execution has ended meanwhile
		s.Failed(t.Leave(t.entry, token))
	}
}

// State returns what the lease is for at the moment.
func (t *Lease) State() LeaseState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.LeaseState
}

// End ends the renewals, and reports whether there was a lease.
func (t *Lease) End() (held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held, t.held = t.held, false
	if t.timer != nil {
		t.timer.Stop()
	}
	return held
}

// Release gives the lease back, if there is one, so that nobody waits for its end.
func (t *Lease) Release() {
	if t.End() {
		lease := t.State()
		t.of.Failed(t.Leave(lease.key, lease.token))
	}
}

// Leave puts into the place of a token a note that there is nothing. It must not
// remove what others have put there meanwhile, which is why it is no Delete.
func (t *Lease) Leave(key string, token store.Token) error {
	s := t.of
	note, _ := (&wire.Record{Token: store.NewToken(), Kind: wire.KindReleased, Failed: t.Failed}).Encode(key, nil)
	err := s.Write(context.Background(), key, storeclient.Unhurried(t.timeout), t.timeout, func(ctx context.Context) error {
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

// owns reports whether the lease is still this execution's.
func (t *Lease) owns(ctx context.Context) bool {
	lease := t.State()
	values, _, err := t.of.Read(ctx, storeclient.Unhurried(t.timeout), []string{lease.key})
	if err != nil {
		return false
	}
	token, ok := store.TokenOf(values[0])
	return ok && token == lease.token
}
