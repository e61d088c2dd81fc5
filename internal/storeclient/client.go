// Package storeclient is one store as a process uses it: with time limits, a breaker, and
// look-ups and writes that take turns.
//
//   - A Client is shared by everything in the process that uses the store.
//   - A shard is the servers of a store that fail together, with a breaker of its own.
//   - A Deadline is how long one caller may still use it, over several operations.
//   - A Backlog bounds what waits for the store without a caller.
//
// The package knows keys and bytes, and not what the bytes mean.
package storeclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/ability"
	"github.com/seed-0226adef/memo/internal/beside"
	"github.com/seed-0226adef/memo/store"
)

// A Client is one store as this process sees it: whether it is in order, and
// the look-ups that are on their way to it. Everything that uses the store shares one.
//
// All methods are safe for concurrent use. Use New to make one.
type Client struct {
	Store    store.Store                 // for operations within Do and Write
	Prompt   bool                        // its reports are exact; see ability.Prompt
	punctual bool                        // it heeds contexts; see ability.Punctual
	readers  int                         // how many round trips of look-ups may be under way at once
	gathers  int                         // how many keys of look-ups that wait go together
	turns    turns                       // of the writes of flights that are under way
	pings    atomic.Int32                // how many are under way
	whole    *shard                      // of a store that is one
	shards   sync.Map                    // string to *shard, by name, of one that is several
	log      atomic.Pointer[slog.Logger] // of a function that uses the store
	longest  atomic.Int64                // the longest StoreTimeout in use
	refused  refusedWrites

	Backlog Backlog // results that wait for the store, and no caller for them

	mu      sync.Mutex
	reading int    // guarded by mu; round trips of look-ups that are under way
	asks    []*ask // guarded by mu; look-ups that wait for one of these to end
}

const (
	// maxReading is how many round trips of look-ups are under way at once.
	// Further ones are gathered meanwhile, about maxGathered keys each at most.
	// More at once would gather less; with a single one, whatever holds it up
	// would hold up everyone.
	maxReading  = 2
	MaxGathered = 512

	// Where store.GetMulti asks for each key by itself, 16 at a time, there is
	// little to be gained by company.
	maxReadingEach  = 16
	maxGatheredEach = 16
)

// DefaultTimeout is StoreTimeout's default.
const DefaultTimeout = 250 * time.Millisecond

// MaxWrites is how many writes of one call are under way at once.
const MaxWrites = 16

// ErrOut is why an operation was not tried: the breaker of its shard is open.
var ErrOut = errors.New("memo: the store is out of order and left alone for a while")

// New returns a client of s.
func New(s store.Store) *Client {
	c := &Client{
		Store: s, Prompt: ability.ReportsOnce(s), punctual: ability.IsPunctual(s),
		readers: maxReadingEach, gathers: maxGatheredEach, turns: turns{free: MaxWrites},
	}
	if _, ok := s.(store.MultiGetter); ok {
		c.readers, c.gathers = maxReading, MaxGathered
	}
	c.whole = newShard(c, "", "")
	return c
}

// LongestTimeout returns the longest StoreTimeout in use, for what nobody waits for.
func (c *Client) LongestTimeout() time.Duration {
	if d := time.Duration(c.longest.Load()); d > 0 {
		return d
	}
	return DefaultTimeout
}

// NoteTimeout notes that operations are given limit.
func (c *Client) NoteTimeout(limit time.Duration) {
	for old := c.longest.Load(); int64(limit) > old && !c.longest.CompareAndSwap(old, int64(limit)); {
		old = c.longest.Load()
	}
}

// Kind names the store in logs.
func (c *Client) Kind() string { return fmt.Sprintf("%T", c.Store) }

// SetLogger sets where the client logs: the last of those that the functions on the store
// were given.
func (c *Client) SetLogger(l *slog.Logger) { c.log.Store(l) }

// Logger returns the logger in use.
func (c *Client) Logger() *slog.Logger {
	if log := c.log.Load(); log != nil {
		return log
	}
	return slog.Default()
}

// Do runs an operation on key within limit, and tells the breaker how it ended. Answers
// such as store.ErrNotFound are no failures; a panic of the store is one.
//
// The end of ctx does not end the operation, lest callers in a hurry hide that
// the store is slow. A caller who must not wait uses [Outlive]. With a limit of
// zero, only ctx ends it. A store that does not heed its context is not waited for
// longer than limit; op then goes on, and must not touch what belongs to the caller.
func (c *Client) Do(ctx context.Context, key string, limit time.Duration, op func(context.Context) error) error {
	_, err := doFor(ctx, c.shardOf(key), limit, func(ctx context.Context) (struct{}, error) { return struct{}{}, op(ctx) })
	return err
}

// Operations counts the operations of all stores that are under way, but for pings.
var Operations atomic.Int64

// doFor is Do for an operation that returns a value.
func doFor[T any](ctx context.Context, s *shard, limit time.Duration, op func(context.Context) (T, error)) (value T, err error) {
	done, err := s.allow()
	if err != nil {
		return value, err
	}
	c := s.client
	began := s.suspended.begin()
	Operations.Add(1)
	defer Operations.Add(-1)
	if limit > 0 {
		if ctx.Done() != nil {
			ctx = context.WithoutCancel(ctx)
		}
		var cancel context.CancelFunc
		ctx, cancel = ability.Within(ctx, limit)
		defer cancel()
	}
	defer func() {
		switch {
		case IsAnswer(err):
			done(nil)
			defer s.suspended.release(began) // when the change of state is told
			c.refused.note(c, err)
		case limit > 0 && limit < c.LongestTimeout()*9/10 && ctx.Err() != nil: // a call's first operation has a little less than the whole
			done(errImpatient)
		default:
			done(err)
		}
		s.flush()
	}()
	if limit == 0 || c.punctual {
		return shielded(ctx, op)
	}
	return beside.Do(ctx, func() (T, error) { return shielded(ctx, op) })
}

// shielded is op, whose panic is an error.
func shielded[T any](ctx context.Context, op func(context.Context) (T, error)) (value T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: the store panicked: %v", v)
		}
	}()
	return op(ctx)
}

// Write is Do for what many flights may want at once, as those of a batch do. It waits
// for its turn as TakeTurn does; limit is how long the operation may then take.
func (c *Client) Write(ctx context.Context, key string, by Deadline, limit time.Duration, op func(context.Context) error) error {
	end, err := c.TakeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	return c.Do(ctx, key, limit, op)
}

// ErrBusy is why an operation was not tried: too many others are under way.
var ErrBusy = errors.New("memo: too many operations of the store are under way")

// Outlive runs work, which ctx does not end, and returns when it is done or, then
// reporting false, when ctx ends. Unlike package beside it runs work also when ctx
// has ended: look-ups that were begun must be ended.
func Outlive(ctx context.Context, work func(context.Context)) bool {
	if ctx.Done() == nil {
		work(ctx)
		return true
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(context.WithoutCancel(ctx))
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// IsAnswer reports whether err is what a store in order may say. One that refuses a key,
// or all writes, goes on answering reads.
func IsAnswer(err error) bool {
	return err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) ||
		errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrRefused) || errors.Is(err, store.ErrReadOnly)
}

// An ask is a look-up that waits to be taken along.
type ask struct {
	keys   []string
	by     Deadline
	limit  time.Duration // of the round trip
	left   atomic.Bool   // nobody waits for it any more
	done   chan struct{}
	values [][]byte // set before done is closed, as is err
	err    error
}

// Get returns the values under keys, nil where there is none. A look-up goes to
// the store at once while there are few; otherwise it waits for one of these to
// come back, and those that wait go together in one round trip. However it goes,
// Get returns by the deadline.
func (c *Client) Get(ctx context.Context, by Deadline, keys []string) ([][]byte, error) {
	c.mu.Lock()
	if c.reading < c.readers {
		c.reading++
		c.mu.Unlock()
		defer c.next()
		return c.fetch(ctx, by.Remaining(), keys)
	}
	a := &ask{keys: keys, by: by, limit: by.Remaining(), done: make(chan struct{})}
	c.asks = append(c.asks, a)
	c.mu.Unlock()
	return a.wait(ctx)
}

func (a *ask) wait(ctx context.Context) ([][]byte, error) {
	var late <-chan time.Time
	if queue := a.by.Queue(); queue > 0 {
		timer := time.NewTimer(queue)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-a.done:
		return a.values, a.err
	case <-ctx.Done():
		a.left.Store(true)
		return nil, context.Cause(ctx)
	case <-late:
		a.left.Store(true)
		return nil, context.DeadlineExceeded
	}
}

// next uses a round trip that has become free for those who wait, if anyone does.
func (c *Client) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var along []*ask
	for keys := 0; len(c.asks) > 0 && keys < c.gathers; c.asks = c.asks[1:] {
		if a := c.asks[0]; !a.left.Load() {
			along = append(along, a)
			keys += len(a.keys)
		}
	}
	if len(along) == 0 {
		c.asks = nil
		c.reading--
		return
	}
	go c.serve(along)
}

// serve makes one round trip for several look-ups. It ends within the longest of
// their limits; where one has none, only when the store returns.
func (c *Client) serve(along []*ask) {
	defer c.next()
	var keys []string
	var limit time.Duration
	bounded := true
	for _, a := range along {
		keys = append(keys, a.keys...)
		limit = max(limit, a.limit)
		bounded = bounded && a.limit > 0
	}
	if !bounded {
		limit = 0
	}
	values, err := c.fetch(context.Background(), limit, keys)
	for _, a := range along {
		if a.err = err; values != nil {
			a.values, values = values[:len(a.keys):len(a.keys)], values[len(a.keys):]
			a.err = a.missed(err)
		}
		close(a.done)
	}
}

// missed returns err if it may be the reason why one of the values is not there.
func (a *ask) missed(err error) error {
	for i, v := range a.values {
		if v == nil && Concerns(err, a.keys[i]) {
			return err
		}
	}
	return nil
}

// fetch reads keys in one round trip to each shard. With an error there may still be values.
func (c *Client) fetch(ctx context.Context, limit time.Duration, keys []string) ([][]byte, error) {
	first, several := c.apart(keys)
	if several == nil {
		return first.fetch(ctx, limit, keys)
	}
	values, at := make([][]byte, len(keys)), make(map[string][]byte, len(keys))
	var mu sync.Mutex // guards at
	err := each(several, func(s *shard, keys []string) error {
		found, err := s.fetch(ctx, limit, keys)
		mu.Lock()
		defer mu.Unlock()
		for i, v := range found {
			at[keys[i]] = v
		}
		return err
	})
	for i, key := range keys {
		values[i] = at[key]
	}
	return values, err
}

// Delete deletes keys within limit, in each shard that answers.
func (c *Client) Delete(ctx context.Context, limit time.Duration, keys ...string) error {
	remove := func(s *shard, keys []string) error {
		_, err := doFor(ctx, s, limit, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.Store.Delete(ctx, keys...) })
		return err
	}
	first, several := c.apart(keys)
	if several == nil {
		return remove(first, keys)
	}
	return each(several, remove)
}
