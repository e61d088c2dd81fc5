package redisstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/beside"
	"github.com/seed-0226adef/memo/internal/bubble"
)

// BusOptions configure a [Bus].
type BusOptions struct {
	// Channel is the Pub/Sub channel. All processes that share a store use the same one; several
	// stores may do so too. Empty means "memo".
	Channel string
}

// A Bus is a [store.Bus] over the Pub/Sub of Redis, Valkey, or what speaks their protocol, for
// functions whose [store.Store] is elsewhere: one in Redis tells of changes by itself. Give it with
// memo.Bus.
//
// Create one with [NewBus]. All methods are safe for concurrent use.
type Bus struct {
	client  redis.UniversalClient
	channel string
}

// NewBus returns a bus that uses client, which it does not close: whatever the client is
// connected to, one server, a master found through Sentinel, a cluster, a ring. A nil o means
// the zero BusOptions. NewBus panics if client is nil.
//
// A process that listens has one connection for that, beside those of the client's pool. The user of an ACL needs
// +publish, +subscribe, +unsubscribe, +ping and the channel.
func NewBus(client redis.UniversalClient, o *BusOptions) *Bus {
	if isNil(client) {
		panic("memo: redisstore: the client is nil; give NewBus a client, for instance from redis.NewClient")
	}
	b := &Bus{client: client, channel: "memo"}
	if o != nil {
		b.channel = cmp.Or(o.Channel, b.channel)
	}
	return b
}

// errNoBus is why there is no bus in a testing/synctest bubble.
var errNoBus = fmt.Errorf("memo: redisstore: in a testing/synctest bubble, which would wait for it for ever, there is no bus: %w", errors.ErrUnsupported)

// Publish implements [store.Bus]. In a testing/synctest bubble, as [Bus.Subscribe] does, it
// returns an error wrapping [errors.ErrUnsupported].
func (b *Bus) Publish(ctx context.Context, message []byte) error {
	if bubble.Inside() {
		return errNoBus
	}
	message = bytes.Clone(message)
	return doErr(ctx, "publish", func() error { return b.client.Publish(ctx, b.channel, message).Err() })
}

// Subscribe implements [store.Bus]. The connection is asked for a PONG every beat, and replaced
// when it has been silent for too long. Closing the client ends the subscription.
func (b *Bus) Subscribe(ctx context.Context, receive func(message []byte)) error {
	if bubble.Inside() {
		return errNoBus
	}
	l, err := do(ctx, "subscribe", func() (*listener, error) { return b.listen(ctx, receive) })
	if err != nil {
		return err
	}
	go l.run() // ends with ctx, or when the client was closed
	return nil
}

// A listener is a connection that is subscribed to the channel.
type listener struct {
	bus     *Bus
	receive func([]byte)
	ctx     context.Context // of the subscription
	sub     *redis.PubSub
	end     func()       // closes sub
	heard   atomic.Int64 // when something came last, in ns after begun
	begun   time.Time
}

// listen returns when the server has confirmed the subscription. What is made ends with ctx.
func (b *Bus) listen(ctx context.Context, receive func([]byte)) (*listener, error) {
	sub := b.client.Subscribe(ctx, b.channel)
	l := &listener{bus: b, receive: receive, ctx: ctx, sub: sub, begun: time.Now()}
	stop := context.AfterFunc(ctx, func() { sub.Close() })
	l.end = func() { stop(); sub.Close() }
	for {
		message, err := sub.Receive(ctx)
		if err != nil {
			l.end()
			return nil, err
		}
		if _, ok := message.(*redis.Subscription); ok {
			return l, nil
		}
	}
}

// run has messages received until the context ends or the client was closed.
func (l *listener) run() {
	const shortest, longest = 10 * time.Millisecond, time.Second
	wait := shortest
	for l != nil {
		if beside.Err(context.Background(), l.receiveAll) == nil { // a panic is an error
			wait = shortest
		}
		l.end()
		l = l.next(&wait, longest)
	}
}

// next returns a listener in the place of one that is over, or nil if there is to be none.
func (l *listener) next(wait *time.Duration, longest time.Duration) *listener {
	for {
		select {
		case <-l.ctx.Done():
			return nil
		case <-time.After(*wait):
		}
		*wait = min(2**wait, longest)
		next, err := beside.Do(l.ctx, func() (*listener, error) { return l.bus.listen(l.ctx, l.receive) })
		switch {
		case err == nil:
			return next
		case errors.Is(err, redis.ErrClosed): // the client's
			return nil
		}
	}
}

// receiveAll receives until the connection is lost, and returns an error if nothing came by it.
func (l *listener) receiveAll() error {
	over := make(chan struct{})
	defer close(over)
	go l.keepAsking(over)
	for received := false; ; received = true {
		message, err := l.sub.Receive(l.ctx)
		if err != nil {
			if received {
				return nil
			}
			return err
		}
		l.heard.Store(int64(time.Since(l.begun)))
		if m, ok := message.(*redis.Message); ok {
			l.receive([]byte(m.Payload))
		}
	}
}

// keepAsking gives the connection up when it has been silent for too long. It ends with over.
func (l *listener) keepAsking(over <-chan struct{}) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
		}
		if time.Since(l.begun)-time.Duration(l.heard.Load()) > silence {
			l.end()
			return
		}
		_ = l.sub.Ping(l.ctx) // what counts is the PONG
	}
}
