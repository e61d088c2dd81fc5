package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A server is the store that all processes share. It may lose its data, and come back with older
// data.
type server struct {
	mu   sync.Mutex
	data *memstore.Store // guarded by mu
	keys map[string]bool // guarded by mu; those that were written
	subs []*subscriber   // guarded by mu
}

func newServer() *server { return &server{data: memstore.New(nil), keys: map[string]bool{}} }

// do has the server do something, at once.
func (s *server) do(what func(*memstore.Store) error, writes ...string) error {
	s.mu.Lock()
	for _, key := range writes {
		s.keys[key] = true
	}
	data, subs := s.data, slices.Clone(s.subs)
	s.mu.Unlock()
	err := what(data)
	if err == nil && len(writes) > 0 {
		for _, sub := range subs {
			sub.tell(writes)
		}
	}
	return err
}

// written returns the keys that were written, in order.
func (s *server) written() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.keys))
	for key := range s.keys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// snapshot returns what the server holds.
func (s *server) snapshot() map[string][]byte {
	all, _ := s.current().GetMulti(context.Background(), s.written())
	return all
}

func (s *server) current() *memstore.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// restart has the server come back with what data has.
func (s *server) restart(data map[string][]byte) {
	next := memstore.New(nil)
	for key, value := range data {
		next.Set(context.Background(), key, value, time.Minute)
	}
	s.mu.Lock()
	s.data = next
	subs := slices.Clone(s.subs)
	s.mu.Unlock()
	for _, sub := range subs {
		sub.sink.Suspect()
	}
}

// A link is the store as one process sees it, through a network of its own.
type link struct {
	server *server

	mu    sync.Mutex
	rng   *rand.Rand // guarded by mu
	cut   bool       // guarded by mu; nothing gets through, and nobody is told
	dead  bool       // guarded by mu; the process is no more: what it sends is lost
	rough float64    // guarded by mu; the part of operations that go wrong
}

func newLink(s *server, rng *rand.Rand, rough float64) *link {
	return &link{server: s, rng: rng, rough: rough}
}

// A course is what the network does to one operation.
type course struct {
	there, back         time.Duration
	lost, unanswered    bool
	again               time.Duration // when it arrives a second time; zero for never
	unreachable, killed bool
}

// draw draws a course.
func (l *link) draw(write bool) course {
	l.mu.Lock()
	defer l.mu.Unlock()
	between := func(from, to time.Duration) time.Duration { return from + time.Duration(l.rng.Int64N(int64(to-from))) }
	c := course{there: between(50*time.Microsecond, 5*time.Millisecond), back: between(50*time.Microsecond, 5*time.Millisecond)}
	c.killed, c.unreachable = l.dead, l.cut
	if l.rng.Float64() >= l.rough {
		return c
	}
	switch l.rng.IntN(6) {
	case 0:
		c.there = between(5*time.Millisecond, 200*time.Millisecond)
	case 1:
		c.there = between(200*time.Millisecond, 4*time.Second)
	case 2:
		c.back = between(5*time.Millisecond, time.Second)
	case 3:
		c.lost = true
	case 4:
		c.unanswered = true
	case 5:
		if write {
			c.again = between(time.Millisecond, 3*time.Second)
		}
	}
	return c
}

var errKilled = errors.New("sim: the process is no more")

// carry sends an operation over the network, and returns its answer. It takes place however
// its caller has fared by then.
func carry[T any](ctx context.Context, l *link, write bool, op func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	c := l.draw(write)
	switch {
	case c.killed:
		return none, errKilled
	case c.unreachable, c.lost:
		<-ctx.Done()
		return none, ctx.Err()
	}
	answered := make(chan answer, 1)
	go func() { // ends with the operation
		time.Sleep(c.there)
		value, err := op()
		if c.again > 0 {
			go func() { // the same
				time.Sleep(c.again)
				op()
			}()
		}
		if c.unanswered {
			return
		}
		time.Sleep(c.back)
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func (l *link) write(ctx context.Context, keys []string, what func(*memstore.Store) error) error {
	_, err := carry(ctx, l, true, func() (struct{}, error) { return struct{}{}, l.server.do(what, keys...) })
	return err
}

func (l *link) Get(ctx context.Context, key string) ([]byte, error) {
	return carry(ctx, l, false, func() ([]byte, error) { return l.server.current().Get(context.Background(), key) })
}

func (l *link) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	return carry(ctx, l, false, func() (map[string][]byte, error) {
		return l.server.current().GetMulti(context.Background(), keys)
	})
}

func (l *link) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return l.write(ctx, []string{key}, func(s *memstore.Store) error { return s.Set(context.Background(), key, value, ttl) })
}

func (l *link) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return l.write(ctx, []string{key}, func(s *memstore.Store) error { return s.Add(context.Background(), key, value, ttl) })
}

func (l *link) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	return l.write(ctx, []string{key}, func(s *memstore.Store) error { return s.Swap(context.Background(), key, old, value, ttl) })
}

func (l *link) Delete(ctx context.Context, keys ...string) error {
	return l.write(ctx, keys, func(s *memstore.Store) error { return s.Delete(context.Background(), keys...) })
}

func (l *link) Ping(ctx context.Context) error {
	_, err := carry(ctx, l, false, func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// part cuts the link, or heals it; where the store notifies, the process knows.
func (l *link) part(cut bool) {
	l.mu.Lock()
	changed := l.cut != cut
	l.cut = cut
	l.mu.Unlock()
	for _, sub := range l.server.subscribers(l) {
		switch {
		case changed && cut:
			sub.sink.Up(false)
		case changed:
			sub.sink.Suspect()
			sub.sink.Up(true)
		}
	}
}

// die has the process be no more. What it has sent may still arrive.
func (l *link) die(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
}

// smooth ends what goes wrong.
func (l *link) smooth() {
	l.part(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rough = 0
}

// A notifying link also reports changes, each a little later, and loses none while the link is
// whole.
type notifying struct{ *link }

type subscriber struct {
	link *link
	sink store.Sink
}

func (n notifying) Notify(_ context.Context, _ string, sink store.Sink) (func(), error) {
	s, sub := n.server, &subscriber{link: n.link, sink: sink}
	s.mu.Lock()
	s.subs = append(s.subs, sub)
	s.mu.Unlock()
	sink.Suspect()
	sink.Up(true)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subs = slices.DeleteFunc(s.subs, func(o *subscriber) bool { return o == sub })
	}, nil
}

// subscribers returns those of one process.
func (s *server) subscribers(l *link) []*subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.subs), func(sub *subscriber) bool { return sub.link != l })
}

func (sub *subscriber) tell(keys []string) {
	c := sub.link.draw(false)
	if c.killed || c.unreachable {
		return
	}
	time.AfterFunc(c.there, func() { sub.sink.Changed(keys) })
}
