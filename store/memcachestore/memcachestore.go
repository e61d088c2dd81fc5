// Package memcachestore is a store in memcached.
//
// [New] takes the client github.com/bradfitz/gomemcache, with one server or many.
// The store uses the client and owns nothing: the client is configured, shared
// and closed by whoever made it, after the last use of the store.
//
// # What is sent
//
// Get and GetMulti are gets, Set is set, Add is add, Delete is one delete for each
// key, all under the key as it is given. Swap is gets, a comparison here, and a
// cas, which the server refuses if anything has happened to the key in between.
// No flags are used, and nothing that lists or flushes. Any memcached since 1.2.4
// that was not started with -C (which takes cas away) is enough.
//
// # Expiry
//
// memcached counts whole seconds, and its second is coarse: the clock that it
// looks at may be two seconds late, when the timer that advances it has drifted
// past a whole second and skips one. An expiry of 2 was measured to last from
// 22 ms to 2.05 s (memcached 1.6.18). A ttl is therefore rounded up to whole
// seconds and sent with two more. It is never cut short by the clock, and a value
// is gone at the latest three seconds after its ttl, or two if that is whole
// seconds.
//
// # Contexts
//
// The client knows no contexts. The store therefore waits for a call beside the
// context, and returns when the first of them ends. The call that was left alone
// goes on in its goroutine, and ends by the client's Timeout (half a second unless
// configured), which bounds the dial and then each exchange. A write that was left
// alone may take place after the method has returned.
//
// Set the Timeout below the deadlines of the contexts where there are several
// servers: then one that hangs costs a GetMulti its own keys, and not all of them.
//
// A context that can never end costs no goroutine.
//
// # Retries
//
// The client pools connections, and finds out that a server was restarted by using
// one: each stale connection fails once. Calls that lose their connection are
// therefore made again, as often as there may be stale ones (the client's
// MaxIdleConns, 2 unless configured, and 16 at most), if making them twice does
// no harm:
//
//   - Get, GetMulti, Ping and the gets of a Swap only read.
//   - Delete may delete what somebody has written in between. A store may drop
//     any value at any time.
//   - Set is not repeated. The first one may have taken place, the value been read
//     and then deleted; the second would bring it back under the same token, and
//     let a Swap succeed that the Delete has ruled out.
//   - Add and cas are not repeated. They would take their own success, whose reply
//     was lost, for somebody else's.
//
// A timeout is never a reason to try again, nor is a server that cannot be dialled.
//
// # Several servers
//
// Each server is a shard ([store.Sharder]): memo leaves one that is down alone, and goes on
// with the others. What lies on it, the record of a function's own validity included, is
// missing until it is back. Nothing is moved to other servers, since what is there
// may have been invalidated meanwhile.
//
// # What memcached does not promise
//
// It evicts when it is full. A server that was started with -M does not, and
// answers writes with an error instead, which wraps [store.ErrReadOnly]; give a cache one
// that does.
//
// With several servers the client picks one by the key and the number of servers.
// Another list moves most keys to other servers, and a server that comes back into
// the list unrestarted brings its old values with it, deleted ones included. Restart
// servers before they join, or let values expire.
package memcachestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-0226adef/memo/store"
)

// Options configure a [Store].
type Options struct {
	// MaxValue is the length in bytes of the longest value that is sent; a longer
	// one is refused with an error wrapping [store.ErrRefused]. Where servers are
	// started with -I, set it to that number of bytes less [ItemOverhead].
	// Zero means [MaxValue]; a negative number panics in New.
	//
	// A server that gets a value above its limit drops the old one if it was a
	// Set, and the client drops the connection. That is an error wrapping
	// store.ErrRefused as well, only dearer.
	MaxValue int
}

// Store is a [store.Store] in memcached. It also implements [store.MultiGetter],
// [store.Pinger] and [store.Sharder].
//
// Create one with [New]. All methods are safe for concurrent use.
//
// Keys are 1 to [MaxKeyLen] bytes without spaces and control characters; others are
// refused with an error wrapping [store.ErrRefused]. Values of any length up to
// the limit are taken, none at all included.
//
// Errors of the client come wrapped, for instance [memcache.ErrNoServers]. Those that
// concern one request wrap [store.ErrRefused]: an item that is too large, a CLIENT_ERROR.
// That there is no room wraps [store.ErrReadOnly].
type Store struct {
	client   *memcache.Client
	selector memcache.ServerSelector // the client's; nil if that is not known
	maxValue int
}

// New returns a store that uses client. A nil o means the zero Options.
// New panics if client is nil or a limit is negative.
func New(client *memcache.Client, o *Options) *Store {
	if client == nil {
		panic("memo: memcachestore: the client is nil; give New a client, for instance from memcache.New")
	}
	if o == nil {
		o = &Options{}
	}
	if o.MaxValue < 0 {
		panic(fmt.Sprintf("memo: memcachestore: Options.MaxValue is %d; give a positive number, or 0 for %d", o.MaxValue, MaxValue))
	}
	s := &Store{client: client, selector: selectorOf(client), maxValue: MaxValue}
	if o.MaxValue > 0 {
		s.maxValue = o.MaxValue
	}
	return s
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := cmp.Or(checkContext(ctx), checkKey(key)); err != nil {
		return nil, err
	}
	return do(ctx, "get", func() ([]byte, error) {
		item, err := s.gets(ctx, key)
		if errors.Is(err, memcache.ErrCacheMiss) {
			return nil, store.ErrNotFound
		}
		if err != nil {
			return nil, err
		}
		return item.Value, nil // the client made it for this reply and nobody else has it
	})
}

// gets reads an item with its version.
func (s *Store) gets(ctx context.Context, key string) (item *memcache.Item, err error) {
	err = s.again(ctx, func() (err error) {
		item, err = s.client.Get(key)
		return err
	})
	if err == nil && item.Key != key { // which the client does not look at
		return nil, fmt.Errorf("the server was asked for %q and answered with %q", key, item.Key)
	}
	return item, err
}

// Set implements [store.Store].
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.check(ctx, key, value, ttl); err != nil {
		return err
	}
	item := newItem(ctx, key, value, ttl)
	return doErr(ctx, "set", func() error { return s.client.Set(item) })
}

// Add implements [store.Store].
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.check(ctx, key, value, ttl); err != nil {
		return err
	}
	item := newItem(ctx, key, value, ttl)
	return doErr(ctx, "add", func() error {
		err := s.client.Add(item)
		if errors.Is(err, memcache.ErrNotStored) {
			return store.ErrExists
		}
		return err
	})
}

// Swap implements [store.Store].
func (s *Store) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	if err := s.check(ctx, key, value, ttl); err != nil {
		return err
	}
	item := newItem(ctx, key, value, ttl)
	return doErr(ctx, "swap", func() error {
		err := s.swap(ctx, old, item)
		switch {
		case errors.Is(err, memcache.ErrCacheMiss), // absent, or gone since the gets
			errors.Is(err, memcache.ErrCASConflict), // written since the gets
			errors.Is(err, memcache.ErrNotStored):
			return store.ErrConflict
		}
		return err
	})
}

func (s *Store) swap(ctx context.Context, old store.Token, item *memcache.Item) error {
	there, err := s.gets(ctx, item.Key)
	if err != nil {
		return err
	}
	if token, ok := store.TokenOf(there.Value); !ok || token != old {
		return store.ErrConflict
	}
	if there.CasID == 0 { // versions begin with 1, and with -C every cas fails
		return errors.New("the server counts no versions; start memcached without -C")
	}
	if err := ctx.Err(); err != nil {
		return err // nobody waits for the write
	}
	item.CasID = there.CasID
	return s.client.CompareAndSwap(item)
}

// newItem is what a call writes. If ctx can end, and the call thus outlive the
// method, it has a copy of value.
func newItem(ctx context.Context, key string, value []byte, ttl time.Duration) *memcache.Item {
	return &memcache.Item{Key: key, Value: keep(ctx, value), Expiration: expiration(ttl, time.Now())}
}

// Ping implements [store.Pinger]. It asks one server after another.
func (s *Store) Ping(ctx context.Context) error {
	return doErr(ctx, "ping", func() error { return s.again(ctx, s.client.Ping) })
}

var (
	_ store.MultiGetter = (*Store)(nil)
	_ store.Pinger      = (*Store)(nil)
)

// Punctual implements an interface of package memo's own.
func (s *Store) Punctual() store.Store { return s }
