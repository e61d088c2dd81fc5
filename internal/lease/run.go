package lease

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A Run is the fleet's part of one execution of fn for a key: what the store was seen to
// hold, the right to execute, and the epochs in force before fn began. The goroutine of
// the execution alone sets and reads its fields, but for the atomic ones.
type Run struct {
	Collection  *fleet.Collection
	Key         string                 // in the store
	Timeout     time.Duration          // bounds each operation of the store; zero for no limit
	LoadTimeout time.Duration          // bounds the wait for another process
	EpochLife   time.Duration          // of the epochs that the result records; see wire.EpochLife
	Needs       []fleet.Need           // the epochs that have to be known before fn begins
	Forced      bool                   // fn is run whatever the store holds
	Without     bool                   // the caller's look-up failed, so go without the store
	Seen        *fleet.Seen            // what the caller found in the store
	Accepts     func(*fleet.Seen) bool // takes the result that was seen for that of the execution, if it serves
	Waits       func()                 // called before a wait for another process

	began    int64                  // when fn was started
	Deadline int64                  // until when it may wait for the store before fn begins
	Left     time.Duration          // how long its waiters may wait for the store when fn is back
	Outages  uint32                 // of the store until then
	Alone    error                  // why fn runs without a lease, if its result should be stored all the same
	Epochs   map[string]fleet.Epoch // in force before fn began
	Waited   bool                   // for another process
	Refused  bool                   // the store refuses the key, and its result stays in this process

	Doubted atomic.Bool           // a change of its key was reported, if only its own
	lone    atomic.Bool           // fn runs without a lease: a change that was reported is another's
	Lease   atomic.Pointer[Lease] // what makes this the fleet's execution; nil for one on its own
}

// ErrUnseen is why a result is not stored whose call waited for another's look-up.
var ErrUnseen = errors.New("memo: the store has not answered in time what it holds")

// errElsewhere is why a result is not stored that another process has executed for
// all the time, as far as its lease said.
var errElsewhere = errors.New("memo: another process had the lease for longer than LoadTimeout")

// Begin notes that fn is started at t.
func (f *Run) Begin(t int64) {
	if f.Lease.Load() == nil {
		f.Doubted.Store(false) // what was reported until now came before fn begins
		f.lone.Store(true)
	}
	f.began, f.Left = t, f.storeDeadline().Remaining()
}

// Doubtful reports whether another process may have overtaken the execution, which was
// launched then: it has gone on for a while, or a change of its key was reported.
func (f *Run) Doubtful(launched int64) bool {
	return f.OvertakenAlone() || f.Lease.Load() != nil && (f.Doubted.Load() || clock.Now() > clock.After(launched, fleet.EpochTrust))
}

// OvertakenAlone reports whether an execution that has no lease to tell by has to be
// taken for overtaken in another process: a change of its key was reported.
func (f *Run) OvertakenAlone() bool { return f.lone.Load() && f.Doubted.Load() }

// Contradicted reports whether what the store was seen to hold says that the execution
// has been overtaken in another process.
func (f *Run) Contradicted(seen *fleet.Seen) bool {
	t := f.Lease.Load()
	if t == nil || seen == nil || seen.Order < t.since {
		return false
	}
	st := seen.Record
	lease := t.State()
	return st == nil || !seen.Valid || seen.Expired || st.Token != lease.token && st.Token != lease.Target
}

// Obtain asks the fleet for the right to execute f. If another process has the
// result, or gets it while obtain waits, obtain returns that. Otherwise f is to be
// executed: with a lease, or without one where the store is of no help.
func (f *Run) Obtain(ctx context.Context) (accepted bool) {
	if f.Without {
		return false
	}
	f.Alone = nil
	s, began, poll := f.Collection, clock.Now(), firstPoll
	seen, waits := f.Seen, 0
	for attempt := 0; ctx.Err() == nil; attempt++ {
		var err error
		if seen == nil {
			seen, err = f.see(ctx)
		}
		if err == nil {
			f.Epochs, err = s.Ensure(ctx, f.storeDeadline(), f.EpochLife, s.Wanted(f.Needs))
		}
		if err != nil {
			s.Failed(err)
			f.Alone = err
			return false
		}
		accepted, next := f.claim(ctx, seen)
		if next == stepSettled || next == stepGoAlone {
			return accepted
		}
		if attempt-waits >= fleet.MaxContradictions {
			f.Alone = fleet.ErrUnsettled
			return accepted
		}
		if next == stepWaitFor {
			waits = attempt + 1
			f.Waits()
			if f.Waited = true; f.LoadTimeout > 0 && clock.Now()-began > int64(f.LoadTimeout) {
				f.Alone = errElsewhere
				return false
			}
			await(ctx, s, f.Key, poll)
			poll = min(poll*8/5, maxPoll)
			f.Deadline = clock.After(clock.Now(), f.Timeout)
		}
		seen = nil
	}
	return false
}

// storeDeadline returns until when f may wait for the store before it is executed: the
// end of one StoreTimeout, whose zero sets no limit.
func (f *Run) storeDeadline() storeclient.Deadline {
	if f.Timeout == 0 {
		return storeclient.Deadline{}
	}
	return storeclient.Deadline{At: f.Deadline}
}

// see looks what the store holds for f.
func (f *Run) see(ctx context.Context) (*fleet.Seen, error) {
	if f.Collection.IsPending(f.Key) {
		return nil, storeclient.ErrOut
	}
	seen, err := f.Collection.See(ctx, f.Needs, f.storeDeadline(), 0, f.Key)
	if seen[0] != nil {
		err = nil
	}
	return seen[0], err
}

// What comes after an attempt to claim the execution.
type step int

const (
	stepSettled   step = iota // nothing: there is a lease, or a result
	stepLookAgain             // somebody else was faster
	stepWaitFor               // somebody else executes
	stepGoAlone               // the store is of no help
)

// claim takes the result that was seen if it serves f, and otherwise tries to get a
// lease.
func (f *Run) claim(ctx context.Context, seen *fleet.Seen) (accepted bool, next step) {
	st := seen.Record
	switch {
	case seen.Bad:
		f.Refused = true
		return false, stepGoAlone
	case st != nil && st.Kind == wire.KindLease && seen.Valid && !f.Forced:
		if f.Waited && st.Failed > 0 { // what was waited for has ended without a result
			return false, stepGoAlone
		}
		return false, stepWaitFor
	case st != nil && st.Kind == wire.KindResult && seen.Valid:
		if !f.Forced && f.Accepts(seen) {
			return true, stepSettled
		}
		return false, f.takeRefresh(ctx, seen)
	}
	return false, f.take(ctx, &Lease{LeaseState: LeaseState{key: f.Key}}, seen.Value, st)
}

// take puts a lease in the place of what is there, and makes t the execution's lease
// if that succeeds. st is what is there as an entry, if it is one.
func (f *Run) take(ctx context.Context, t *Lease, there []byte, st *wire.Record) step {
	if st != nil && st.Kind == wire.KindReleased {
		t.Failed = st.Failed
	}
	s := f.Collection
	t.of, t.timeout, t.entry, t.token = s, f.Timeout, f.Key, store.NewToken()
	lease := &wire.Record{Token: t.token, Kind: wire.KindLease, Scopes: s.ScopesOf(f.Epochs), Failed: t.Failed}
	t.value, _ = lease.Encode(t.key, nil) // which fails only for results
	if !t.Refresh {
		t.Target = t.token
	}
	old, swappable := store.TokenOf(there)
	err := f.writeLease(ctx, t.key, func(ctx context.Context) error {
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
		f.Lease.Store(t)
		return stepSettled
	case errors.Is(err, store.ErrRefused):
		s.ReportRefused(err)
		f.Refused = true
		return stepGoAlone
	case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict):
		s.Failed(err)
		f.Alone = err
		if !errors.Is(err, storeclient.ErrBusy) && !errors.Is(err, storeclient.ErrOut) && !errors.Is(err, store.ErrReadOnly) {
			go t.Leave(t.key, t.token) // the lease may be there all the same, and would hold others up; ends within StoreTimeout
		}
		return stepGoAlone
	case f.Waited && t.Failed > 0:
		return stepGoAlone // others waited for the same, and one of them stores what comes
	}
	return stepLookAgain
}

// writeLease writes a lease for f, under key, within what f may wait for the store. Where it was the
// wait for a turn that has used this up, which takeTurn allows while the store answers
// promptly, the operation has a StoreTimeout of its own.
func (f *Run) writeLease(ctx context.Context, key string, op func(context.Context) error) error {
	by, enough := f.storeDeadline(), f.Timeout/storeclient.Promptly
	before := by.Remaining()
	end, err := f.Collection.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	limit := by.Remaining()
	if before >= enough && limit < enough {
		limit = f.Timeout
	}
	return f.Collection.Do(ctx, key, limit, op)
}

// takeRefresh tries to get the lease for replacing the old result that was seen.
func (f *Run) takeRefresh(ctx context.Context, seen *fleet.Seen) step {
	t := &Lease{
		LeaseState: LeaseState{key: f.Collection.Lease + f.Key[len(f.Collection.Head):], Refresh: true, Target: seen.Record.Token},
		ends:       seen.Record.Ends(),
	}
	next := f.take(ctx, t, nil, nil)
	if next == stepLookAgain {
		next = f.takeOver(ctx, t)
	}
	if next != stepSettled || f.Forced {
		return next
	}
	// The process that had the lease before may have replaced the result.
	again, err := f.see(ctx)
	if err != nil || again.Record == nil || again.Record.Token != seen.Record.Token {
		f.Lease.Store(nil)
		t.Release()
		if err != nil {
			f.Collection.Failed(err)
			f.Alone = err
			return stepGoAlone
		}
		return stepLookAgain
	}
	return stepSettled
}

// takeOver takes the lease for a refresh if it was given back or, where an execution
// that has begun does not count, from the process that has it.
func (f *Run) takeOver(ctx context.Context, t *Lease) step {
	values, _, err := f.Collection.Read(ctx, f.storeDeadline(), []string{t.key})
	if err != nil {
		f.Collection.Failed(err)
		f.Alone = err
		return stepGoAlone
	}
	st, _ := wire.Decode(t.key, values[0])
	switch {
	case values[0] == nil:
		return stepLookAgain
	case st != nil && st.Kind == wire.KindLease && !f.Forced:
		if f.Waited && st.Failed > 0 {
			return stepGoAlone
		}
		return stepWaitFor
	}
	return f.take(ctx, t, values[0], st)
}

// await waits until a change of key is reported, or for about d.
func await(ctx context.Context, s *fleet.Collection, key string, d time.Duration) {
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

// Replace puts a result in the place of the lease's target, by swap. A Refresh
// counts more than one in another process that began before: it also replaces
// what took the target's place, which says so, as long as its lease is good.
// Nothing was invalidated in between, or the chain would be broken.
func (f *Run) Replace(ctx context.Context, t *Lease, swap func(old store.Token) error) error {
	lease := t.State()
	target := lease.Target
	for range fleet.MaxContradictions {
		err := swap(target)
		if !f.Forced || !lease.Refresh || !errors.Is(err, store.ErrConflict) {
			return err
		}
		values, _, failed := f.Collection.Read(ctx, storeclient.Unhurried(f.Timeout), []string{f.Key})
		if failed != nil {
			return failed
		}
		st, _ := wire.Decode(f.Key, values[0])
		if st == nil || st.Kind != wire.KindResult || st.Replaced != target || !t.owns(ctx) {
			return err
		}
		target = st.Token
	}
	return store.ErrConflict
}

// Write puts a record in the place of old when it is its turn to write. encode makes it
// then: the bytes of no more results than that are in memory.
func (f *Run) Write(ctx context.Context, old store.Token, ttl time.Duration, encode func() ([]byte, error)) error {
	by := storeclient.Unhurried(f.Timeout)
	end, err := f.Collection.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	value, err := encode()
	if err != nil {
		return err
	}
	return f.Collection.Do(ctx, f.Key, by.Remaining(), func(ctx context.Context) error {
		return f.Collection.Store.Swap(ctx, f.Key, old, value, ttl)
	})
}
