package memo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// epochLife returns the life of the epochs that p's results record, as far as p tells.
func (p *policy) epochLife() time.Duration {
	if p.TTL == Forever || p.TTL > Forever-p.Stale() {
		return 0
	}
	return wire.EpochLife(p.TTL + p.Stale())
}

// lasting reports whether the epoch under key is known to be kept until then.
func (r *realm) lasting(key string, until int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, known := r.readings[key]
	return known && e.at != unknown && e.lasts >= until
}

// prolong makes the epochs under keys last as long as a result that lives for life, from
// now on. Those that have gone are left alone.
func (r *realm) prolong(ctx context.Context, by storeclient.Deadline, life time.Duration, keys map[string]bool) error {
	until := clock.Forever
	if life != 0 {
		until = clock.After(clock.Now(), life)
	}
	for range contradictions { // others may write them at the same time
		var short []string
		for key := range keys {
			if !r.lasting(key, until) {
				short = append(short, key)
			}
		}
		if len(short) == 0 {
			return nil
		}
		values, sent, err := r.readNoting(ctx, by, short)
		if err != nil {
			return err
		}
		r.noteEpochs(short, values, sent)
		errs := make([]error, len(short))
		var wg sync.WaitGroup
		slots := make(chan struct{}, storeclient.MaxWrites)
		for i, key := range short {
			s, err := wire.Decode(key, values[i])
			if err != nil || !s.IsEpoch() || s.Lasts(sent.at) >= until {
				delete(keys, key)
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				errs[i] = r.prolongOne(ctx, by, key, values[i], s.Living(life), until)
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// prolongOne writes next, the epoch under key that is to last until then, in the place of
// there. That another process was faster is no error.
func (r *realm) prolongOne(ctx context.Context, by storeclient.Deadline, key string, there []byte, next *wire.Record, until int64) error {
	done, err := r.writeAlone(ctx, by, key)
	if err != nil {
		return err
	}
	defer done()
	if r.lasting(key, until) {
		return nil
	}
	end, err := r.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	err = r.writeEpoch(ctx, by, key, there, next)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
		r.forgetEpoch(key)
		return nil
	}
	return err
}

// recorded returns the keys of the epochs that have to last as long as e, the result of
// an execution that began with epochs.
func (s *shared) recorded(e *entry, epochs map[string]reading) map[string]bool {
	keys := make(map[string]bool, len(epochs)+len(e.fences))
	for key := range epochs {
		keys[key] = true
	}
	for _, f := range e.fences {
		if f.realm == s.realm {
			keys[f.key] = true
		}
	}
	return keys
}
