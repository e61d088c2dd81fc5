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

// lasting reports whether the epoch under key is known to be kept until then.
func (k *Keyspace) lasting(key string, until int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, known := k.epochs[key]
	return known && e.At != unknown && e.lasts >= until
}

// Prolong makes the epochs under keys last as long as a result that lives for life, from
// now on. Those that have gone are left alone.
func (k *Keyspace) Prolong(ctx context.Context, by storeclient.Deadline, life time.Duration, keys map[string]bool) error {
	until := clock.Forever
	if life != 0 {
		until = clock.After(clock.Now(), life)
	}
	for range MaxContradictions { // others may write them at the same time
		var short []string
		for key := range keys {
			if !k.lasting(key, until) {
				short = append(short, key)
			}
		}
		if len(short) == 0 {
			return nil
		}
		values, sent, err := k.Read(ctx, by, short)
		if err != nil {
			return err
		}
		k.NoteEpochs(short, values, sent)
		var writes errgroup.Group
		writes.SetLimit(storeclient.MaxWrites)
		for i, key := range short {
			s, err := wire.Decode(key, values[i])
			if err != nil || !s.IsEpoch() || s.Lasts(sent.At) >= until {
				delete(keys, key)
				continue
			}
			writes.Go(func() error { return k.prolongOne(ctx, by, key, values[i], s.Living(life), until) })
		}
		if err := writes.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// prolongOne writes next, the epoch under key that is to last until then, in the place of
// there. That another process was faster is no error.
func (k *Keyspace) prolongOne(ctx context.Context, by storeclient.Deadline, key string, there []byte, next *wire.Record, until int64) error {
	done, err := k.exclusively(ctx, by, key)
	if err != nil {
		return err
	}
	defer done()
	if k.lasting(key, until) {
		return nil
	}
	end, err := k.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	err = k.writeEpoch(ctx, by, key, there, next)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
		k.forgetEpoch(key)
		return nil
	}
	return err
}
