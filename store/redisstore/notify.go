package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/bubble"
	"github.com/seed-0226adef/memo/store"
)

// Notifications go over connections of their own, one to each master, in the
// client tracking of Redis 6 (CLIENT TRACKING ON BCAST): the server names every key
// under the prefix that anybody writes, deletes, evicts or that expires.
//
//   - The connection is asked for a PONG every beat. Replies and
//     notifications come in order, so a PONG proves that everything sent before
//     it was heard. Without one for silence, the connection counts as lost.
//   - Every second the masters are looked up again where they can move.
//   - When the client has been closed, which is looked for every glance and in a
//     cluster every second, nothing is going to be asked any more, and the
//     connections are closed too: whoever closes the client need not know of them.
const (
	beat    = 500 * time.Millisecond
	silence = 2 * time.Second
	survey  = time.Second
	glance  = 100 * time.Millisecond
)

// failoverAddr is the address that go-redis gives to a client from NewFailoverClient,
// whose Dialer asks the sentinels. There is no other way to tell one.
const failoverAddr = "FailoverClient"

// Notify implements [store.Notifier]. The keys that change are reported with
// the prefix they have in the server, whoever changes them; expiry, eviction
// and FLUSHALL are reported as well. Whatever is written to the database of
// another number is reported too, since Redis does not tell them apart.
//
// Every call opens a connection to each master, with the options of the client, and
// costs the server a message for each change under the prefix. The user of an ACL
// needs +hello, +ping and +client|tracking, and with Sentinel +info.
//
// A lost connection is noticed at once when it is closed, and within three seconds
// when it falls silent; a master that moved (Sentinel, cluster) after one second,
// and changes made on the new one meanwhile are not reported. While a master is
// not connected, Up(false) holds for all keys.
//
// Notify waits for the first connection, or its failure, but not longer than ctx;
// a server that cannot be reached is tried again until it can. It returns an error
// wrapping [errors.ErrUnsupported] if the server is too old or forbids tracking,
// and for a client that is neither a [redis.Client] nor a [redis.ClusterClient]. So it
// does in a testing/synctest bubble: who waits for the network there keeps its time
// from going on, and the bubble from ending.
//
// stop waits until the connections are closed, which takes no time. Closing the
// client ends the notifications too, within a second.
func (s *Store) Notify(ctx context.Context, prefix string, sink store.Sink) (stop func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, failed(ctx, "notify", err)
	}
	if bubble.Inside() {
		return nil, fmt.Errorf("memo: redisstore: in a testing/synctest bubble, which would wait for it for ever, there is no notification loop: %w", errors.ErrUnsupported)
	}
	n := &notifications{sink: sink, prefix: prefix, nodes: map[string]*node{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	switch client := s.given.(type) {
	case *redis.Client:
		n.follow(map[string]*redis.Options{client.Options().Addr: client.Options()})
		n.every(glance, func(context.Context) {
			if ifClosed(client) != nil {
				n.end()
			}
		})
		if client.Options().Addr == failoverAddr {
			n.every(survey, func(ctx context.Context) { n.checkMaster(ctx, client) })
		}
	case *redis.ClusterClient:
		n.surveyCluster(ctx, client)
		n.every(survey, func(ctx context.Context) { n.surveyCluster(ctx, client) })
	default:
		n.cancel()
		return nil, fmt.Errorf("memo: redisstore: a %T does not tell its servers, so there are no notifications: %w", client, errors.ErrUnsupported)
	}
	stop = sync.OnceFunc(n.stop)
	if err := n.firstAttempts(ctx); err != nil {
		stop()
		return nil, failed(ctx, "notify", err)
	}
	return stop, nil
}

// notifications are what one call of Notify started.
type notifications struct {
	sink   store.Sink
	prefix string
	ctx    context.Context // ends with stop
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex // held during sink.Up and sink.Suspect, which must not overlap
	nodes map[string]*node
	up    bool // what the sink was told
	ever  bool // it was told so once
}

func (n *notifications) stop() {
	n.cancel()
	n.wg.Wait()
}

// ifClosed returns an error if c was closed. It sends nothing.
func ifClosed(c *redis.Client) error {
	if err := c.Ping(ended).Err(); errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}

// ended is a context under which a client that is not closed does nothing.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// end ends the notifications when the client was closed.
func (n *notifications) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel(); n.up {
		n.up = false
		n.sink.Up(false)
	}
}

// every calls what each d until stop.
func (n *notifications) every(d time.Duration, what func(context.Context)) {
	n.wg.Go(func() {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-n.ctx.Done():
				return
			case <-ticker.C:
				what(n.ctx)
			}
		}
	})
}

// follow makes the servers of servers, by address, those that are listened to.
func (n *notifications) follow(servers map[string]*redis.Options) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil {
		return
	}
	for addr, node := range n.nodes {
		if servers[addr] == nil {
			delete(n.nodes, addr)
			node.cancel()
		}
	}
	for addr, options := range servers {
		if n.nodes[addr] == nil {
			node := &node{n: n, options: options, tried: make(chan struct{})}
			node.ctx, node.cancel = context.WithCancel(n.ctx)
			n.nodes[addr] = node
			n.wg.Go(node.run)
		}
	}
	n.settle()
}

// settle tells the sink if there is news. n.mu must be held.
func (n *notifications) settle() {
	up := len(n.nodes) > 0
	for _, node := range n.nodes {
		up = up && node.up
	}
	if up == n.up || n.ctx.Err() != nil {
		return
	}
	n.up = up
	if !up {
		n.sink.Up(false)
		return
	}
	if n.ever {
		n.sink.Suspect() // what changed in between nobody knows
	}
	n.ever = true
	n.sink.Up(true)
}

// firstAttempts waits until every node has been tried, and returns an error if one
// cannot notify at all.
func (n *notifications) firstAttempts(ctx context.Context) error {
	n.mu.Lock()
	nodes := make([]*node, 0, len(n.nodes))
	for _, node := range n.nodes {
		nodes = append(nodes, node)
	}
	n.mu.Unlock()
	for _, node := range nodes {
		select {
		case <-node.tried:
			if errors.Is(node.triedErr, errors.ErrUnsupported) {
				return node.triedErr
			}
		case <-node.ctx.Done(): // it is no master any more
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// surveyCluster follows the masters that the cluster has now. One that does not
// answer leaves things as they are: the connections tell for themselves.
func (n *notifications) surveyCluster(ctx context.Context, client *redis.ClusterClient) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	masters, err := do(ctx, "notify", func() (map[string]*redis.Options, error) {
		var mu sync.Mutex
		masters := map[string]*redis.Options{}
		err := client.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			masters[c.Options().Addr] = c.Options()
			return ifClosed(c)
		})
		return masters, err
	})
	switch {
	case errors.Is(err, redis.ErrClosed):
		n.end()
	case err == nil && len(masters) > 0:
		n.follow(masters)
	}
}

// checkMaster ends the session if client writes to another server than the one
// that is listened to. After a planned failover Sentinel leaves our connection
// with the old master for some ten seconds (measured with Redis 7.0).
func (n *notifications) checkMaster(ctx context.Context, client *redis.Client) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	info, err := do(ctx, "notify", func() (string, error) { return client.Info(ctx, "server").Result() })
	now := runID(info)
	if err != nil || now == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.nodes {
		if node.up && node.runID != now {
			node.endSession()
		}
	}
}

// runID returns what tells one running server from every other.
func runID(info string) string {
	for line := range strings.Lines(info) {
		if id, ok := strings.CutPrefix(line, "run_id:"); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
