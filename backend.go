package memo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/sony/gobreaker/v2"

	"github.com/seed-0226adef/memo/internal/beside"
	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/store"
)

// A backend is one store as this process sees it: whether it is in order, and
// the look-ups that are on their way to it. All functions on a store share one.
type backend struct {
	store    store.Store
	punctual bool         // it heeds contexts; see store.Punctual
	readers  int          // how many round trips of look-ups may be under way at once
	gathers  int          // how many keys of look-ups that wait go together
	turns    turns        // of the writes of flights that are under way
	pings    atomic.Int32 // how many are under way
	breaker  *gobreaker.TwoStepCircuitBreaker[struct{}]
	log      atomic.Pointer[slog.Logger] // of a function that uses the store
	longest  atomic.Int64                // the longest StoreTimeout in use
	out      atomic.Bool                 // the breaker is not closed
	outages  atomic.Uint32               // how often it has opened
	unsaid   suspense                    // what is to be logged of the store
	changes  atomic.Int32                // of the breaker's state that are to be logged; see flush
	refused  refusedWrites

	lingering lingering // results that wait for the store, and no caller for them

	mu      sync.Mutex
	reading int    // guarded by mu; round trips of look-ups that are under way
	asks    []*ask // guarded by mu; look-ups that wait for one of these to end
}

const (
	// tripAfter is how many operations in a row must fail for the breaker to
	// open, and probeAfter how long it then is until the store is asked again
	// whether it is back.
	tripAfter  = 3
	probeAfter = 500 * time.Millisecond

	// maxReading is how many round trips of look-ups are under way at once.
	// Further ones are gathered meanwhile, about maxGathered keys each at most.
	// More at once would gather less; with a single one, whatever holds it up
	// would hold up everyone.
	maxReading  = 2
	maxGathered = 512

	// Where store.GetMulti asks for each key by itself, 16 at a time, there is
	// little to be gained by company.
	maxReadingEach  = 16
	maxGatheredEach = 16
)

// errOut is why an operation was not tried: the breaker is open.
var errOut = errors.New("memo: the store is out of order and left alone for a while")

func newBackend(s store.Store) *backend {
	b := &backend{
		store: s, punctual: store.IsPunctual(s),
		readers: maxReadingEach, gathers: maxGatheredEach, turns: turns{free: maxWriting},
	}
	if _, ok := s.(store.MultiGetter); ok {
		b.readers, b.gathers = maxReading, maxGathered
	}
	b.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   1,
		Timeout:       probeAfter,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsExcluded:    func(err error) bool { return errors.Is(err, errImpatient) },
		OnStateChange: b.stateChanged,
	})
	return b
}

// errImpatient marks an operation that was given less time than others are: that it
// took longer says nothing about the store.
var errImpatient = errors.New("memo: the store was not given much time")

// The values of backend.changes.
const (
	wentOut  = 1
	cameBack = 2
)

// stateChanged remembers a change of state for flush: the breaker is locked.
func (b *backend) stateChanged(_ string, from, to gobreaker.State) {
	switch {
	case from == gobreaker.StateClosed:
		b.out.Store(true)
		b.outages.Add(1)
		b.unsaid.drop()
		b.changes.Store(wentOut)
	case to == gobreaker.StateClosed:
		b.out.Store(false)
		b.changes.Store(cameBack)
	}
	if to == gobreaker.StateOpen {
		b.probeLater()
	}
}

// probeLater tries the store again when it has been left alone for long enough, also
// if nobody calls, for as long as the backend is in use.
func (b *backend) probeLater() {
	w := weak.Make(b)
	time.AfterFunc(probeAfter+time.Millisecond, func() {
		b := w.Value()
		if b == nil {
			return
		}
		switch done, err := b.breaker.Allow(); {
		case err == nil && b.out.Load():
			b.probe(done)
		case err == nil:
			done(errImpatient)
		case errors.Is(err, gobreaker.ErrOpenState):
			b.probeLater()
		}
	})
}

// flush logs the last change of state, if that was not done.
func (b *backend) flush() {
	switch b.changes.Swap(0) {
	case wentOut:
		b.logger().Warn("memo: a store does not answer; its functions go on without it until it does", "store", b.kind())
	case cameBack:
		b.logger().Info("memo: a store answers again", "store", b.kind())
	}
}

// patience returns the longest StoreTimeout in use, for what nobody waits for.
func (b *backend) patience() time.Duration {
	if d := time.Duration(b.longest.Load()); d > 0 {
		return d
	}
	return defaultStoreTimeout
}

// grant notes that operations are given limit.
func (b *backend) grant(limit time.Duration) {
	for old := b.longest.Load(); int64(limit) > old && !b.longest.CompareAndSwap(old, int64(limit)); {
		old = b.longest.Load()
	}
}

// kind names the store in logs.
func (b *backend) kind() string { return fmt.Sprintf("%T", b.store) }

func (b *backend) logger() *slog.Logger {
	if log := b.log.Load(); log != nil {
		return log
	}
	return slog.Default()
}

// allow asks whether an operation may be tried. If so, done has to be told how it
// ended. While the breaker is open nobody is made to wait for the store: when it
// is time to try it again, that is done in the background.
func (b *backend) allow() (done func(error), err error) {
	done, err = b.breaker.Allow()
	switch {
	case err != nil:
		return nil, errOut
	case b.out.Load():
		go b.probe(done)
		return nil, errOut
	}
	return done, nil
}

// probe pings the store and tells the breaker, and ends with that.
func (b *backend) probe(done func(error)) {
	ctx, cancel := context.WithTimeout(context.Background(), max(probeAfter, b.patience()))
	defer cancel()
	began := clock.Now()
	err := b.ping(ctx)
	if limit := b.patience(); err == nil && clock.Now()-began > int64(limit) { // it had to connect, or is as slow as that
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		err = b.ping(ctx)
	}
	done(err)
	b.flush()
}

// ping asks the store whether it is in order, unless too many pings have not come
// back: of a store that hangs and heeds no context, they pile up.
func (b *backend) ping(ctx context.Context) error {
	return beside.Err(ctx, func() error {
		defer b.pings.Add(-1)
		if b.pings.Add(1) > maxPings {
			return errBusy
		}
		_, err := shielded(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, store.Ping(ctx, b.store) })
		return err
	})
}

// maxPings is how many pings may be under way.
const maxPings = 16

// try runs an operation within limit, and tells the breaker how it ended. Answers
// such as store.ErrNotFound are no failures; a panic of the store is one.
//
// The end of ctx does not end the operation, lest callers in a hurry hide that
// the store is slow. A caller who must not wait uses [detached]. With a limit of
// zero, only ctx ends it. A store that does not heed its context is not waited for
// longer than limit; op then goes on, and must not touch what belongs to the caller.
func (b *backend) try(ctx context.Context, limit time.Duration, op func(context.Context) error) error {
	_, err := tryFor(ctx, b, limit, func(ctx context.Context) (struct{}, error) { return struct{}{}, op(ctx) })
	return err
}

// tryFor is backend.try for an operation that returns a value.
func tryFor[T any](ctx context.Context, b *backend, limit time.Duration, op func(context.Context) (T, error)) (value T, err error) {
	done, err := b.allow()
	if err != nil {
		return value, err
	}
	began := b.unsaid.begin()
	if limit > 0 {
		if ctx.Done() != nil {
			ctx = context.WithoutCancel(ctx)
		}
		var cancel context.CancelFunc
		ctx, cancel = store.Within(ctx, limit)
		defer cancel()
	}
	defer func() {
		switch {
		case isAnswer(err):
			done(nil)
			defer b.unsaid.release(began) // when the change of state is told
			b.refused.note(b, err)
		case limit > 0 && limit < b.patience()*9/10 && ctx.Err() != nil: // a call's first operation has a little less than the whole
			done(errImpatient)
		default:
			done(err)
		}
		b.flush()
	}()
	if limit == 0 || b.punctual {
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

// write is try for what many flights may want at once, as those of a batch do. It waits
// for its turn as takeTurn does; limit is how long the operation may then take.
func (b *backend) write(ctx context.Context, by deadline, limit time.Duration, op func(context.Context) error) error {
	end, err := b.takeTurn(ctx, by)
	if err != nil {
		return err
	}
	defer end()
	return b.try(ctx, limit, op)
}

// errBusy is why an operation was not tried: too many others are under way.
var errBusy = errors.New("memo: too many operations of the store are under way")

// detached runs work, which ctx does not end, and returns when it is done or, then
// reporting false, when ctx ends. Unlike package beside it runs work also when ctx
// has ended: look-ups that were begun must be ended.
func detached(ctx context.Context, work func(context.Context)) bool {
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

// isAnswer reports whether err is what a store in order may say. One that refuses a key,
// or all writes, goes on answering reads.
func isAnswer(err error) bool {
	return err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) ||
		errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrRefused) || errors.Is(err, store.ErrReadOnly)
}

// An ask is a look-up that waits to be taken along.
type ask struct {
	keys   []string
	by     deadline
	limit  time.Duration // of the round trip
	left   atomic.Bool   // nobody waits for it any more
	done   chan struct{}
	values [][]byte // set before done is closed, as is err
	err    error
}

// read returns the values under keys, nil where there is none. A look-up goes to
// the store at once while there are few; otherwise it waits for one of these to
// come back, and those that wait go together in one round trip. However it goes,
// read returns by the deadline.
func (b *backend) read(ctx context.Context, by deadline, keys []string) ([][]byte, error) {
	b.mu.Lock()
	if b.reading < b.readers {
		b.reading++
		b.mu.Unlock()
		defer b.next()
		return b.fetch(ctx, by.remaining(), keys)
	}
	a := &ask{keys: keys, by: by, limit: by.remaining(), done: make(chan struct{})}
	b.asks = append(b.asks, a)
	b.mu.Unlock()
	return a.wait(ctx)
}

func (a *ask) wait(ctx context.Context) ([][]byte, error) {
	var late <-chan time.Time
	if queue := a.by.queue(); queue > 0 {
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
func (b *backend) next() {
	b.mu.Lock()
	defer b.mu.Unlock()
	var along []*ask
	for keys := 0; len(b.asks) > 0 && keys < b.gathers; b.asks = b.asks[1:] {
		if a := b.asks[0]; !a.left.Load() {
			along = append(along, a)
			keys += len(a.keys)
		}
	}
	if len(along) == 0 {
		b.asks = nil
		b.reading--
		return
	}
	go b.serve(along)
}

// serve makes one round trip for several look-ups. It ends within the longest of
// their limits; where one has none, only when the store returns.
func (b *backend) serve(along []*ask) {
	defer b.next()
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
	values, err := b.fetch(context.Background(), limit, keys)
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
		if v == nil && concerns(err, a.keys[i]) {
			return err
		}
	}
	return nil
}

// concerns reports whether err may be the reason why nothing is known of key.
func concerns(err error, key string) bool {
	var refused *store.KeysError
	if errors.As(err, &refused) {
		return refused.Errs[key] != nil
	}
	return err != nil
}

// refusalOf returns the error of a key that the store refused, and nil if err is another.
func refusalOf(err error, key string) error {
	var refused *store.KeysError
	if errors.As(err, &refused) {
		return refused.Errs[key]
	}
	return nil
}

// fetch reads keys in one round trip. With an error there may still be values.
func (b *backend) fetch(ctx context.Context, limit time.Duration, keys []string) ([][]byte, error) {
	values, err := tryFor(ctx, b, limit, func(ctx context.Context) ([][]byte, error) {
		values := make([][]byte, len(keys))
		if len(keys) == 1 {
			v, err := b.store.Get(ctx, keys[0])
			if err == nil {
				values[0] = v[:len(v):len(v)]
			} else if errors.Is(err, store.ErrRefused) {
				err = &store.KeysError{Errs: map[string]error{keys[0]: err}}
			}
			return values, err
		}
		found, err := store.GetMulti(ctx, b.store, keys)
		for i, key := range keys {
			values[i] = found[key]
		}
		return values, err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return values, err
}
