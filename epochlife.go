package memo

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/store"
)

// An epoch lives in the store for longer than every result that records it: where one
// has gone, a new one is drawn, and such results are executed again. So before a result
// is stored that would outlive an epoch, this is written anew. It is given epochLives
// times the life of the result and a minute, so that most results find it to last; when
// nothing records it any more, it goes by itself.
//
// Clocks of different machines tell how long an epoch still lasts. That decides only
// about work: an epoch that has gone too early makes nothing valid.
const (
	epochLives   = 3
	minEpochLife = time.Minute
)

// epochLife returns the life of an epoch for results that live for d: in whole seconds,
// zero for no end.
func epochLife(d time.Duration) time.Duration {
	if d > math.MaxInt64/(2*epochLives) {
		return 0
	}
	return (epochLives*d + minEpochLife + time.Second - 1).Truncate(time.Second)
}

// epochLife returns the life of the epochs that p's results record, as far as p tells.
func (p *policy) epochLife() time.Duration {
	if p.TTL == Forever || p.TTL > Forever-p.Stale() {
		return 0
	}
	return epochLife(p.TTL + p.Stale())
}

// lasts returns until when the store keeps s, an epoch that it was asked for at asked.
func (s *stored) lasts(asked int64) int64 {
	if s.life == 0 {
		return clock.Forever
	}
	age := max(time.Since(time.Unix(s.written, 0)), 0)
	return clock.After(asked, s.life-age)
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
func (r *realm) prolong(ctx context.Context, by deadline, life time.Duration, keys map[string]bool) error {
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
		slots := make(chan struct{}, maxWriting)
		for i, key := range short {
			s, err := decodeEntry(key, values[i])
			if err != nil || !s.isEpoch() || s.lasts(sent.at) >= until {
				delete(keys, key)
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				errs[i] = r.prolongOne(ctx, by, key, values[i], s.living(life), until)
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// living returns s, an epoch, with a life for results that live for life: the same epoch.
// It ends later than s does, which would not have lasted for one of them.
func (s *stored) living(life time.Duration) *stored {
	next := *s
	next.token, next.kind, next.life = store.NewToken(), kindEpoch, 0
	if life != 0 {
		next.life = epochLife(life)
	}
	return &next
}

// prolongOne writes next, the epoch under key that is to last until then, in the place of
// there. That another process was faster is no error.
func (r *realm) prolongOne(ctx context.Context, by deadline, key string, there []byte, next *stored, until int64) error {
	done, err := r.writeAlone(ctx, by, key)
	if err != nil {
		return err
	}
	defer done()
	if r.lasting(key, until) {
		return nil
	}
	end, err := r.takeTurn(ctx, by)
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
