package fleet

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A PendingInvalidation is something that the store could not be told yet: that a key is deleted,
// or that an epoch is another one.
//
// Until the store has acknowledged it, this process does not believe the store: it does not read a
// key that is to be deleted, and takes for the epoch in force one that no entry
// has, and that it gives to none. Which epoch will be written is drawn anew at
// every attempt: one that arrives late must not be in force again.
type PendingInvalidation struct {
	epoch   bool
	mark    wire.Mark    // of the epoch
	Version wire.Version // of a key that is to be deleted in all versions; zero for one that is to be deleted alone
	Owner   string       // the key of the epoch of all results that it may be about
	id      uint64       // tells it from a later one of the same key
}

// maxPending bounds how many pending invalidations a keyspace has. Beyond that, those of each owner
// are replaced by one: everything of that function, or all that carries a tag of
// that group, is invalidated.
const maxPending = 4096

const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = time.Second
)

// AddPending notes an invalidation that the store was not told, and sees to it that it is repeated. For an epoch, e is the one in
// force until then.
func (k *Keyspace) AddPending(key string, d PendingInvalidation, e *Epoch) {
	k.mu.Lock()
	waiting := len(k.pending)
	_, again := k.pending[key]
	full := !again && waiting >= maxPending
	if full {
		k.merge()
	}
	k.addPending(key, d, e)
	if !k.retrying {
		k.retrying = true
		time.AfterFunc(firstRetry, func() { k.retryLater(firstRetry) })
	}
	k.mu.Unlock()
	if full {
		k.Logger().Warn("memo: too many invalidations wait for a store; everything of their functions and groups is invalidated instead",
			"store", k.Kind(), "waiting", waiting)
	}
}

// addPending notes a pending invalidation. The caller holds k.mu.
func (k *Keyspace) addPending(key string, d PendingInvalidation, e *Epoch) {
	k.lastPending++
	d.id = k.lastPending
	k.pending[key] = d
	if e != nil {
		k.order++
		k.epochs[key] = Epoch{Token: e.Token, At: clock.Forever, order: k.order}
	}
}

// merge replaces all pending invalidations by one for each owner; counters, of which there is
// one a group, stay. The caller holds k.mu.
func (k *Keyspace) merge() {
	owners := map[string]bool{}
	for key, d := range k.pending {
		owners[d.Owner] = true
		if !k.isCounter(key) {
			delete(k.pending, key)
			delete(k.epochs, key)
		}
	}
	for owner := range owners {
		e := epochOf(wire.NewEpoch(wire.Mark{}), Request{})
		k.addPending(owner, PendingInvalidation{epoch: true, Owner: owner}, &e)
	}
}

// LastPending returns the id of the newest pending invalidation, to be given to Acknowledge.
func (k *Keyspace) LastPending() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lastPending
}

// Acknowledge strikes out the pending invalidation of key, unless it is newer than last: the store has
// just been told something that began after that.
func (k *Keyspace) Acknowledge(key string, last uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	d, ok := k.pending[key]
	if !ok || d.id > last {
		return
	}
	delete(k.pending, key)
	k.forgetPending(key)
}

// forgetPending has the store asked for an epoch from now on of which it had to be told. The caller
// holds k.mu.
func (k *Keyspace) forgetPending(key string) {
	if k.epochs[key].At == clock.Forever {
		k.distrust(key)
	}
}

// Untold counts what packages above have not been able to tell a store yet, beside what is
// pending in keyspaces.
var Untold atomic.Int64

// Pending returns how many invalidations of the process are pending.
func Pending() int {
	n := int(Untold.Load())
	for _, k := range inUse() {
		k.mu.Lock()
		n += len(k.pending)
		k.mu.Unlock()
	}
	return n
}

// IsPending reports whether what the store holds under key is known to be old.
func (k *Keyspace) IsPending(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	d, ok := k.pending[key]
	return ok && !d.epoch
}

// hasPending reports whether there is a pending invalidation under key, also of an epoch.
func (k *Keyspace) hasPending(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.pending[key]
	return ok
}

// retryLater tells the store what it has to be told. It runs in a goroutine of a
// timer, ends when it is done or the store fails, and then tries again after
// wait, doubled.
func (k *Keyspace) retryLater(wait time.Duration) {
	err := k.retry()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case len(k.pending) == 0:
		k.retrying = false
		return
	case err != nil:
		wait = min(2*wait, maxRetry)
	default:
		wait = firstRetry
	}
	time.AfterFunc(wait, func() { k.retryLater(wait) })
}

// retry repeats what is pending, of each shard of the store until something fails there, and
// returns why something is left. Counters come before the other epochs: an epoch must not be seen
// before the counter that it says it was drawn at. A key that the store refuses holds up no other.
func (k *Keyspace) retry() error {
	k.mu.Lock()
	open := maps.Clone(k.pending)
	k.mu.Unlock()
	var deletes, counters, epochs []string
	for key, d := range open {
		switch {
		case !d.epoch:
			deletes = append(deletes, key)
		case k.isCounter(key):
			counters = append(counters, key)
		default:
			epochs = append(epochs, key)
		}
	}
	down := map[string]bool{} // shards where something has failed
	repeat := func(keys []string, retry func(map[string]PendingInvalidation, []string) error) (left error) {
		for shard, keys := range k.ByShard(keys) {
			if down[shard] {
				left = cmp.Or(left, storeclient.ErrOut)
				continue
			}
			err := retry(open, keys)
			down[shard] = err != nil && !errors.Is(err, store.ErrRefused)
			left = cmp.Or(left, err)
		}
		return left
	}
	left := repeat(deletes, k.retryDeletes)
	if err := repeat(counters, k.retryEpochs); err != nil {
		return err
	}
	err := repeat(epochs, k.retryEpochs)
	return cmp.Or(left, err)
}

// retryEpochs begins epochs until something fails.
func (k *Keyspace) retryEpochs(pending map[string]PendingInvalidation, keys []string) (refused error) {
	for _, key := range keys {
		err := k.retryEpoch(pending, key)
		if refused = cmp.Or(refused, err); err != nil && !errors.Is(err, store.ErrRefused) {
			return err
		}
	}
	return refused
}

func (k *Keyspace) retryEpoch(pending map[string]PendingInvalidation, key string) error {
	by := storeclient.DeadlineIn(k.LongestTimeout())
	values, _, err := k.Read(context.Background(), by, []string{key})
	if err == nil {
		err = k.beginEpoch(context.Background(), by, Change{Mark: pending[key].mark}, Need{Key: key}, values[0])
	}
	if err == nil {
		k.acknowledge(pending, key)
		k.Publish(key)
	}
	return err
}

// retryDeletes deletes keys until something fails. For one key that the store refuses it may
// have refused others, which are then deleted one by one.
func (k *Keyspace) retryDeletes(pending map[string]PendingInvalidation, keys []string) (refused error) {
	for some := range slices.Chunk(keys, 100) {
		err := k.retryDelete(pending, some)
		if errors.Is(err, store.ErrRefused) && len(some) > 1 {
			err = nil
			for _, key := range some {
				one := k.retryDelete(pending, []string{key})
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

// retryDelete deletes some keys, in every version that the store lists by now.
func (k *Keyspace) retryDelete(pending map[string]PendingInvalidation, some []string) error {
	by := storeclient.DeadlineIn(k.LongestTimeout())
	all, unnamed, err := k.reachedNow(by, pending, some)
	if err != nil {
		return err
	}
	err = k.Client.Delete(context.Background(), by.Remaining(), all...)
	if err == nil && len(unnamed) > 0 {
		err = k.SetEpochs(context.Background(), by, unnamed[0].Key, Change{}, unnamed...)
	}
	if err == nil {
		k.acknowledge(pending, some...)
		k.Publish(all...)
	}
	return err
}

// reachedNow asks which versions of their functions those pending invalidations are to reach. It returns
// their keys, and the epochs of functions whose versions have others that nobody can tell.
func (k *Keyspace) reachedNow(by storeclient.Deadline, pending map[string]PendingInvalidation, keys []string) (all []string, unnamed []Need, err error) {
	var owners []string
	for _, key := range keys {
		if owner := pending[key].Owner; !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	values, _, err := k.Read(context.Background(), by, owners)
	if err != nil {
		return nil, nil, err
	}
	for i, owner := range owners {
		listed, _ := wire.Decode(owner, values[i])
		untold := false
		for _, key := range keys {
			if d := pending[key]; d.Owner == owner {
				its, some := k.Reached(d.Version, listed.Listed(), []string{key})
				all, untold = append(all, its...), untold || some
			}
		}
		if untold {
			unnamed = append(unnamed, Need{Key: owner})
		}
	}
	return all, unnamed, nil
}

// acknowledge strikes out the pending invalidations of keys, unless others have taken their place.
func (k *Keyspace) acknowledge(pending map[string]PendingInvalidation, keys ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		if k.pending[key].id != pending[key].id {
			continue
		}
		delete(k.pending, key)
		k.forgetPending(key)
	}
}
