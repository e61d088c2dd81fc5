// Package memonats is a bus over NATS, by which the processes that share a store tell each
// other what they have changed there, so that copies are dropped within milliseconds:
//
//	bus := memonats.NewBus(conn, nil)
//	users := memo.New(loadUser, memo.Store(memcached), memo.Bus(bus), memo.Name("users.byID"))
//
// Messages go over core NATS, at most once and without being stored, which is all that a
// [store.Bus] needs.
package memonats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-0226adef/memo/store"
)

// Options configure a [Bus].
type Options struct {
	// Subject is what messages are published to. All processes that share a store use the same one;
	// several stores may do so too. Empty means "memo".
	Subject string
}

// A Bus is a [store.Bus] over NATS. Create one with [NewBus]. All methods are safe for
// concurrent use.
type Bus struct {
	conn    *nats.Conn
	subject string
}

var _ store.Bus = (*Bus)(nil)

// NewBus returns a bus that uses conn, which it does not close. A nil o means the zero
// Options. It panics if conn is nil, or if the subject has wildcards, spaces or empty
// parts.
//
// The connection looks for a server again by itself, MaxReconnects times for each server (60
// unless configured) and then never again: give it [nats.MaxReconnects](-1). With
// [nats.NoEcho] functions of one process that use different values as their Store do not
// hear of each other.
func NewBus(conn *nats.Conn, o *Options) *Bus {
	if conn == nil {
		panic("memo: memonats: the connection is nil; give NewBus one from nats.Connect")
	}
	b := &Bus{conn: conn, subject: "memo"}
	if o != nil {
		b.subject = cmp.Or(o.Subject, b.subject)
	}
	for part := range strings.SplitSeq(b.subject, ".") {
		if part == "" || strings.ContainsAny(part, "*> \t\r\n") {
			panic(fmt.Sprintf("memo: memonats: Options.Subject is %q; give a subject without wildcards, spaces and empty parts", b.subject))
		}
	}
	return b
}

// Publish implements [store.Bus]. While the connection is lost it returns an error: what the
// client would keep until there is one again is of no use by then. In a testing/synctest bubble,
// as [Bus.Subscribe] does, it returns an error wrapping [errors.ErrUnsupported].
func (b *Bus) Publish(ctx context.Context, message []byte) error {
	if err := b.usable(ctx); err != nil {
		return fmt.Errorf("memo: memonats: publish: %w", err)
	}
	if err := b.conn.Publish(b.subject, message); err != nil { // copies the message
		return fmt.Errorf("memo: memonats: publish: %w", err)
	}
	return nil
}

var (
	errNotConnected = errors.New("the connection is lost")
	errBubble       = fmt.Errorf("in a testing/synctest bubble, which would wait for the network for ever, there is no bus: %w", errors.ErrUnsupported)
)

// usable returns why the bus cannot be used under ctx.
func (b *Bus) usable(ctx context.Context) error {
	switch t := time.Now(); {
	case t == t.Round(0): // only in a bubble has the time no monotonic part, which Round takes off
		return errBubble
	case ctx.Err() != nil:
		return ctx.Err()
	case !b.conn.IsConnected():
		return errNotConnected
	}
	return nil
}

// Subscribe implements [store.Bus]. The server has the subscription when it returns. While the
// connection is lost there is none.
func (b *Bus) Subscribe(ctx context.Context, receive func(message []byte)) error {
	if err := b.usable(ctx); err != nil {
		return fmt.Errorf("memo: memonats: subscribe: %w", err)
	}
	sub, err := b.conn.Subscribe(b.subject, func(m *nats.Msg) { receive(m.Data) })
	if err != nil {
		return fmt.Errorf("memo: memonats: subscribe: %w", err)
	}
	end := func() { _ = sub.Unsubscribe() } // an error says that the connection has gone, and the subscription with it
	stop := context.AfterFunc(ctx, end)
	bounded, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := b.conn.FlushWithContext(bounded); err != nil {
		stop()
		end()
		return fmt.Errorf("memo: memonats: subscribe: %w", err)
	}
	return nil
}

// flushTimeout bounds the wait for the server's answer, which the client wants bounded.
const flushTimeout = 2 * time.Second
