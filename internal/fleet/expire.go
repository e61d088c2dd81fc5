package fleet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// Expire ends the freshness of the results that the store has under keys, in every version of
// the function that is in use; stale is how long a result may be used from now on that
// was fresh for ever. What is of no use then is deleted, and with it the leases of those who
// execute. What fails is repeated as an invalidation until it succeeds.
//
// A result is replaced by itself under a new token, so that a refresh that has begun before
// does not find what it is to replace.
func (s *Collection) Expire(ctx context.Context, by storeclient.Deadline, stale time.Duration, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	last := s.LastPending()
	versions, err := s.VersionsInUse(ctx, by, s.Member)
	if err != nil || slices.ContainsFunc(keys, s.IsPending) { // what is to be deleted must not come back as what has expired
		return s.invalidateIn(ctx, by, versions, err, keys, 0)
	}
	all, unnamed := s.Reached(s.Version, versions, keys)
	failed := s.expireAll(ctx, by, stale, all)
	left := func(key string) bool { return failed[key] != nil }
	s.settle(left, last, PendingInvalidation{Version: s.Version, Owner: s.Scope[0].Key}, keys)
	s.settle(left, last, PendingInvalidation{Owner: s.Scope[0].Key}, all[len(keys):])
	for _, key := range all {
		err = cmp.Or(err, failed[key])
	}
	if unnamed {
		err = errors.Join(err, s.SetEpochs(ctx, by, s.Scope[0].Key, Change{Expires: true}, Need{Key: s.Scope[0].Key, Lists: &s.Version}))
	}
	s.Failed(err)
	return err
}

// expireAll does so for all keys, and returns why it has failed for some.
func (s *Collection) expireAll(ctx context.Context, by storeclient.Deadline, stale time.Duration, keys []string) map[string]error {
	values, _, err := s.Read(ctx, by, keys)
	errs := make([]error, len(keys))
	var writes errgroup.Group
	writes.SetLimit(storeclient.MaxWrites)
	for i, key := range keys {
		if storeclient.Concerns(err, key) {
			errs[i] = err
			continue
		}
		writes.Go(func() error {
			errs[i] = s.expire(ctx, by, stale, key, values[i])
			return nil
		})
	}
	writes.Wait()
	failed := map[string]error{}
	for i, key := range keys {
		if errs[i] != nil {
			failed[key] = errs[i]
		}
	}
	return failed
}

// expire does so for one key, where there is what the store has just told.
func (s *Collection) expire(ctx context.Context, by storeclient.Deadline, stale time.Duration, key string, there []byte) error {
	for range MaxRivals {
		if there == nil {
			return nil
		}
		old, _ := store.TokenOf(there)
		st, err := wire.Decode(key, there)
		if err != nil || st.Kind != wire.KindResult {
			return s.Client.Delete(ctx, by.Remaining(), key)
		}
		keep, ok := st.Expire(stale)
		if !ok {
			return s.Client.Delete(ctx, by.Remaining(), key)
		}
		value, err := st.Encode(key, func(b []byte) ([]byte, error) { return append(b, st.Payload...), nil })
		if err != nil {
			return err
		}
		err = s.Do(ctx, key, by.Remaining(), func(ctx context.Context) error { return s.Store.Swap(ctx, key, old, value, keep) })
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		values, _, err := s.Read(ctx, by, []string{key})
		if err != nil {
			return err
		}
		there = values[0]
	}
	return ErrUnsettled
}
