// Package memstore is a store in the memory of one process.
//
// It serves tests and programs of one process, and it is the reference for the
// contract of [store.Store]: read it before writing a backend. Expiry is exact to
// the nanosecond and checked on reading; there are no goroutines and nothing to
// close, so a store also works inside a [testing/synctest] bubble.
//
// The store is bounded, by entries and by bytes. When it is full, the entries that
// were not used for the longest time make room.
package memstore

import (
	"bytes"
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/store"
)

// Defaults for the zero [Options].
const (
	DefaultMaxEntries = 100_000
	DefaultMaxBytes   = 64 << 20
)

// Options bound a [Store].
type Options struct {
	// MaxEntries is the largest number of entries held.
	// Zero means [DefaultMaxEntries]; a negative number panics in New.
	MaxEntries int

	// MaxBytes is the largest sum of the lengths of all keys and values. Beside
	// them Go needs some 250 bytes for each entry, which are not counted.
	// Zero means [DefaultMaxBytes]; a negative number panics in New.
	//
	// A single key and value above MaxBytes are refused with an error that wraps
	// [store.ErrRefused], and the value they were to replace is removed:
	// it is known to be old, and a missing value costs an execution where an
	// old one is a wrong answer. memcached does the same.
	MaxBytes int64
}

// Store is a [store.Store] in memory. It also implements [store.MultiGetter],
// whose values are all of one moment, and [store.Notifier].
//
// Keys and values are any bytes, none at all included. Only [Options.MaxBytes]
// limits their lengths, and there is no tick that a ttl would be rounded up to.
//
// Create one with [New]. All methods are safe for concurrent use.
type Store struct {
	maxEntries int
	maxBytes   int64

	mu      sync.Mutex
	entries map[string]*list.Element // whose Value is an *entry
	recent  list.List                // most recently used in front
	bytes   int64                    // sum of entry.size over entries
	subs    []*subscription          // the elements up to len never change, since report reads them unlocked
}

// entry is never modified; a write replaces it.
type entry struct {
	key     string
	value   []byte
	expires time.Time // zero for never
}

func (e *entry) size() int64 { return int64(len(e.key) + len(e.value)) }

func (e *entry) expired(now time.Time) bool {
	return !e.expires.IsZero() && !now.Before(e.expires)
}

// New returns an empty store. A nil o means the zero Options.
// New panics if a limit is negative.
func New(o *Options) *Store {
	if o == nil {
		o = &Options{}
	}
	if o.MaxEntries < 0 {
		panic(fmt.Sprintf("memo: memstore: Options.MaxEntries is %d; give a positive number, or 0 for %d", o.MaxEntries, DefaultMaxEntries))
	}
	if o.MaxBytes < 0 {
		panic(fmt.Sprintf("memo: memstore: Options.MaxBytes is %d; give a positive number, or 0 for %d", o.MaxBytes, DefaultMaxBytes))
	}
	s := &Store{
		maxEntries: DefaultMaxEntries,
		maxBytes:   DefaultMaxBytes,
		entries:    make(map[string]*list.Element),
	}
	if o.MaxEntries > 0 {
		s.maxEntries = o.MaxEntries
	}
	if o.MaxBytes > 0 {
		s.maxBytes = o.MaxBytes
	}
	return s
}

// Len returns the number of entries held, including expired ones that nobody has
// asked for since.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkContext(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.live(key)
	if e == nil {
		return nil, store.ErrNotFound
	}
	return bytes.Clone(e.value), nil
}

// GetMulti implements [store.MultiGetter].
func (s *Store) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	found := make(map[string][]byte, len(keys))
	if err := checkContext(ctx); err != nil {
		return found, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if e := s.live(key); e != nil {
			found[key] = bytes.Clone(e.value)
		}
	}
	return found, nil
}

// Set implements [store.Store].
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.write(ctx, key, value, ttl, func(*entry) error { return nil })
}

// Add implements [store.Store].
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.write(ctx, key, value, ttl, func(old *entry) error {
		if old != nil {
			return store.ErrExists
		}
		return nil
	})
}

// Swap implements [store.Store].
func (s *Store) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	return s.write(ctx, key, value, ttl, func(e *entry) error {
		if e == nil {
			return store.ErrConflict
		}
		if t, ok := store.TokenOf(e.value); !ok || t != old {
			return store.ErrConflict
		}
		return nil
	})
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	for _, key := range keys {
		if el, ok := s.entries[key]; ok {
			s.drop(el)
		}
	}
	subs := s.subs
	s.mu.Unlock()
	report(subs, keys...)
	return nil
}

// checkContext returns an error if ctx is done.
func checkContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memo: memstore: %w", err)
	}
	return nil
}

// write puts value under key if allow, which is given the live entry there or
// nil, returns no error.
func (s *Store) write(ctx context.Context, key string, value []byte, ttl time.Duration, allow func(*entry) error) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	if ttl < 0 {
		return fmt.Errorf("%w: a ttl of %v is negative; 0 means no expiry", store.ErrRefused, ttl)
	}
	e := &entry{key: key, value: bytes.Clone(value)}

	s.mu.Lock()
	if err := allow(s.live(key)); err != nil {
		s.mu.Unlock()
		return err
	}
	if ttl > 0 {
		e.expires = time.Now().Add(ttl)
	}
	err := s.put(e)
	subs := s.subs
	s.mu.Unlock()

	report(subs, key)
	return err
}

// live returns the entry under key and counts that as a use of it. It returns nil
// if there is none; an expired one is dropped. s.mu must be held.
func (s *Store) live(key string) *entry {
	el, ok := s.entries[key]
	if !ok {
		return nil
	}
	e := el.Value.(*entry)
	if e.expired(time.Now()) {
		s.drop(el)
		return nil
	}
	s.recent.MoveToFront(el)
	return e
}

// put replaces what is under e.key by e and makes room for it. s.mu must be held.
func (s *Store) put(e *entry) error {
	if el, ok := s.entries[e.key]; ok {
		s.drop(el)
	}
	if e.size() > s.maxBytes {
		return fmt.Errorf("%w: key and value are %d bytes, and the store holds %d (memstore.Options.MaxBytes)",
			store.ErrRefused, e.size(), s.maxBytes)
	}
	for len(s.entries) >= s.maxEntries || s.bytes+e.size() > s.maxBytes {
		s.drop(s.victim())
	}
	s.entries[e.key] = s.recent.PushFront(e)
	s.bytes += e.size()
	return nil
}

// victim returns the entry to evict: an expired one if there is one among the
// few that were not used for the longest time, else the last of these. Looking
// through all would make a write slower the more is held. s.mu must be held and
// the store not be empty.
func (s *Store) victim() *list.Element {
	const few = 16
	now := time.Now()
	for i, el := 0, s.recent.Back(); i < few && el != nil; i, el = i+1, el.Prev() {
		if el.Value.(*entry).expired(now) {
			return el
		}
	}
	return s.recent.Back()
}

// drop removes el. s.mu must be held.
func (s *Store) drop(el *list.Element) {
	e := s.recent.Remove(el).(*entry)
	delete(s.entries, e.key)
	s.bytes -= e.size()
}

// Punctual implements an interface of package memo's own.
func (s *Store) Punctual() store.Store { return s }
