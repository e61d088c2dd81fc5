package storeclient

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/sony/gobreaker/v2"

	"github.com/seed-0226adef/memo/internal/beside"
	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/store"
)

// A shard is a part of a store that fails by itself: one server of several, or the whole
// store where that is one. What it fails is not tried while its breaker is open; the other
// shards answer meanwhile.
type shard struct {
	client    *Client
	name      string // empty for the whole store
	key       string // one that lies in it
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}]
	out       atomic.Bool   // the breaker is not closed
	outages   atomic.Uint32 // how often it has opened
	changes   atomic.Int32  // of the breaker's state that are to be logged; see flush
	suspended suspense      // what is to be logged of it
}

const (
	// tripAfter is how many operations in a row must fail for a breaker to
	// open, and probeAfter how long it then is until the shard is asked again
	// whether it is back.
	tripAfter  = 3
	probeAfter = 500 * time.Millisecond

	// maxPings is how many pings of a store may be under way.
	maxPings = 16
)

// errImpatient marks an operation that was given less time than others are: that it
// took longer says nothing about the store.
var errImpatient = errors.New("memo: the store was not given much time")

// The values of shard.changes.
const (
	wentOut  = 1
	cameBack = 2
)

func newShard(c *Client, name, key string) *shard {
	s := &shard{client: c, name: name, key: key}
	s.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   1,
		Timeout:       probeAfter,
		ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= tripAfter },
		IsExcluded:    func(err error) bool { return errors.Is(err, errImpatient) },
		OnStateChange: s.stateChanged,
	})
	return s
}

// shardOf returns the shard in which key lies.
func (c *Client) shardOf(key string) *shard {
	name := store.Shard(c.Store, key)
	if name == "" {
		return c.whole
	}
	s, known := c.shards.Load(name)
	if !known {
		s, _ = c.shards.LoadOrStore(name, newShard(c, name, key))
	}
	return s.(*shard)
}

// apart divides keys by their shards. If all lie in one, it returns that and no map.
func (c *Client) apart(keys []string) (first *shard, several map[*shard][]string) {
	if _, ok := c.Store.(store.Sharder); !ok || len(keys) == 0 {
		return c.whole, nil
	}
	for i, key := range keys {
		s := c.shardOf(key)
		switch {
		case i == 0:
			first = s
		case several == nil && s != first:
			several = map[*shard][]string{first: slices.Clone(keys[:i]), s: {key}}
		case several != nil:
			several[s] = append(several[s], key)
		}
	}
	return first, several
}

// ByShard divides keys by the names of their shards.
func (c *Client) ByShard(keys []string) map[string][]string {
	by := map[string][]string{}
	for _, key := range keys {
		name := store.Shard(c.Store, key)
		by[name] = append(by[name], key)
	}
	return by
}

// each runs op for all shards at the same time. Its error is nil or a [*shardsError].
func each(several map[*shard][]string, op func(s *shard, keys []string) error) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // guards failed
		failed = &shardsError{errs: map[string]error{}}
	)
	for s, keys := range several {
		wg.Go(func() {
			err := op(s, keys)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			failed.all = append(failed.all, err)
			for _, key := range keys {
				failed.errs[key] = err
			}
		})
	}
	wg.Wait()
	if len(failed.all) == 0 {
		return nil
	}
	return failed
}

// A shardsError is the error of an operation that some shards failed. It concerns the keys
// in these only.
type shardsError struct {
	all  []error          // one of each shard
	errs map[string]error // that of its shard, by key
}

func (e *shardsError) Error() string   { return e.all[0].Error() }
func (e *shardsError) Unwrap() []error { return e.all }

// of returns what err, of an operation on several keys, says of key.
func of(err error, key string) error {
	var shards *shardsError
	if errors.As(err, &shards) {
		return shards.errs[key]
	}
	return err
}

// Concerns reports whether err may be the reason why nothing is known of key.
func Concerns(err error, key string) bool {
	err = of(err, key)
	var refused *store.KeysError
	if errors.As(err, &refused) {
		return refused.Errs[key] != nil
	}
	return err != nil
}

// RefusalOf returns the error of a key that the store refused, and nil if err is another.
func RefusalOf(err error, key string) error {
	err = of(err, key)
	var refused *store.KeysError
	if errors.As(err, &refused) {
		return refused.Errs[key]
	}
	return nil
}

// Out reports whether the store, or the shard of it in which key lies, is out of order.
func (c *Client) Out(key string) bool { return c.shardOf(key).out.Load() }

// Outages returns how often that has become so.
func (c *Client) Outages(key string) uint32 { return c.shardOf(key).outages.Load() }

// Suspend has say called if the shard of key turns out to be in order. If it does not, that is
// all there is to say.
func (c *Client) Suspend(key string, say func()) { c.shardOf(key).suspended.Add(say) }

// stateChanged remembers a change of state for flush: the breaker is locked.
func (s *shard) stateChanged(_ string, from, to gobreaker.State) {
	switch {
	case from == gobreaker.StateClosed:
		s.out.Store(true)
		s.outages.Add(1)
		s.suspended.drop()
		s.changes.Store(wentOut)
	case to == gobreaker.StateClosed:
		s.out.Store(false)
		s.changes.Store(cameBack)
	}
	if to == gobreaker.StateOpen {
		s.probeLater()
	}
}

// probeLater tries the shard again when it has been left alone for long enough, also
// if nobody calls, for as long as the client is in use.
func (s *shard) probeLater() {
	w := weak.Make(s)
	time.AfterFunc(probeAfter+time.Millisecond, func() {
		s := w.Value()
		if s == nil {
			return
		}
		switch done, err := s.breaker.Allow(); {
		case err == nil && s.out.Load():
			s.probe(done)
		case err == nil:
			done(errImpatient)
		case errors.Is(err, gobreaker.ErrOpenState):
			s.probeLater()
		}
	})
}

// flush logs the last change of state, if that was not done.
func (s *shard) flush() {
	change := s.changes.Swap(0)
	if change == 0 {
		return
	}
	about := []any{"store", s.client.Kind()}
	if s.name != "" {
		about = append(about, "shard", s.name)
	}
	switch log := s.client.Logger(); change {
	case wentOut:
		log.Warn("memo: a store does not answer; its functions go on without it until it does", about...)
	case cameBack:
		log.Info("memo: a store answers again", about...)
	}
}

// allow asks whether an operation may be tried. If so, done has to be told how it
// ended. While the breaker is open nobody is made to wait for the shard: when it
// is time to try it again, that is done in the background.
func (s *shard) allow() (done func(error), err error) {
	done, err = s.breaker.Allow()
	switch {
	case err != nil:
		return nil, ErrOut
	case s.out.Load():
		go s.probe(done)
		return nil, ErrOut
	}
	return done, nil
}

// probe pings the shard and tells the breaker, and ends with that.
func (s *shard) probe(done func(error)) {
	c := s.client
	ctx, cancel := context.WithTimeout(context.Background(), max(probeAfter, c.LongestTimeout()))
	defer cancel()
	began := clock.Now()
	err := s.ping(ctx)
	if limit := c.LongestTimeout(); err == nil && clock.Now()-began > int64(limit) { // it had to connect, or is as slow as that
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		err = s.ping(ctx)
	}
	done(err)
	s.flush()
}

// ping asks the shard whether it is in order, unless too many pings have not come
// back: of a store that hangs and heeds no context, they pile up.
func (s *shard) ping(ctx context.Context) error {
	c := s.client
	return beside.Err(ctx, func() error {
		defer c.pings.Add(-1)
		if c.pings.Add(1) > maxPings {
			return ErrBusy
		}
		_, err := shielded(ctx, func(ctx context.Context) (struct{}, error) {
			if s.name == "" {
				return struct{}{}, store.Ping(ctx, c.Store)
			}
			_, err := c.Store.Get(ctx, s.key) // a ping would ask the other shards, too
			if IsAnswer(err) {
				err = nil
			}
			return struct{}{}, err
		})
		return err
	})
}

// fetch reads keys of the shard in one round trip. With an error there may still be values.
func (s *shard) fetch(ctx context.Context, limit time.Duration, keys []string) ([][]byte, error) {
	c := s.client
	values, err := doFor(ctx, s, limit, func(ctx context.Context) ([][]byte, error) {
		values := make([][]byte, len(keys))
		if len(keys) == 1 {
			v, err := c.Store.Get(ctx, keys[0])
			if err == nil {
				values[0] = v[:len(v):len(v)]
			} else if errors.Is(err, store.ErrRefused) {
				err = &store.KeysError{Errs: map[string]error{keys[0]: err}}
			}
			return values, err
		}
		found, err := store.GetMulti(ctx, c.Store, keys)
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
