package memotest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/store"
)

// A FaultyStore does what the store behind it does until it is told to fail. Faults add up:
// with Latency and Fail operations fail late. It implements [store.MultiGetter],
// [store.Pinger] and, as far as the store behind it does, [store.Notifier].
//
// Make one with [Faulty]. All methods are safe for concurrent use.
type FaultyStore struct {
	inner      store.Store
	operations atomic.Uint64

	mu     sync.Mutex
	faults faults // guarded by mu
}

// faults are what a store is told to do wrong.
type faults struct {
	latency, late time.Duration
	err           error
	lose, garbage bool
	hole          chan struct{} // closed when the black hole ends; nil without one
}

// Faulty returns a store that does what s does.
func Faulty(s store.Store) *FaultyStore { return &FaultyStore{inner: s} }

func (f *FaultyStore) set(change func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.faults)
}

// Latency makes every operation take d longer, or fail with its context's error when that ends
// before. Zero ends it.
func (f *FaultyStore) Latency(d time.Duration) { f.set(func(now *faults) { now.latency = d }) }

// Fail makes every operation return err without taking place. A nil err ends it.
func (f *FaultyStore) Fail(err error) { f.set(func(now *faults) { now.err = err }) }

// LoseWrites makes writes and deletions succeed without taking place, as with a server that
// fails before it has passed them on.
func (f *FaultyStore) LoseWrites(on bool) { f.set(func(now *faults) { now.lose = on }) }

// LateWrites makes writes and deletions take place d after they were sent, whatever has become
// of their callers by then: a packet was on its way for that long. Zero ends it for those
// that are sent from then on.
func (f *FaultyStore) LateWrites(d time.Duration) { f.set(func(now *faults) { now.late = d }) }

// BlackHole makes operations wait until their contexts end, or until it is turned off.
func (f *FaultyStore) BlackHole(on bool) {
	f.set(func(now *faults) {
		if on == (now.hole != nil) {
			return
		}
		if on {
			now.hole = make(chan struct{})
		} else {
			close(now.hole)
			now.hole = nil
		}
	})
}

// Garbage makes reads return bytes that nobody has written, where there is something.
func (f *FaultyStore) Garbage(on bool) { f.set(func(now *faults) { now.garbage = on }) }

// Heal ends all faults.
func (f *FaultyStore) Heal() {
	f.BlackHole(false)
	f.set(func(now *faults) { *now = faults{} })
}

// Operations returns how many operations there have been, failed ones among them. A read of
// several keys is one.
func (f *FaultyStore) Operations() uint64 { return f.operations.Load() }

// garbage is long enough to have a token, and is nothing that memo writes.
var garbage = []byte("these bytes were written by somebody else, and mean nothing")

// do does one operation.
func (f *FaultyStore) do(ctx context.Context, writes bool, op func(context.Context) error) error {
	f.operations.Add(1)
	f.mu.Lock()
	now := f.faults
	f.mu.Unlock()
	if now.hole != nil {
		select {
		case <-now.hole:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if now.latency > 0 {
		timer := time.NewTimer(now.latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	switch {
	case now.err != nil:
		return now.err
	case writes && now.lose:
		return nil
	case writes && now.late > 0:
		return late(ctx, now.late, op)
	}
	return op(ctx)
}

// late does op after d. Its goroutine ends with that.
func late(ctx context.Context, d time.Duration, op func(context.Context) error) error {
	done := make(chan error, 1)
	time.AfterFunc(d, func() { done <- op(context.WithoutCancel(ctx)) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read does an operation that reads, and then what Garbage says.
func (f *FaultyStore) read(ctx context.Context, op func(context.Context) error, spoil func()) error {
	err := f.do(ctx, false, op)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults.garbage {
		spoil()
	}
	return err
}

// Get implements [store.Store].
func (f *FaultyStore) Get(ctx context.Context, key string) (value []byte, err error) {
	err = f.read(ctx, func(ctx context.Context) (err error) {
		value, err = f.inner.Get(ctx, key)
		return err
	}, func() {
		if value != nil {
			value = append([]byte(nil), garbage...)
		}
	})
	return value, err
}

// GetMulti implements [store.MultiGetter].
func (f *FaultyStore) GetMulti(ctx context.Context, keys []string) (values map[string][]byte, err error) {
	values = map[string][]byte{}
	err = f.read(ctx, func(ctx context.Context) (err error) {
		values, err = store.GetMulti(ctx, f.inner, keys)
		return err
	}, func() {
		for key := range values {
			values[key] = append([]byte(nil), garbage...)
		}
	})
	return values, err
}

// Set implements [store.Store].
func (f *FaultyStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	value = append([]byte(nil), value...) // which may be written when the caller has it back
	return f.do(ctx, true, func(ctx context.Context) error { return f.inner.Set(ctx, key, value, ttl) })
}

// Add implements [store.Store].
func (f *FaultyStore) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	value = append([]byte(nil), value...)
	return f.do(ctx, true, func(ctx context.Context) error { return f.inner.Add(ctx, key, value, ttl) })
}

// Swap implements [store.Store].
func (f *FaultyStore) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	value = append([]byte(nil), value...)
	return f.do(ctx, true, func(ctx context.Context) error { return f.inner.Swap(ctx, key, old, value, ttl) })
}

// Delete implements [store.Store].
func (f *FaultyStore) Delete(ctx context.Context, keys ...string) error {
	keys = append([]string(nil), keys...)
	return f.do(ctx, true, func(ctx context.Context) error { return f.inner.Delete(ctx, keys...) })
}

// Ping implements [store.Pinger].
func (f *FaultyStore) Ping(ctx context.Context) error {
	return f.do(ctx, false, func(ctx context.Context) error { return store.Ping(ctx, f.inner) })
}

// Shard implements [store.Sharder].
func (f *FaultyStore) Shard(key string) string { return store.Shard(f.inner, key) }

// Notify implements [store.Notifier]. The error wraps [errors.ErrUnsupported] if the store
// behind cannot notify. Faults do not touch notifications.
func (f *FaultyStore) Notify(ctx context.Context, prefix string, sink store.Sink) (stop func(), err error) {
	return store.Notify(ctx, f.inner, prefix, sink)
}

var (
	_ store.MultiGetter = (*FaultyStore)(nil)
	_ store.Pinger      = (*FaultyStore)(nil)
	_ store.Notifier    = (*FaultyStore)(nil)
	_ store.Sharder     = (*FaultyStore)(nil)
)
