package memo

import (
	"context"
	"maps"
	"slices"
	"time"
)

// A debt is something that the store could not be told yet: that a key is
// deleted or, where value is not nil, that it holds value.
//
// Until it is paid, this process does not believe the store: it does not read a
// key that is to be deleted, and takes an epoch that is to be written for the
// one in force, which no entry in the store has.
type debt struct {
	value []byte
	owner string // the epoch of the function or group whose results it is about
	id    uint64 // tells it from a later debt for the same key
}

// maxDebts bounds how many debts a realm has. Beyond that, those of each owner
// are replaced by one: everything of that function or group is cleared.
const maxDebts = 4096

const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = time.Second
)

// owe notes a debt, and sees to its being paid.
func (r *realm) owe(key string, d debt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again := r.debts[key]; !again && len(r.debts) >= maxDebts {
		r.consolidate()
	}
	r.lastDebt++
	d.id = r.lastDebt
	r.debts[key] = d
	if !r.retrying {
		r.retrying = true
		time.AfterFunc(firstRetry, func() { r.payDebts(firstRetry) })
	}
}

// consolidate replaces all debts by one for each owner; turns, of which there is
// one a group, stay. The caller holds r.mu.
func (r *realm) consolidate() {
	r.logger().Warn("memo: too many invalidations wait for a store; everything of their functions and groups is invalidated instead",
		"store", r.kind(), "waiting", len(r.debts))
	owners := map[string]bool{}
	for key, d := range r.debts {
		owners[d.owner] = true
		if !r.isTurn(key) {
			delete(r.debts, key)
			delete(r.readings, key)
		}
	}
	for owner := range owners {
		e, value := r.newEpoch(owner, mark{})
		e.at = forever
		r.readings[owner] = e
		r.lastDebt++
		r.debts[owner] = debt{value: value, owner: owner, id: r.lastDebt}
	}
}

// forgive strikes out the debt for key: the store has just been told something
// newer.
func (r *realm) forgive(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.debts, key)
	if e := r.readings[key]; e.at == forever {
		delete(r.readings, key)
	}
}

// disbelieves reports whether what the store holds under key is known to be old.
func (r *realm) disbelieves(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.debts[key]
	return ok && d.value == nil
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

// pay pays until something fails. Turns come first: an epoch must not be seen
// before the turn that it says it was drawn at.
func (r *realm) pay() error {
	r.mu.Lock()
	open := maps.Clone(r.debts)
	r.mu.Unlock()
	var deletes, turns, epochs []string
	for key, d := range open {
		switch {
		case d.value == nil:
			deletes = append(deletes, key)
		case r.isTurn(key):
			turns = append(turns, key)
		default:
			epochs = append(epochs, key)
		}
	}
	for some := range slices.Chunk(deletes, 100) {
		err := r.write(context.Background(), defaultStoreTimeout, func(ctx context.Context) error { return r.store.Delete(ctx, some...) })
		if err != nil {
			return err
		}
		r.paid(open, some...)
	}
	for _, key := range append(turns, epochs...) {
		err := r.write(context.Background(), defaultStoreTimeout, func(ctx context.Context) error {
			return r.store.Set(ctx, key, open[key].value, r.epochTTL(key))
		})
		if err != nil {
			return err
		}
		r.paid(open, key)
	}
	return nil
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
		if e, ok := r.readings[key]; ok && e.at == forever {
			e.at = now() // from now on the store may be asked
			r.readings[key] = e
		}
	}
}
