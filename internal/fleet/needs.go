package fleet

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A Need is an epoch that somebody needs to know.
type Need struct {
	Key     string
	Counter string // the key of the counter that its mark is of; empty for one without a mark

	Lists *wire.Version // the version that has to be listed there; nil for an epoch that is no function's
}

// met reports whether e is all that is needed.
func (n *Need) met(e *Epoch) bool { return n.Lists == nil || wire.Lists(e.versions, n.Lists) }

// Ensure makes sure that all needs are known, and returns
// them. Where the store holds nothing, an epoch is drawn: never a fixed one, for
// then results of an epoch that the store has dropped would be valid again. A
// version that is to be listed in an epoch is listed when ensure returns. What ensure
// writes is given that life.
func (k *Keyspace) Ensure(ctx context.Context, by storeclient.Deadline, life time.Duration, needs []Need) (map[string]Epoch, error) {
	found := make(map[string]Epoch, len(needs))
	// By how many are needed, not by how many are missing: those who come when some have
	// been drawn wait for the rest as well.
	if missing, _, err := k.missing(needs, found); err == nil && len(missing) > 0 && len(needs) > storeclient.MaxWrites {
		done, err := k.exclusively(ctx, by, manyEpochs)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	for range MaxContradictions {
		missing, keys, err := k.missing(needs, found)
		if err != nil || len(missing) == 0 {
			return found, err
		}
		values, sent, err := k.Read(ctx, by, keys)
		if err != nil {
			return nil, err
		}
		k.NoteEpochs(keys, values, sent)
		var writes errgroup.Group
		writes.SetLimit(storeclient.MaxWrites)
		for i, n := range missing {
			s, err := wire.Decode(n.Key, values[i])
			if err == nil {
				if e := epochOf(s, sent); n.met(&e) {
					found[n.Key] = e
					continue
				}
			}
			writes.Go(func() error { return k.meet(ctx, by, life, n, values[i]) })
		}
		if err := writes.Wait(); err != nil {
			return nil, err
		}
	}
	return nil, ErrUnsettled
}

// manyEpochs stands, where epochs are written by one goroutine at a time, for all of them.
// The results of a batch all need the epochs of all tags that fn has added: where those
// are many, the first result draws them, and the others find them known.
const manyEpochs = ""

// missing adds to found what is known of needs, and returns the rest, each once.
func (k *Keyspace) missing(needs []Need, found map[string]Epoch) (missing []Need, keys []string, err error) {
	seen := make(map[string]struct{}, len(needs))
	for _, n := range needs {
		if _, again := seen[n.Key]; again {
			continue
		}
		seen[n.Key] = struct{}{}
		if e, ok := k.Epoch(n.Key, clock.Now()); ok && (e.At == clock.Forever || n.met(&e)) {
			if found[n.Key] = e; e.At == clock.Forever {
				return nil, nil, ErrPending
			}
		} else if _, ok := found[n.Key]; !ok {
			missing, keys = append(missing, n), append(keys, n.Key)
		}
	}
	return missing, keys, nil
}

// ErrPending is why nothing is stored at the moment: the store has not heard yet that
// all there is of a function, or what has a tag, is invalid.
var ErrPending = errors.New("memo: an invalidation has not reached the store yet")

// ErrUnsettled is reported when others keep changing what a process tries to
// agree on with them. It counts as a store out of order for the one call.
var ErrUnsettled = errors.New("memo: the epochs in the store keep changing")

// meet writes what n needs in the place of what the store holds there: a new epoch if
// that is none, or the same one with n's version listed. That another process was
// faster is no error. Of the goroutines of this process that want the same, one
// writes.
func (k *Keyspace) meet(ctx context.Context, by storeclient.Deadline, life time.Duration, n Need, there []byte) error {
	done, err := k.exclusively(ctx, by, n.Key)
	if err != nil {
		return err
	}
	defer done()
	if e, known := k.Epoch(n.Key, clock.Now()); known && n.met(&e) {
		return nil
	}
	s, err := wire.Decode(n.Key, there)
	if err == nil && s.IsEpoch() {
		s = s.Listing(*n.Lists)
	} else if s, err = k.newEpoch(ctx, by, n); err != nil {
		return err
	} else {
		s.Life = life
	}
	end, err := k.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	err = k.writeEpoch(ctx, by, n.Key, there, s)
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// newEpoch returns a new epoch for n, where the store has lost the one there was.
func (k *Keyspace) newEpoch(ctx context.Context, by storeclient.Deadline, n Need) (*wire.Record, error) {
	s := wire.NewEpoch(wire.Mark{})
	switch {
	case n.Counter != "": // which has to be at least as late as the store's losing the epoch
		values, _, err := k.Read(ctx, by, []string{n.Counter})
		if err != nil {
			return nil, err
		}
		if t, err := wire.Decode(n.Counter, values[0]); err == nil {
			s.Mark = t.Mark
		}
	case k.isCounter(n.Key):
		s.Mark.Generation = store.NewToken()
	case n.Lists != nil:
		s = s.Listing(*n.Lists)
	}
	return s, nil
}

// epochOf returns what s, which was read as sent says, tells of an epoch.
func epochOf(s *wire.Record, sent Request) Epoch {
	return Epoch{Token: s.Epoch, Mark: s.Mark, versions: s.Versions, former: s.Former, lasts: s.Lasts(sent.At), At: sent.At, order: sent.Order, Known: clock.Now()}
}

// writeEpoch writes s in the place of there, and notes it. It changes nothing if
// something else is there by now: the error is store.ErrConflict or store.ErrExists.
func (k *Keyspace) writeEpoch(ctx context.Context, by storeclient.Deadline, key string, there []byte, s *wire.Record) error {
	s.Written = time.Now().Unix()
	e := epochOf(s, Request{At: clock.Now(), Order: k.NextOrder()})
	value, err := s.Encode(key, nil)
	if err != nil {
		return err
	}
	err = k.Do(ctx, key, by.Remaining(), func(ctx context.Context) error {
		if old, ok := store.TokenOf(there); ok {
			return k.Store.Swap(ctx, key, old, value, s.Life)
		}
		if there != nil { // too short to be anything of ours
			if err := k.Store.Delete(ctx, key); err != nil {
				return err
			}
		}
		return k.Store.Add(ctx, key, value, s.Life)
	})
	if err == nil {
		k.wrote(key, e)
	}
	return err
}

// exclusively waits until nobody else in this process writes the epoch under key, until
// by at most, and makes others wait until done is called.
func (k *Keyspace) exclusively(ctx context.Context, by storeclient.Deadline, key string) (done func(), err error) {
	var late <-chan time.Time
	if queue := by.Queue(); queue > 0 {
		timer := time.NewTimer(queue)
		defer timer.Stop()
		late = timer.C
	}
	for {
		k.mu.Lock()
		other := k.writers[key]
		if other == nil {
			mine := make(chan struct{})
			k.writers[key] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				defer k.mu.Unlock()
				delete(k.writers, key)
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-other:
		case <-late:
			return nil, storeclient.ErrBusy
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
