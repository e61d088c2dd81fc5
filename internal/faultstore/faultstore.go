// Package faultstore is a store that goes wrong when a test tells it to. It stands before
// another store, most often one in memory, and is a value of its own: as one process of a
// fleet sees the store that all share.
//
//   - A [Store] counts its calls, and does to them what its faults say.
//   - A [Fault] is done to a call, before or after it takes place: [Fail], [Delay], [Stall],
//     [Hang], [Panic], a [Gate], or any function. [Keys] and [First] pick the calls.
//   - A [Log] is a fault that does no harm: it notes the keys.
//
// Nothing here is random or reads a clock, so that in a bubble of testing/synctest a test
// always takes the same course.
package faultstore

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/store"
)

// An Op is an operation of a store, or several in one.
type Op int

const (
	Get Op = 1 << iota // of one key or several
	Set
	Add
	Swap
	Delete
	Ping
	Notify

	Writes = Set | Add | Swap | Delete
	All    = Get | Writes // what every store has
)

// A Call is one call of an operation.
type Call struct {
	Op    Op
	Keys  []string
	Value []byte        // what is to be written
	TTL   time.Duration // for how long
	Err   error         // what came of it, if it has taken place
}

// Has reports whether part is in one of the keys.
func (c Call) Has(part string) bool {
	return slices.ContainsFunc(c.Keys, func(key string) bool { return strings.Contains(key, part) })
}

// A Store does what its faults say, and otherwise what the store behind it does.
// It is safe for concurrent use, and may be changed while it is in use.
type Store struct {
	inner store.Store

	calls [7]atomic.Int64 // by the bit of an Op

	mu            sync.Mutex
	before, after []*rule                               // guarded by mu; copied before they change
	read, write   func(key string, value []byte) []byte // guarded by mu
}

type rule struct {
	ops   Op
	fault Fault
	late  bool // the operation takes place whatever has become of its context
}

// New returns a store before s. The faults are done before each of [All].
func New(s store.Store, before ...Fault) *Store {
	f := &Store{inner: s}
	for _, fault := range before {
		f.Before(All, fault)
	}
	return f
}

// Before does fault to each of ops before it takes place, until end is called. If fault
// returns an error, the operation does not take place and that is what it returns.
// Faults are done in the order in which they were given.
func (s *Store) Before(ops Op, fault Fault) (end func()) { return s.add(&s.before, ops, fault) }

// Late has each of ops take place only after d, whatever has become of its context, as what
// is on its way to a server does.
func (s *Store) Late(ops Op, d time.Duration) (end func()) {
	return s.addRule(&s.before, &rule{ops, Stall(d), true})
}

// After does fault to each of ops after it has taken place, whatever came of it. If fault
// returns an error, that is what the operation returns: its answer is lost.
func (s *Store) After(ops Op, fault Fault) (end func()) { return s.add(&s.after, ops, fault) }

// Down makes all operations fail with err, also those that not every store has.
func (s *Store) Down(err error) (end func()) { return s.Before(All|Ping|Notify, Fail(err)) }

func (s *Store) add(rules *[]*rule, ops Op, fault Fault) (end func()) {
	return s.addRule(rules, &rule{ops, fault, false})
}

func (s *Store) addRule(rules *[]*rule, r *rule) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*rules = append(slices.Clip(*rules), r)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		*rules = slices.DeleteFunc(slices.Clone(*rules), func(other *rule) bool { return other == r })
	}
}

// ReadAs makes what f returns the answer to a Get of key; nil is none. value is what is
// there, or nil.
func (s *Store) ReadAs(f func(key string, value []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = f
}

// WriteAs makes what f returns the value that is written where it should be value.
func (s *Store) WriteAs(f func(key string, value []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write = f
}

// Count returns how many calls of ops there have been, those that failed among them. A Get
// of several keys is one.
func (s *Store) Count(ops Op) int64 {
	n := int64(0)
	for bit := range s.calls {
		if ops&(1<<bit) != 0 {
			n += s.calls[bit].Load()
		}
	}
	return n
}

// do does one call.
func (s *Store) do(ctx context.Context, c Call, work func(context.Context) error) error {
	for bit := range s.calls {
		if c.Op == 1<<bit {
			s.calls[bit].Add(1)
		}
	}
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if err := befall(ctx, before, c); err != nil {
		return err
	}
	if slices.ContainsFunc(before, func(r *rule) bool { return r.late && r.ops&c.Op != 0 }) {
		c.Err = work(context.WithoutCancel(ctx))
	} else {
		c.Err = work(ctx)
	}
	s.mu.Lock()
	after := s.after
	s.mu.Unlock()
	if lost := befall(ctx, after, c); lost != nil {
		return lost
	}
	return c.Err
}

// befall does the faults that are for c, and returns the first error.
func befall(ctx context.Context, rules []*rule, c Call) error {
	for _, r := range rules {
		if r.ops&c.Op == 0 {
			continue
		}
		if err := r.fault(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// Get is [store.Store.Get].
func (s *Store) Get(ctx context.Context, key string) (value []byte, err error) {
	err = s.do(ctx, Call{Op: Get, Keys: []string{key}}, func(ctx context.Context) error {
		value, err = s.inner.Get(ctx, key)
		if read := s.reader(); read != nil && (err == nil || err == store.ErrNotFound) {
			if value, err = read(key, value), nil; value == nil {
				err = store.ErrNotFound
			}
		}
		return err
	})
	return value, err
}

// GetMulti is [store.MultiGetter.GetMulti], whatever the store behind can do.
func (s *Store) GetMulti(ctx context.Context, keys []string) (values map[string][]byte, err error) {
	values = map[string][]byte{}
	err = s.do(ctx, Call{Op: Get, Keys: keys}, func(ctx context.Context) error {
		values, err = store.GetMulti(ctx, s.inner, keys)
		if read := s.reader(); read != nil {
			found := map[string][]byte{}
			for _, key := range keys {
				if value := read(key, values[key]); value != nil {
					found[key] = value
				}
			}
			values = found
		}
		return err
	})
	return values, err
}

func (s *Store) reader() func(string, []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

// Set is [store.Store.Set].
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.put(ctx, Set, key, value, ttl, func(ctx context.Context, value []byte) error { return s.inner.Set(ctx, key, value, ttl) })
}

// Add is [store.Store.Add].
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.put(ctx, Add, key, value, ttl, func(ctx context.Context, value []byte) error { return s.inner.Add(ctx, key, value, ttl) })
}

// Swap is [store.Store.Swap].
func (s *Store) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	return s.put(ctx, Swap, key, value, ttl, func(ctx context.Context, value []byte) error { return s.inner.Swap(ctx, key, old, value, ttl) })
}

func (s *Store) put(ctx context.Context, op Op, key string, value []byte, ttl time.Duration, work func(context.Context, []byte) error) error {
	s.mu.Lock()
	write := s.write
	s.mu.Unlock()
	if write != nil {
		value = write(key, value)
	}
	return s.do(ctx, Call{Op: op, Keys: []string{key}, Value: value, TTL: ttl}, func(ctx context.Context) error { return work(ctx, value) })
}

// Delete is [store.Store.Delete].
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	return s.do(ctx, Call{Op: Delete, Keys: keys}, func(ctx context.Context) error { return s.inner.Delete(ctx, keys...) })
}

// Ping is [store.Pinger.Ping]. The store behind is not asked.
func (s *Store) Ping(ctx context.Context) error {
	return s.do(ctx, Call{Op: Ping}, func(ctx context.Context) error { return ctx.Err() })
}

// Shard is [store.Sharder.Shard] of the store behind.
func (s *Store) Shard(key string) string { return store.Shard(s.inner, key) }

// Bare returns s without the abilities that not every store has.
func (s *Store) Bare() store.Store { return bare{s} }

type bare struct{ store.Store }

// A Notifying store reports changes as the store behind does. It is s with one ability
// more, and equal to what s.Notifying returns at another time.
type Notifying struct{ *Store }

// Notifying returns s with the ability to notify.
func (s *Store) Notifying() Notifying { return Notifying{s} }

// Notify is [store.Notifier.Notify].
func (n Notifying) Notify(ctx context.Context, prefix string, sink store.Sink) (stop func(), err error) {
	err = n.do(ctx, Call{Op: Notify, Keys: []string{prefix}}, func(ctx context.Context) error {
		stop, err = store.Notify(ctx, n.inner, prefix, sink)
		return err
	})
	if err != nil && stop != nil {
		stop()
		stop = nil
	}
	return stop, err
}
