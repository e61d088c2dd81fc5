package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/redis/go-redis/v9/push"

	"github.com/seed-0226adef/memo/internal/beside"
)

// A node is a master that is listened to, over one connection after another.
type node struct {
	n       *notifications
	options *redis.Options // of the client that the application uses for it
	ctx     context.Context
	cancel  context.CancelFunc

	tried    chan struct{} // closed when the first session is up or has failed
	triedErr error         // why; read after tried is closed

	up         bool   // guarded by n.mu, as are the following, of the present session
	runID      string // the server's; "" unless it is looked up through Sentinel
	endSession context.CancelFunc
}

// run holds a session until the node is given up.
func (d *node) run() {
	const shortest, longest = 10 * time.Millisecond, time.Second
	wait := shortest
	var once sync.Once
	tried := func(err error) { once.Do(func() { d.triedErr = err; close(d.tried) }) }
	for d.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(d.ctx)
		s := &session{node: d, ctx: ctx, begun: time.Now(), isUp: func() { tried(nil); wait = shortest }}
		err := beside.Err(context.Background(), func() error { return s.run(cancel) }) // a panic is an error
		cancel()
		tried(err)
		d.setUp(false, "", nil)

		select {
		case <-d.ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

func (d *node) setUp(up bool, runID string, end context.CancelFunc) {
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	d.up, d.runID, d.endSession = up, runID, end
	d.n.settle()
}

// A session is one connection: a subscription to no channel, which go-redis reads
// from until something arrives, handing notifications to a processor and PONGs to
// the caller. It is over when its context ends, which closes the connection.
type session struct {
	node  *node
	ctx   context.Context
	begun time.Time
	isUp  func()

	dialed atomic.Bool
	runID  string
	cannot error        // wraps ErrUnsupported: why the server does not notify
	pong   atomic.Int64 // when the newest PING that was answered was sent, in ns after begun
}

// run returns why the session is over.
func (s *session) run(end context.CancelFunc) error {
	options, err := s.options()
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close()
	sub := client.Subscribe(s.ctx)
	defer sub.Close()

	if err := s.ping(sub); err != nil { // connects
		if s.cannot != nil {
			return s.cannot
		}
		return err
	}
	var pings sync.WaitGroup
	defer pings.Wait()
	defer end()
	pings.Go(func() {
		defer end()
		s.keepAsking(sub)
	})

	up := false
	for {
		// Without a deadline: one in the middle of a notification would lose the thread.
		message, err := sub.Receive(s.ctx)
		if err != nil {
			return err
		}
		pong, ok := message.(*redis.Pong)
		if !ok {
			continue
		}
		if sent, err := strconv.ParseInt(pong.Payload, 10, 64); err == nil {
			s.pong.Store(sent)
		}
		if !up {
			up = true
			s.node.setUp(true, s.runID, end)
			s.isUp()
		}
	}
}

// ping sends a PING that says when it was sent. sub notices errors of writing only;
// it is the PONG that counts.
func (s *session) ping(sub *redis.PubSub) error {
	return sub.Ping(s.ctx, strconv.FormatInt(int64(time.Since(s.begun)), 10))
}

// keepAsking returns when the server has been silent for too long.
func (s *session) keepAsking(sub *redis.PubSub) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		if time.Since(s.begun)-time.Duration(s.pong.Load()) > silence {
			return
		}
		if s.ping(sub) != nil {
			return
		}
	}
}

// options are those of the application's client, for one connection that lasts.
func (s *session) options() (*redis.Options, error) {
	processor := redis.NewPushNotificationProcessor()
	if err := processor.RegisterHandler("invalidate", handler(s.invalidate), true); err != nil {
		return nil, err
	}
	app := s.node.options
	o := *app
	o.Protocol = 3
	o.PushNotificationProcessor = processor
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.ClientSideCache, o.ClientSideCacheConfig = nil, nil
	o.Limiter = nil
	o.MinIdleConns = 0
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.ReadTimeout = silence // of the handshake; Receive has none
	o.WriteTimeout = beat
	o.Dialer = func(_ context.Context, network, addr string) (net.Conn, error) {
		// A PubSub that loses its connection dials anew before it says so, and
		// its methods wait meanwhile. A session has one connection.
		if s.dialed.Swap(true) {
			return nil, net.ErrClosed
		}
		return s.dial(app, network, addr)
	}
	o.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if app.OnConnect != nil {
			if err := app.OnConnect(ctx, conn); err != nil {
				return err
			}
		}
		return s.track(ctx, conn)
	}
	return &o, nil
}

// dial connects as the application does, and returns when the session ends also
// where that does not: go-redis ignores the context for TLS.
func (s *session) dial(app *redis.Options, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, silence)
	defer cancel()
	conn, err := do(ctx, "notify", func() (net.Conn, error) {
		conn, err := app.Dialer(ctx, network, addr)
		if err == nil {
			context.AfterFunc(s.ctx, func() { conn.Close() }) // at once if the session is over
		}
		return conn, err
	})
	return conn, err
}

// track makes the server report changes on conn.
func (s *session) track(ctx context.Context, conn *redis.Conn) error {
	// Where HELLO 3 is refused go-redis goes on in RESP2, in which CLIENT
	// TRACKING answers OK and nothing is ever reported. A bare HELLO tells.
	hello, err := conn.Do(ctx, "hello").Result()
	if err != nil {
		return s.refused("HELLO", err)
	}
	if reply, _ := hello.(map[any]any); reply["proto"] != int64(3) {
		s.cannot = fmt.Errorf("the server does not speak RESP3: %w", errors.ErrUnsupported)
		return s.cannot
	}
	if s.node.options.Addr == failoverAddr {
		info, err := conn.Info(ctx, "server").Result()
		if err != nil {
			return s.refused("INFO", err)
		}
		s.runID = runID(info)
	}
	args := []any{"client", "tracking", "on", "bcast"}
	if s.node.n.prefix != "" {
		args = append(args, "prefix", s.node.n.prefix)
	}
	if err := conn.Do(ctx, args...).Err(); err != nil {
		return s.refused("CLIENT TRACKING", err)
	}
	return nil
}

// refused returns err, and notes if it means that the server never will: that it does
// not know the command, or that the user must not send it.
func (s *session) refused(command string, err error) error {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return err
	}
	text := strings.ToLower(answer.Error())
	for _, never := range []string{"err unknown", "err syntax", "noperm"} {
		if strings.HasPrefix(text, never) {
			s.cannot = fmt.Errorf("%s: %v: %w", command, err, errors.ErrUnsupported)
		}
	}
	return err
}

// invalidate takes a notification: the keys that changed, or nil for all of them.
// It is called by the goroutine in Receive, one at a time.
func (s *session) invalidate(notification []any) error {
	n := s.node.n
	if s.ctx.Err() != nil {
		return nil
	}
	var keys []string
	if len(notification) > 1 {
		names, _ := notification[1].([]any)
		for _, name := range names {
			if key, ok := name.(string); ok {
				keys = append(keys, key)
			}
		}
	}
	if keys != nil {
		n.sink.Changed(keys)
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() == nil {
		n.sink.Suspect()
	}
	return nil
}

type handler func(notification []any) error

func (h handler) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, notification []any) error {
	return h(notification)
}
