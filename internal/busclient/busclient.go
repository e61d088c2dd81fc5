// Package busclient is one bus as all functions of the process use it.
//
//   - A Client is a bus: what is to be published there, and the subscription.
//   - A Seat is one keyspace's place at a bus.
//
// The package knows messages and who hears them. It knows neither stores nor what the keys in
// a message mean.
package busclient

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/seed-0226adef/memo/internal/beside"
	"github.com/seed-0226adef/memo/internal/bubble"
	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A Client is a bus as the process uses it, for as long as a keyspace does.
type Client struct {
	bus   store.Bus
	used  atomic.Bool // since somebody looked last, or asked for a subscription
	mu    sync.Mutex
	seats map[weak.Pointer[Seat]]struct{} // guarded by mu

	queue      []change // guarded by mu; what is to be published, oldest first
	publishing bool     // guarded by mu; there is a goroutine that publishes
	subscribed bool     // guarded by mu; there is a subscription, or will be, or there has to be a pause

	reported map[string]int64 // guarded by mu; when, by what was said
}

// A change is a key that has changed, as one seat knows it.
type change struct {
	sender store.Token
	prefix string
	key    string
}

// A Seat is the place of one keyspace at a bus.
type Seat struct {
	client *Client
	prefix string
	sender store.Token
	on     Events
	holds  atomic.Bool // there are, or were, copies that have to hear of changes
}

// Events tell a keyspace what comes by a bus. They must not block.
type Events struct {
	// Changed says that keys have changed, some of which may be none of the keyspace's.
	Changed func(keys []string)
	// Begun says that changes are heard of from now on, and that those from before may have
	// been missed.
	Begun func()
	// Logger returns where to log.
	Logger func() *slog.Logger
}

// The bounds of what a client does.
const (
	// maxQueued is how many changes wait to be published. Beyond that the oldest are
	// dropped.
	maxQueued = 1 << 14
	// publishTimeout bounds the publication of one message, and subscribeTimeout a
	// subscription, until it is there.
	publishTimeout   = time.Second
	subscribeTimeout = 5 * time.Second
	// pause is how long a subscription that has failed is not tried again.
	pause = 5 * time.Second
	// Idle is how long a subscription lasts when no keyspace uses its store.
	Idle = 30 * time.Second

	reportEvery = time.Minute
)

// Queued counts the changes of all buses that are not published yet.
var Queued atomic.Int64

// clients are those in use, by bus.
var clients = struct {
	sync.Mutex
	by map[store.Bus]weak.Pointer[Client]
}{by: map[store.Bus]weak.Pointer[Client]{}}

// of returns the client of b.
func of(b store.Bus) *Client {
	clients.Lock()
	defer clients.Unlock()
	if c := clients.by[b].Value(); c != nil {
		return c
	}
	c := &Client{bus: b, seats: map[weak.Pointer[Seat]]struct{}{}, reported: map[string]int64{}}
	clients.by[b] = weak.Make(c)
	runtime.AddCleanup(c, forget, b)
	return c
}

func forget(b store.Bus) {
	clients.Lock()
	defer clients.Unlock()
	if clients.by[b].Value() == nil { // no other has taken its place
		delete(clients.by, b)
	}
}

// Take returns a place at b for the keyspace with that prefix, which keeps it for as long as
// it is in use.
func Take(b store.Bus, prefix string, on Events) *Seat {
	c := of(b)
	s := &Seat{client: c, prefix: prefix, sender: store.NewToken(), on: on}
	w := weak.Make(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seats[w] = struct{}{}
	runtime.AddCleanup(s, c.leave, w)
	return s
}

func (c *Client) leave(w weak.Pointer[Seat]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seats, w)
}

// At reports whether the seat is at b.
func (s *Seat) At(b store.Bus) bool { return s.client.bus == b }

// present returns the seats in use.
func (c *Client) present() (all []*Seat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.seats {
		if s := w.Value(); s != nil {
			all = append(all, s)
		}
	}
	return all
}

// Publish has the others told that keys have changed. It does not wait for that.
func (s *Seat) Publish(keys ...string) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.queue = append(c.queue, change{s.sender, s.prefix, key})
	}
	Queued.Add(int64(len(keys)))
	if over := len(c.queue) - maxQueued; over > 0 {
		c.queue = append([]change(nil), c.queue[over:]...)
		Queued.Add(-int64(over))
	}
	if !c.publishing && len(c.queue) > 0 {
		c.publishing = true
		go c.publish()
	}
}

// publish ends when nothing is queued any more.
func (c *Client) publish() {
	for {
		c.mu.Lock()
		some := c.queue
		c.queue = nil
		c.publishing = len(some) > 0
		c.mu.Unlock()
		if len(some) == 0 {
			return
		}
		if err := c.publishAll(messagesOf(some)); err != nil {
			c.report("a bus does not publish; other processes see changes when their copies are old enough", "error", err)
		}
		Queued.Add(-int64(len(some)))
	}
}

// messagesOf returns the messages that tell of all these changes.
func messagesOf(some []change) (messages [][]byte) {
	by := map[store.Token]*wire.Message{}
	var order []*wire.Message
	for _, ch := range some {
		m := by[ch.sender]
		if m == nil {
			m = &wire.Message{Sender: ch.sender, Prefix: ch.prefix}
			by[ch.sender], order = m, append(order, m)
		}
		m.Keys = append(m.Keys, ch.key)
	}
	for _, m := range order {
		messages = m.AppendTo(messages)
	}
	return messages
}

// publishAll publishes until something fails: a bus that is down holds nobody up for longer
// than one message takes.
func (c *Client) publishAll(messages [][]byte) error {
	for _, message := range messages {
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		err := guarded(func() error { return c.bus.Publish(ctx, message) })
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// guarded is call, whose panic is an error.
func guarded(call func() error) error { return beside.Err(context.Background(), call) }

// Listen sees to it that the seat hears of changes, from a moment later on.
func (s *Seat) Listen() {
	s.holds.Store(true)
	s.client.listen()
}

// Use notes that the keyspace is in use. It goes on hearing of changes if it did before.
func (s *Seat) Use() {
	if s.holds.Load() {
		s.client.listen()
	}
}

func (c *Client) listen() {
	if c.used.Load() {
		return
	}
	c.used.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.subscribed {
		c.subscribed = true
		go c.subscribe()
	}
}

// subscribe ends within subscribeTimeout, if the bus keeps to its contract.
func (c *Client) subscribe() {
	ctx, cancel := context.WithCancel(context.Background())
	late := time.AfterFunc(subscribeTimeout, cancel)
	err := guarded(func() error { return c.bus.Subscribe(ctx, c.receive) })
	if !late.Stop() && err == nil {
		err = context.DeadlineExceeded
	}
	switch {
	case err == nil:
		for _, s := range c.present() {
			s.on.Begun()
		}
		time.AfterFunc(Idle, func() { c.renew(cancel) })
		return
	case bubble.Inside() && errors.Is(err, errors.ErrUnsupported):
		c.restart() // elsewhere there may be a subscription
	default:
		c.report("a bus takes no subscription; changes by other processes are seen when copies are old enough", "error", err)
		time.AfterFunc(pause, c.restart)
	}
	cancel()
}

// renew ends the subscription if nobody has used it lately.
func (c *Client) renew(end func()) {
	if c.used.Swap(false) {
		time.AfterFunc(Idle, func() { c.renew(end) })
		return
	}
	end()
	c.restart()
}

// restart lets the next use subscribe again.
func (c *Client) restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribed = false
	c.used.Store(false)
}

// receive hands a message to those whom it is for.
func (c *Client) receive(message []byte) {
	m, ok := wire.DecodeMessage(message)
	if !ok {
		c.report("a bus brings something that is no message of memo's; it is ignored", "bytes", len(message))
		return
	}
	for _, s := range c.present() {
		if s.prefix == m.Prefix && s.sender != m.Sender {
			s.on.Changed(m.Keys)
		}
	}
}

// report logs something, once a minute at most.
func (c *Client) report(what string, args ...any) {
	t := clock.Now()
	c.mu.Lock()
	last, again := c.reported[what]
	due := !again || t < last || t >= clock.After(last, reportEvery)
	if due {
		c.reported[what] = t
	}
	c.mu.Unlock()
	if !due {
		return
	}
	for _, s := range c.present() {
		_ = guarded(func() error { s.on.Logger().Warn("memo: "+what, args...); return nil })
		return
	}
}
