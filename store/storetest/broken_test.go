package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// faulty is the reference with methods replaced.
type faulty struct {
	*memstore.Store
	get    getFunc
	set    setFunc
	add    setFunc
	swap   swapFunc
	del    deleteFunc
	multi  multiFunc
	ping   func(context.Context) error
	notify notifyFunc
	shard  func(key string) string
}

type (
	getFunc    func(ctx context.Context, key string) ([]byte, error)
	setFunc    func(ctx context.Context, key string, value []byte, ttl time.Duration) error
	swapFunc   func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error
	deleteFunc func(ctx context.Context, keys ...string) error
	multiFunc  func(ctx context.Context, keys []string) (map[string][]byte, error)
	notifyFunc func(ctx context.Context, prefix string, sink store.Sink) (func(), error)
)

func (f *faulty) Get(ctx context.Context, key string) ([]byte, error) { return f.get(ctx, key) }

func (f *faulty) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return f.set(ctx, key, value, ttl)
}

func (f *faulty) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return f.add(ctx, key, value, ttl)
}

func (f *faulty) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	return f.swap(ctx, key, old, value, ttl)
}

func (f *faulty) Delete(ctx context.Context, keys ...string) error { return f.del(ctx, keys...) }

func (f *faulty) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	return f.multi(ctx, keys)
}

func (f *faulty) Prompt() store.Store { return f }

func (f *faulty) Ping(ctx context.Context) error { return f.ping(ctx) }

func (f *faulty) Notify(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
	return f.notify(ctx, prefix, sink)
}

func (f *faulty) Shard(key string) string { return f.shard(key) }

// broken returns a constructor of the reference as change leaves it. m is the
// reference itself.
func broken(change func(f *faulty, m *memstore.Store)) func() store.Store {
	return func() store.Store {
		m := memstore.New(nil)
		f := &faulty{
			Store: m, get: m.Get, set: m.Set, add: m.Add, swap: m.Swap, del: m.Delete, multi: m.GetMulti, notify: m.Notify,
			ping:  func(ctx context.Context) error { return store.Ping(ctx, m) },
			shard: func(string) string { return "" },
		}
		change(f, m)
		return f
	}
}

// brokenTTL makes something else of every ttl.
func brokenTTL(change func(time.Duration) time.Duration) func() store.Store {
	return broken(func(f *faulty, m *memstore.Store) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			return m.Set(ctx, key, value, change(ttl))
		}
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			return m.Add(ctx, key, value, change(ttl))
		}
		f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
			return m.Swap(ctx, key, old, value, change(ttl))
		}
	})
}

// brokenKeys makes something else of every key, or refuses it as change says.
func brokenKeys(change func(string) (string, error)) func() store.Store {
	return broken(func(f *faulty, m *memstore.Store) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			k, err := change(key)
			if err != nil {
				return nil, err
			}
			return m.Get(ctx, k)
		}
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			k, err := change(key)
			if err != nil {
				return err
			}
			return m.Set(ctx, k, value, ttl)
		}
		f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			k, err := change(key)
			if err != nil {
				return err
			}
			return m.Add(ctx, k, value, ttl)
		}
		f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
			k, err := change(key)
			if err != nil {
				return err
			}
			return m.Swap(ctx, k, old, value, ttl)
		}
		f.del = func(ctx context.Context, keys ...string) error {
			for _, key := range keys {
				k, err := change(key)
				if err != nil {
					return err
				}
				if err := m.Delete(ctx, k); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

// brokenValues makes something else of every value that is Set.
func brokenValues(change func([]byte) []byte) func() store.Store {
	return broken(func(f *faulty, m *memstore.Store) {
		f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
			return m.Set(ctx, key, change(value), ttl)
		}
	})
}

// brokenSink puts something between the store and its sinks.
func brokenSink(change func(store.Sink) store.Sink) func() store.Store {
	return broken(func(f *faulty, m *memstore.Store) {
		f.notify = func(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
			return m.Notify(ctx, prefix, change(sink))
		}
	})
}

// firstOnly passes on the first key of each report.
type firstOnly struct{ store.Sink }

func (s firstOnly) Changed(keys []string) { s.Sink.Changed(keys[:1]) }

// twice passes on each report two times.
type twice struct{ store.Sink }

func (s twice) Changed(keys []string) {
	s.Sink.Changed(keys)
	s.Sink.Changed(keys)
}

// belated passes on reports a little later.
type belated struct{ store.Sink }

func (s belated) Changed(keys []string) {
	go func() {
		pause()
		s.Sink.Changed(keys)
	}()
}

// silent passes on no change.
type silent struct{ store.Sink }

func (silent) Changed([]string) {}

// neverUp passes on no Up.
type neverUp struct{ store.Sink }

func (neverUp) Up(bool) {}

// pause lets all other goroutines of the bubble go on until they block.
func pause() { time.Sleep(time.Millisecond) }

func refuse(bad func(key string) bool) func(string) (string, error) {
	return func(key string) (string, error) {
		if bad(key) {
			return "", store.ErrRefused
		}
		return key, nil
	}
}

func rewrite(f func(string) string) func(string) (string, error) {
	return func(key string) (string, error) { return f(key), nil }
}

// shared makes every reading of one value under one key return the same slice.
type shared struct{ slices sync.Map }

func (s *shared) slice(key string, value []byte) []byte {
	v, _ := s.slices.LoadOrStore(key+string(value), value)
	return v.([]byte)
}

// brokenStores each break a rule, and name cases that must notice. Every case is
// named at least once.
var brokenStores = []struct {
	breaks   string
	new      func() store.Store
	caps     []Capability
	caughtBy []string
}{
	{
		breaks:   "names another shard each time",
		caughtBy: []string{"ability/shard"},
		new: broken(func(f *faulty, m *memstore.Store) {
			var asked atomic.Int64
			f.shard = func(string) string { return strconv.FormatInt(asked.Add(1), 10) }
		}),
	},
	{
		breaks: "returns nothing and no error for an absent key",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.get = func(ctx context.Context, key string) ([]byte, error) {
				value, err := m.Get(ctx, key)
				if errors.Is(err, store.ErrNotFound) {
					return nil, nil
				}
				return value, err
			}
		}),
		caughtBy: []string{"value/absent key", "delete/present key"},
	},
	{
		breaks: "writes after Set has returned",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				value = bytes.Clone(value)
				go func() {
					pause()
					m.Set(context.Background(), key, value, ttl)
				}()
				return nil
			}
		}),
		caughtBy: []string{"value/get after set"},
	},
	{
		breaks:   "sets only absent keys",
		new:      broken(func(f *faulty, m *memstore.Store) { f.set = ignore(m.Add, store.ErrExists) }),
		caughtBy: []string{"value/set replaces", "swap/replaced value"},
	},
	{
		breaks:   "trims values",
		new:      brokenValues(func(v []byte) []byte { return bytes.TrimRight(v, "\r\n") }),
		caughtBy: []string{"value/any bytes"},
	},
	{
		breaks: "takes numbers for numbers",
		new: brokenValues(func(v []byte) []byte {
			if len(bytes.Trim(v, "0123456789")) > 0 {
				return v
			}
			return bytes.TrimLeft(v, "0")
		}),
		caughtBy: []string{"value/any bytes"},
	},
	{
		breaks: "fills up short values",
		new: brokenValues(func(v []byte) []byte {
			return append(bytes.Clone(v), make([]byte, max(0, store.TokenSize-len(v)))...)
		}),
		caughtBy: []string{"value/short values"},
	},
	{
		breaks: "takes less than it documents",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				if len(key)+len(value) > 1000 {
					return store.ErrRefused
				}
				return m.Set(ctx, key, value, ttl)
			}
		}),
		caps:     []Capability{MaxValue(1000)},
		caughtBy: []string{"value/longest value"},
	},
	{
		breaks:   "cuts long values",
		new:      brokenValues(func(v []byte) []byte { return v[:min(len(v), 1000)] }),
		caps:     []Capability{MaxValue(1000)},
		caughtBy: []string{"value/beyond the longest value"},
	},
	{
		breaks:   "has a default ttl",
		new:      brokenTTL(func(ttl time.Duration) time.Duration { return either(ttl == 0, 24*time.Hour, ttl) }),
		caughtBy: []string{"ttl/zero never expires"},
	},
	{
		breaks:   "never expires anything",
		new:      brokenTTL(func(time.Duration) time.Duration { return 0 }),
		caughtBy: []string{"ttl/set expires", "ttl/add expires", "ttl/swap expires", "ttl/exact", "ttl/less than a tick"},
	},
	{
		breaks: "rounds down to seconds",
		new: brokenTTL(func(ttl time.Duration) time.Duration {
			return either(ttl > time.Second, ttl.Truncate(time.Second), ttl)
		}),
		caps:     []Capability{TTLGranularity(time.Second)},
		caughtBy: []string{"ttl/set expires", "ttl/add expires", "ttl/swap expires"},
	},
	{
		breaks:   "expires everything early by a nanosecond",
		new:      brokenTTL(func(ttl time.Duration) time.Duration { return either(ttl > 1, ttl-1, ttl) }),
		caughtBy: []string{"ttl/exact"},
	},
	{
		breaks:   "makes forever of less than a second",
		new:      brokenTTL(func(ttl time.Duration) time.Duration { return ttl.Truncate(time.Second) }),
		caps:     []Capability{TTLGranularity(time.Second)},
		caughtBy: []string{"ttl/less than a tick"},
	},
	{
		breaks: "makes forever of less than a second in Add",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				return m.Add(ctx, key, value, ttl.Truncate(time.Second))
			}
		}),
		caps:     []Capability{TTLGranularity(time.Second)},
		caughtBy: []string{"ttl/less than a tick"},
	},
	{
		breaks: "makes forever of less than a second in Swap",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
				return m.Swap(ctx, key, old, value, ttl.Truncate(time.Second))
			}
		}),
		caps:     []Capability{TTLGranularity(time.Second)},
		caughtBy: []string{"ttl/less than a tick"},
	},
	{
		breaks: "makes a millisecond of less than a second",
		new: brokenTTL(func(ttl time.Duration) time.Duration {
			return either(ttl%time.Second > 0, ttl.Truncate(time.Second)+time.Millisecond, ttl)
		}),
		caps:     []Capability{TTLGranularity(time.Second)},
		caughtBy: []string{"ttl/less than a tick", "ttl/set expires"},
	},
	{
		breaks:   "is late by more than three ticks",
		new:      brokenTTL(func(ttl time.Duration) time.Duration { return either(ttl > 0, ttl+3500*time.Millisecond, ttl) }),
		caps:     []Capability{TTLGranularity(time.Second)},
		caughtBy: []string{"ttl/set expires", "ttl/less than a tick", "ttl/exact"},
	},
	{
		breaks:   "takes more than 30 days for a date",
		new:      brokenTTL(func(ttl time.Duration) time.Duration { return either(ttl > 30*24*time.Hour, 1, ttl) }),
		caughtBy: []string{"ttl/long"},
	},
	{
		breaks:   "takes a negative ttl for forever",
		new:      brokenTTL(func(ttl time.Duration) time.Duration { return max(ttl, 0) }),
		caughtBy: []string{"ttl/negative"},
	},
	{
		breaks: "deletes on a negative ttl",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				if ttl < 0 {
					m.Delete(ctx, key)
				}
				return m.Set(ctx, key, value, ttl)
			}
		}),
		caughtBy: []string{"ttl/negative"},
	},
	{
		breaks: "keeps the old expiry when ttl is zero",
		new: broken(func(f *faulty, m *memstore.Store) {
			var ends sync.Map
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				if end, ok := ends.Load(key); ok && ttl == 0 {
					ttl = time.Until(end.(time.Time))
				} else if ttl > 0 {
					ends.Store(key, time.Now().Add(ttl))
				}
				return m.Set(ctx, key, value, ttl)
			}
			f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
				if end, ok := ends.Load(key); ok && ttl == 0 {
					ttl = time.Until(end.(time.Time))
				}
				return m.Swap(ctx, key, old, value, ttl)
			}
		}),
		caughtBy: []string{"ttl/set replaces expiry", "ttl/swap removes expiry"},
	},
	{
		breaks: "does not see that a value has expired until it is read",
		new: broken(func(f *faulty, m *memstore.Store) {
			lasting := memstore.New(nil)
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				return errors.Join(m.Set(ctx, key, value, ttl), lasting.Set(ctx, key, value, 0))
			}
			f.get = func(ctx context.Context, key string) ([]byte, error) {
				value, err := m.Get(ctx, key)
				if errors.Is(err, store.ErrNotFound) {
					lasting.Delete(ctx, key)
				}
				return value, err
			}
			f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				if _, err := lasting.Get(ctx, key); err == nil {
					return store.ErrExists
				}
				return m.Add(ctx, key, value, ttl)
			}
			f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
				if err := lasting.Swap(ctx, key, old, value, 0); err != nil {
					return err
				}
				return m.Set(ctx, key, value, ttl)
			}
			f.multi = lasting.GetMulti
		}),
		caughtBy: []string{"ttl/add after expiry", "ttl/swap after expiry", "ability/multi after expiry"},
	},
	{
		breaks: "adds nothing",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.add = func(context.Context, string, []byte, time.Duration) error { return nil }
		}),
		caughtBy: []string{"add/absent key"},
	},
	{
		breaks:   "overwrites in Add",
		new:      broken(func(f *faulty, m *memstore.Store) { f.add = m.Set }),
		caughtBy: []string{"add/present key", "concurrency/add"},
	},
	{
		breaks: "touches the expiry when it refuses to write",
		new: broken(func(f *faulty, m *memstore.Store) {
			touch := func(ctx context.Context, key string, ttl time.Duration) {
				if value, err := m.Get(ctx, key); err == nil {
					m.Set(ctx, key, value, ttl)
				}
			}
			f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				err := m.Add(ctx, key, value, ttl)
				if errors.Is(err, store.ErrExists) {
					touch(ctx, key, ttl)
				}
				return err
			}
			f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
				err := m.Swap(ctx, key, old, value, ttl)
				if errors.Is(err, store.ErrConflict) {
					touch(ctx, key, ttl)
				}
				return err
			}
		}),
		caughtBy: []string{"add/keeps expiry", "swap/keeps expiry"},
	},
	{
		breaks: "lets nobody add where something was deleted",
		new: broken(func(f *faulty, m *memstore.Store) {
			var deleted sync.Map
			f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				if _, ok := deleted.Load(key); ok {
					return store.ErrExists
				}
				return m.Add(ctx, key, value, ttl)
			}
			f.del = func(ctx context.Context, keys ...string) error {
				for _, key := range keys {
					deleted.Store(key, true)
				}
				return m.Delete(ctx, keys...)
			}
		}),
		caughtBy: []string{"add/after delete"},
	},
	{
		breaks: "compares the whole value in Swap",
		new: brokenSwap(func(value []byte, old store.Token) bool {
			return bytes.Equal(value, old[:])
		}),
		caughtBy: []string{"swap/same token"},
	},
	{
		breaks: "wants something after the token",
		new: brokenSwap(func(value []byte, old store.Token) bool {
			return len(value) > store.TokenSize && bytes.HasPrefix(value, old[:])
		}),
		caughtBy: []string{"swap/bare token"},
	},
	{
		breaks: "takes the zero token for none",
		new: brokenSwap(func(value []byte, old store.Token) bool {
			return old != store.Token{} && bytes.HasPrefix(value, old[:])
		}),
		caughtBy: []string{"swap/binary token"},
	},
	{
		breaks:   "compares nothing in Swap",
		new:      brokenSwap(func([]byte, store.Token) bool { return true }),
		caughtBy: []string{"swap/other token", "swap/replaced value", "swap/short value", "concurrency/swap"},
	},
	{
		breaks: "compares the first eight bytes in Swap",
		new: brokenSwap(func(value []byte, old store.Token) bool {
			return bytes.HasPrefix(value, old[:8])
		}),
		caughtBy: []string{"swap/other token"},
	},
	{
		breaks: "takes a value that ends early for one that ends in zeros",
		new: brokenSwap(func(value []byte, old store.Token) bool {
			return bytes.HasPrefix(append(bytes.Clone(value), make([]byte, store.TokenSize)...), old[:])
		}),
		caughtBy: []string{"swap/short value"},
	},
	{
		breaks: "writes in Swap where nothing is",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
				if m.Add(ctx, key, value, ttl) == nil {
					return nil
				}
				return m.Swap(ctx, key, old, value, ttl)
			}
		}),
		caughtBy: []string{"swap/absent key", "swap/deleted key", "ttl/swap after expiry"},
	},
	{
		breaks: "deletes nothing",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.del = func(ctx context.Context, keys ...string) error { return ctx.Err() }
		}),
		caughtBy: []string{"delete/present key", "swap/deleted key"},
	},
	{
		breaks: "returns an error for the Delete of an absent key",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.del = func(ctx context.Context, keys ...string) error {
				for _, key := range keys {
					if _, err := m.Get(ctx, key); err != nil {
						return err
					}
				}
				return m.Delete(ctx, keys...)
			}
		}),
		caughtBy: []string{"delete/absent key", "delete/many keys"},
	},
	{
		breaks: "returns an error for a Delete without keys",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.del = func(ctx context.Context, keys ...string) error {
				if len(keys) == 0 {
					return errors.New("ERR wrong number of arguments for 'del' command")
				}
				return m.Delete(ctx, keys...)
			}
		}),
		caughtBy: []string{"delete/no keys"},
	},
	{
		breaks: "deletes and reads as many keys as fit in one request",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.del = func(ctx context.Context, keys ...string) error {
				return m.Delete(ctx, keys[:min(len(keys), 25)]...)
			}
			f.multi = func(ctx context.Context, keys []string) (map[string][]byte, error) {
				return m.GetMulti(ctx, keys[:min(len(keys), 100)])
			}
		}),
		caughtBy: []string{"delete/many keys", "ability/multi"},
	},
	{
		breaks:   "refuses percent signs",
		new:      brokenKeys(refuse(func(key string) bool { return strings.Contains(key, "%") })),
		caughtBy: []string{"key/printable"},
	},
	{
		breaks:   "refuses keys of 250 bytes",
		new:      brokenKeys(refuse(func(key string) bool { return len(key) >= store.MaxKeyLen })),
		caughtBy: []string{"key/longest"},
	},
	{
		breaks:   "ignores case in keys",
		new:      brokenKeys(rewrite(strings.ToLower)),
		caughtBy: []string{"key/apart"},
	},
	{
		breaks:   "cuts long keys",
		new:      brokenKeys(rewrite(func(key string) string { return key[:min(len(key), store.MaxKeyLen)] })),
		caughtBy: []string{"key/unusual"},
	},
	{
		breaks:   "trims keys",
		new:      brokenKeys(rewrite(strings.TrimSpace)),
		caughtBy: []string{"key/unusual"},
	},
	{
		breaks: "ignores contexts",
		new: broken(func(f *faulty, m *memstore.Store) {
			no := context.WithoutCancel
			f.get = func(ctx context.Context, key string) ([]byte, error) { return m.Get(no(ctx), key) }
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				return m.Set(no(ctx), key, value, ttl)
			}
			f.notify = func(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
				return m.Notify(no(ctx), prefix, sink)
			}
		}),
		caughtBy: []string{"context/canceled", "context/deadline passed", "ability/notify with a done context"},
	},
	{
		breaks: "looks at the context when it has written",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				return errors.Join(m.Set(context.WithoutCancel(ctx), key, value, ttl), ctx.Err())
			}
		}),
		caughtBy: []string{"context/canceled", "context/deadline passed"},
	},
	{
		breaks: "returns the cause and not the error of a context",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.get = func(ctx context.Context, key string) ([]byte, error) {
				if err := context.Cause(ctx); err != nil {
					return nil, err
				}
				return m.Get(ctx, key)
			}
		}),
		caughtBy: []string{"context/canceled"},
	},
	{
		breaks: "ends with the context of a call what is to outlive it",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				context.AfterFunc(ctx, func() { m.Delete(context.Background(), key) })
				return m.Set(ctx, key, value, ttl)
			}
			f.notify = func(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
				stop, err := m.Notify(ctx, prefix, sink)
				if err == nil {
					context.AfterFunc(ctx, stop)
				}
				return stop, err
			}
		}),
		caughtBy: []string{"context/outlived", "ability/notify outlives context"},
	},
	{
		breaks: "looks and then writes in Add and Swap",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				if _, err := m.Get(ctx, key); err == nil {
					return store.ErrExists
				}
				pause()
				return m.Set(ctx, key, value, ttl)
			}
			f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
				there, err := m.Get(ctx, key)
				if token, ok := store.TokenOf(there); err != nil || !ok || token != old {
					return store.ErrConflict
				}
				pause()
				return m.Set(ctx, key, value, ttl)
			}
		}),
		caughtBy: []string{"concurrency/add", "concurrency/swap", "concurrency/counter"},
	},
	{
		breaks: "lets nobody win",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				m.Add(ctx, key, value, ttl)
				return store.ErrExists
			}
		}),
		caughtBy: []string{"concurrency/add", "add/absent key"},
	},
	{
		breaks: "deletes and then writes in Set",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				m.Delete(ctx, key)
				pause()
				return m.Set(ctx, key, value, ttl)
			}
		}),
		caughtBy: []string{"concurrency/set"},
	},
	{
		breaks: "retains what it is given",
		new: broken(func(f *faulty, m *memstore.Store) {
			var kept sync.Map
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				kept.Store(key, value)
				return m.Set(ctx, key, value, ttl)
			}
			f.get = func(ctx context.Context, key string) ([]byte, error) {
				value, err := m.Get(ctx, key)
				if v, ok := kept.Load(key); ok && err == nil {
					value = bytes.Clone(v.([]byte))
				}
				return value, err
			}
		}),
		caughtBy: []string{"ownership/written value"},
	},
	{
		breaks: "appends its trailer to what it is given",
		new: brokenValues(func(value []byte) []byte {
			return append(value, "expires"...)[:len(value)]
		}),
		caughtBy: []string{"ownership/value left alone"},
	},
	{
		breaks: "returns the same slice to everybody",
		new: broken(func(f *faulty, m *memstore.Store) {
			var s shared
			f.get = func(ctx context.Context, key string) ([]byte, error) {
				value, err := m.Get(ctx, key)
				return s.slice(key, value), err
			}
			f.multi = func(ctx context.Context, keys []string) (map[string][]byte, error) {
				found, err := m.GetMulti(ctx, keys)
				for key, value := range found {
					found[key] = s.slice(key, value)
				}
				return found, err
			}
		}),
		caughtBy: []string{"ownership/read value", "ability/multi ownership"},
	},
	{
		breaks: "returns a nil map when it has found nothing",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.multi = func(ctx context.Context, keys []string) (map[string][]byte, error) {
				found, err := m.GetMulti(ctx, keys)
				if len(found) == 0 {
					found = nil
				}
				return found, err
			}
		}),
		caughtBy: []string{"ability/multi of nothing"},
	},
	{
		breaks: "returns absent keys from GetMulti",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.multi = func(ctx context.Context, keys []string) (map[string][]byte, error) {
				found, err := m.GetMulti(ctx, keys)
				for _, key := range keys {
					if _, ok := found[key]; !ok {
						found[key] = nil
					}
				}
				return found, err
			}
		}),
		caughtBy: []string{"ability/multi", "ability/multi of nothing"},
	},
	{
		breaks: "fails to ping",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.ping = func(context.Context) error { return store.ErrNotFound }
		}),
		caughtBy: []string{"ability/ping", "context/canceled"},
	},
	{
		breaks:   "never says Up",
		new:      brokenSink(func(s store.Sink) store.Sink { return neverUp{s} }),
		caughtBy: []string{"ability/notify up"},
	},
	{
		breaks:   "reports nothing",
		new:      brokenSink(func(s store.Sink) store.Sink { return silent{s} }),
		caughtBy: []string{"ability/notify", "ability/notify many", "ability/notify stop"},
	},
	{
		breaks:   "reports the first key of a Delete",
		new:      brokenSink(func(s store.Sink) store.Sink { return firstOnly{s} }),
		caughtBy: []string{"ability/notify many"},
	},
	{
		breaks:   "reports twice",
		new:      brokenSink(func(s store.Sink) store.Sink { return twice{s} }),
		caughtBy: []string{"ability/notify once"},
	},
	{
		breaks:   "reports when the method has returned",
		new:      brokenSink(func(s store.Sink) store.Sink { return belated{s} }),
		caughtBy: []string{"ability/notify once"},
	},
	{
		breaks: "reports before it writes",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				m.Delete(ctx, key) // which is reported
				value = bytes.Clone(value)
				go func() {
					pause()
					m.Set(context.Background(), key, value, ttl)
				}()
				return nil
			}
		}),
		caughtBy: []string{"ability/notify"},
	},
	{
		breaks: "reports neither expiry nor the Delete of what has expired",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.del = func(ctx context.Context, keys ...string) error {
				for _, key := range keys {
					if _, err := m.Get(ctx, key); err == nil {
						m.Delete(ctx, key)
					}
				}
				return ctx.Err()
			}
		}),
		caughtBy: []string{"ability/notify delete of expired"},
	},
	{
		breaks: "does not stop its reports",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.notify = func(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
				_, err := m.Notify(ctx, prefix, sink)
				if err != nil {
					return nil, err
				}
				return func() {}, nil
			}
		}),
		caughtBy: []string{"ability/notify stop"},
	},
	{
		breaks: "takes a foreign value for a broken server",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.get = func(ctx context.Context, key string) ([]byte, error) {
				if strings.HasPrefix(key, "foreign") {
					return nil, errors.New("WRONGTYPE")
				}
				return m.Get(ctx, key)
			}
		}),
		caps:     []Capability{ForeignValue(func(testing.TB, store.Store, string) {})},
		caughtBy: []string{"foreign/one key"},
	},
	{
		breaks: "loses the others to one key",
		new: broken(func(f *faulty, m *memstore.Store) {
			f.multi = func(ctx context.Context, keys []string) (map[string][]byte, error) {
				if slices.Contains(keys, "foreign") {
					return map[string][]byte{}, store.ErrRefused
				}
				return m.GetMulti(ctx, keys)
			}
		}),
		caps:     []Capability{ForeignValue(func(testing.TB, store.Store, string) {})},
		caughtBy: []string{"foreign/among many"},
	},
}

// brokenSwap compares tokens its own way.
func brokenSwap(same func(value []byte, old store.Token) bool) func() store.Store {
	return broken(func(f *faulty, m *memstore.Store) {
		f.swap = func(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
			there, err := m.Get(ctx, key)
			if errors.Is(err, store.ErrNotFound) {
				return store.ErrConflict
			}
			if err != nil {
				return err
			}
			if !same(there, old) {
				return store.ErrConflict
			}
			return m.Set(ctx, key, value, ttl)
		}
	})
}

// ignore makes of an error that wraps target none.
func ignore(set setFunc, target error) setFunc {
	return func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
		if err := set(ctx, key, value, ttl); !errors.Is(err, target) {
			return err
		}
		return nil
	}
}

func either[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}
