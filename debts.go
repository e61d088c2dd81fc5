package memo

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A debt is something that the store could not be told yet: that a key is deleted,
// or that an epoch is another one.
//
// Until it is paid, this process does not believe the store: it does not read a
// key that is to be deleted, and takes for the epoch in force one that no entry
// has, and that it gives to none. Which epoch will be written is drawn anew at
// every attempt: one that arrives late must not be in force again.
type debt struct {
	epoch   bool
	mark    wire.Mark    // of the epoch
	version wire.Version // of a key that is to be deleted in all versions; zero for one that is to be deleted alone
	owner   string       // the key of the epoch of all results that it may be about
	id      uint64       // tells it from a later debt for the same key
}

// maxDebts bounds how many debts a realm has. Beyond that, those of each owner
// are replaced by one: everything of that function, or all that carries a tag of
// that group, is invalidated.
const maxDebts = 4096

const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = time.Second
)

// owe notes a debt, and sees to its being paid. For an epoch, e is the one in
// force until then.
func (r *realm) owe(key string, d debt, e *reading) {
	r.mu.Lock()
	waiting := len(r.debts)
	_, again := r.debts[key]
	full := !again && waiting >= maxDebts
	if full {
		r.consolidate()
	}
	r.addDebt(key, d, e)
	if !r.retrying {
		r.retrying = true
		time.AfterFunc(firstRetry, func() { r.payDebts(firstRetry) })
	}
	r.mu.Unlock()
	if full {
		r.Logger().Warn("memo: too many invalidations wait for a store; everything of their functions and groups is invalidated instead",
			"store", r.Kind(), "waiting", waiting)
	}
}

// addDebt notes a debt. The caller holds r.mu.
func (r *realm) addDebt(key string, d debt, e *reading) {
	r.lastDebt++
	d.id = r.lastDebt
	r.debts[key] = d
	if e != nil {
		r.order++
		r.readings[key] = reading{epoch: e.epoch, at: clock.Forever, order: r.order}
	}
}

// consolidate replaces all debts by one for each owner; turns, of which there is
// one a group, stay. The caller holds r.mu.
func (r *realm) consolidate() {
	owners := map[string]bool{}
	for key, d := range r.debts {
		owners[d.owner] = true
		if !r.isTurn(key) {
			delete(r.debts, key)
			delete(r.readings, key)
		}
	}
	for owner := range owners {
		e := readingOf(wire.NewEpoch(wire.Mark{}), sending{})
		r.addDebt(owner, debt{epoch: true, owner: owner}, &e)
	}
}

// lastDebtNow returns the id of the newest debt, to be given to forgive.
func (r *realm) lastDebtNow() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastDebt
}

// forgive strikes out the debt for key, unless it is newer than last: the store has
// just been told something that began after that.
func (r *realm) forgive(key string, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.debts[key]
	if !ok || d.id > last {
		return
	}
	delete(r.debts, key)
	r.forgetOwed(key)
}

// forgetOwed has the store asked for an epoch from now on that was owed. The caller
// holds r.mu.
func (r *realm) forgetOwed(key string) {
	if r.readings[key].at == clock.Forever {
		r.distrust(key)
	}
}

// disbelieves reports whether what the store holds under key is known to be old.
func (r *realm) disbelieves(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.debts[key]
	return ok && !d.epoch
}

// payDebts tells the store what it has to be told. It runs in a goroutine of a
// timer, ends when it is done or the store fails, and then tries again after
// wait, doubled.
func (r *realm) payDebts(wait time.Duration) {
	err := r.pay()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.debts) == 0:
		r.retrying = false
		return
	case err != nil:
		wait = min(2*wait, maxRetry)
	default:
		wait = firstRetry
	}
	time.AfterFunc(wait, func() { r.payDebts(wait) })
}

// pay pays until something fails, and returns why something is left. Turns come first: an
// epoch must not be seen before the turn that it says it was drawn at. A key that the store
// refuses holds up no other.
func (r *realm) pay() error {
	r.mu.Lock()
	open := maps.Clone(r.debts)
	r.mu.Unlock()
	var deletes, turns, epochs []string
	for key, d := range open {
		switch {
		case !d.epoch:
			deletes = append(deletes, key)
		case r.isTurn(key):
			turns = append(turns, key)
		default:
			epochs = append(epochs, key)
		}
	}
	refused := r.payDeletes(open, deletes)
	if refused != nil && !errors.Is(refused, store.ErrRefused) {
		return refused
	}
	for _, keys := range [][]string{turns, epochs} {
		for _, key := range keys {
			err := r.payEpoch(open, key)
			if refused = cmp.Or(refused, err); err != nil && !errors.Is(err, store.ErrRefused) {
				return err
			}
		}
		if len(turns) > 0 && refused != nil {
			return refused
		}
	}
	return refused
}

func (r *realm) payEpoch(debts map[string]debt, key string) error {
	by := storeclient.DeadlineIn(r.LongestTimeout())
	values, _, err := r.readNoting(context.Background(), by, []string{key})
	if err == nil {
		err = r.beginEpoch(context.Background(), by, debts[key].mark, need{key: key}, values[0])
	}
	if err == nil {
		r.paid(debts, key)
	}
	return err
}

// payDeletes deletes keys until something fails. For one key that the store refuses it may
// have refused others, which are then deleted one by one.
func (r *realm) payDeletes(debts map[string]debt, keys []string) (refused error) {
	for some := range slices.Chunk(keys, 100) {
		err := r.payDelete(debts, some)
		if errors.Is(err, store.ErrRefused) && len(some) > 1 {
			err = nil
			for _, key := range some {
				one := r.payDelete(debts, []string{key})
				if err = cmp.Or(err, one); one != nil && !errors.Is(one, store.ErrRefused) {
					return one
				}
			}
		}
		if refused = cmp.Or(refused, err); err != nil && !errors.Is(err, store.ErrRefused) {
			return err
		}
	}
	return refused
}

// payDelete deletes some keys, in every version that the store lists by now.
func (r *realm) payDelete(debts map[string]debt, some []string) error {
	by := storeclient.DeadlineIn(r.LongestTimeout())
	all, unnamed, err := r.reachedNow(by, debts, some)
	if err != nil {
		return err
	}
	err = r.Do(context.Background(), by.Remaining(), func(ctx context.Context) error { return r.Store.Delete(ctx, all...) })
	if err == nil && len(unnamed) > 0 {
		err = r.setEpochs(context.Background(), by, unnamed[0].key, wire.Mark{}, unnamed...)
	}
	if err == nil {
		r.paid(debts, some...)
	}
	return err
}

// reachedNow asks which versions of their functions those debts are to reach. It returns
// their keys, and the epochs of functions whose versions have others that nobody can tell.
func (r *realm) reachedNow(by storeclient.Deadline, debts map[string]debt, keys []string) (all []string, unnamed []need, err error) {
	var owners []string
	for _, key := range keys {
		if owner := debts[key].owner; !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	values, _, err := r.readNoting(context.Background(), by, owners)
	if err != nil {
		return nil, nil, err
	}
	for i, owner := range owners {
		listed, _ := wire.Decode(owner, values[i])
		untold := false
		for _, key := range keys {
			if d := debts[key]; d.owner == owner {
				its, some := r.reached(d.version, listed.Listed(), []string{key})
				all, untold = append(all, its...), untold || some
			}
		}
		if untold {
			unnamed = append(unnamed, need{key: owner})
		}
	}
	return all, unnamed, nil
}

// paid strikes out the debts for keys, unless others have taken their place.
func (r *realm) paid(debts map[string]debt, keys ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		if r.debts[key].id != debts[key].id {
			continue
		}
		delete(r.debts, key)
		r.forgetOwed(key)
	}
}
