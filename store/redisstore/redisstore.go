// Package redisstore is a store in Redis, Valkey, or what speaks their protocol.
//
// [New] takes the official client, whatever it is connected to: one server, a
// master found through Sentinel, a cluster, a ring. The store uses the client
// and owns nothing: the client is configured, shared and closed by whoever
// made it, after the last use of the store.
//
// # What is sent
//
// Get is GET, Set is SET with PX, Add is SET NX, Delete is DEL, all under the
// key as it is given. Swap is a script of three lines, run by its hash (EVALSHA)
// and sent whole where the server does not know it yet. GetMulti is MGET on one
// server, elsewhere GETs in one pipeline. Nothing else is written, and nothing
// that looks through the keyspace. Redis 3.0 is enough for all of these;
// notifications need 6.0.
//
// # Contexts
//
// The client underneath ends a call when its own timeouts say so and not when
// the context does. The store therefore waits for a call beside the context,
// and returns when the first of them ends. The call that was left alone goes
// on in its goroutine until the client's ReadTimeout (5 seconds unless
// configured) and holds a connection of the pool that long, so a ReadTimeout
// near the longest wait that is of use is worth setting. A write that was left
// alone may take place after the method has returned.
//
// A context that can never end costs no goroutine. Nor does one of package memo's that
// ends by its deadline only, with a [redis.Client], which the store has honour
// deadlines, and with a [redis.ClusterClient] that is configured to, by
// ContextTimeoutEnabled. For that the store makes a client of its own when it first
// has such a context, on the same connections: hooks are to be added before.
//
// # Retries
//
// The client sends a command again after most failures of a connection, MaxRetries
// times (3 unless configured). That does no harm to Get and Delete. Add and Swap
// would take their own success, whose reply was lost, for somebody else's, and
// a Set that has taken place, and whose value was read and then deleted or
// replaced, would bring it back under the same token. So the store has these three
// sent once: a lost reply comes back as an error, which leaves open whether the
// write took place, as the contract says.
//
// # What Redis does not promise
//
// Replication is asynchronous. When a master is lost, writes that were
// confirmed may be lost with it: a value reappears that was deleted in the last
// moment, a lease is given twice. A ring has no replication at all: while
// it counts a shard as down it asks others for its keys, and when the shard is
// back so are its old values. Where that matters, let values expire.
//
// A server that is full and evicts nothing (maxmemory-policy noeviction) answers
// writes with an error that begins with OOM, which wraps [store.ErrReadOnly]; give a
// cache a policy that evicts.
package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/store"
)

// Options configure a [Store].
type Options struct {
	// AutoPipeline, if not nil, is what Get, Set, Add, Swap and Delete of one key
	// are sent through, so that concurrent calls share round trips. It must
	// come from the client given to [New]: client.AutoPipeline(). Everything else
	// uses the client itself.
	//
	// It multiplies the throughput of many goroutines and costs one that is alone.
	// A batch holds up whatever is queued behind it, so a server that hangs is
	// felt by more calls than without.
	AutoPipeline *redis.AutoPipeliner

	// MaxValue is the length in bytes of the longest value that is sent; a longer
	// one is refused with an error wrapping [store.ErrRefused]. Set it to the
	// server's proto-max-bulk-len where that is not the default: a server
	// answers a longer value by closing the connection.
	// Zero means [MaxValue]; a negative number panics in New.
	MaxValue int
}

// Store is a [store.Store] in Redis. It also implements [store.MultiGetter],
// [store.Pinger], [store.Notifier] and [store.Sharder].
//
// Create one with [New]. All methods are safe for concurrent use.
//
// Keys are any bytes up to [MaxKeyLen] but none at all: the empty key, which the clients of clusters
// and rings send to a random server, is refused with an error wrapping
// [store.ErrRefused]. A ttl is rounded up to [TTLGranularity].
//
// Errors of the server and of the connection come wrapped; errors.As finds a
// [redis.Error]. Those that concern one key wrap [store.ErrRefused]: the value there is no
// string (WRONGTYPE), or the user may not touch the key (NOPERM). Those that concern all
// writes and no read wrap [store.ErrReadOnly]: OOM, READONLY, MISCONF, NOREPLICAS, and
// NOPERM for a command.
type Store struct {
	given    redis.UniversalClient        // by the user
	pipeline redis.UniversalClient        // its AutoPipeliner, or nil
	punctual func() redis.UniversalClient // given, honouring deadlines; nil if it cannot
	oneNode  bool                         // commands may name several keys
	maxValue int
	routed   atomic.Bool // the client knows which server has which key
}

// New returns a store that uses client. A nil o means the zero Options.
//
// An AutoPipeliner, sync or async, may be given as the client. It hides which
// client it belongs to, so such a store cannot notify; [Options.AutoPipeline] is
// the way to have both.
//
// New panics if client is nil, if a limit is negative, and if reads would not be
// answered by where writes go, on which leases rest: a [redis.ClusterClient] with
// ReadOnly, RouteByLatency or RouteRandomly, a client with a client-side cache.
func New(client redis.UniversalClient, o *Options) *Store {
	if isNil(client) {
		panic("memo: redisstore: the client is nil; give New a client, for instance from redis.NewClient")
	}
	if o == nil {
		o = &Options{}
	}
	if o.MaxValue < 0 {
		panic(fmt.Sprintf("memo: redisstore: Options.MaxValue is %d; give a positive number, or 0 for %d", o.MaxValue, MaxValue))
	}
	s := &Store{given: client, maxValue: MaxValue}
	switch c := client.(type) {
	case *redis.Client:
		if o := c.Options(); o.ClientSideCache != nil || o.ClientSideCacheConfig != nil {
			panic("memo: redisstore: the client has a client-side cache, which returns values that have been replaced; give New a client without ClientSideCache and ClientSideCacheConfig")
		}
		s.oneNode = true
		s.punctual = sync.OnceValue(func() redis.UniversalClient { return punctual(c) })
	case *redis.ClusterClient:
		if c.Options().ReadOnly {
			panic("memo: redisstore: the client reads from replicas, which lag behind; give New a ClusterClient without ReadOnly, RouteByLatency and RouteRandomly")
		}
		if c.Options().ContextTimeoutEnabled {
			s.punctual = func() redis.UniversalClient { return c }
		}
	}
	if o.AutoPipeline != nil {
		s.pipeline, s.punctual = o.AutoPipeline, nil
	}
	if o.MaxValue > 0 {
		s.maxValue = o.MaxValue
	}
	return s
}

// punctual returns a client that shares the connections of c, and everything else,
// but honours the deadlines of contexts.
func punctual(c *redis.Client) *redis.Client {
	given := c.Options()
	own := c.WithTimeout(given.ReadTimeout) // has options of its own
	own.Options().WriteTimeout = given.WriteTimeout
	own.Options().ContextTimeoutEnabled = true
	return own
}

func isNil(client redis.UniversalClient) bool {
	if client == nil {
		return true
	}
	v := reflect.ValueOf(client)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := cmp.Or(checkContext(ctx), checkKey(key)); err != nil {
		return nil, err
	}
	ctx = s.direct(ctx)
	return do(ctx, "get", func() ([]byte, error) {
		// The client made the bytes for this reply and nobody else has them.
		value, err := s.single(ctx).Get(ctx, key).Bytes()
		if errors.Is(err, redis.Nil) {
			return nil, store.ErrNotFound
		}
		return value, err
	})
}

// Set implements [store.Store].
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.check(ctx, key, value, ttl); err != nil {
		return err
	}
	ctx = s.direct(ctx)
	value = keep(ctx, value)
	return doErr(ctx, "set", func() error {
		return s.once(ctx, redis.NewCmd(ctx, setArgs(key, value, ttl)...)).Err()
	})
}

// Add implements [store.Store].
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.check(ctx, key, value, ttl); err != nil {
		return err
	}
	ctx = s.direct(ctx)
	value = keep(ctx, value)
	return doErr(ctx, "add", func() error {
		err := s.once(ctx, redis.NewCmd(ctx, append(setArgs(key, value, ttl), "nx")...)).Err()
		if errors.Is(err, redis.Nil) {
			return store.ErrExists
		}
		return err
	})
}

// setArgs is the command SET.
func setArgs(key string, value []byte, ttl time.Duration) []any {
	if ttl == 0 {
		return append(make([]any, 0, 4), "set", key, value)
	}
	return append(make([]any, 0, 6), "set", key, value, "px", milliseconds(ttl))
}

// swap compares the first 16 bytes, store.TokenSize of them, and writes. A key
// that is absent or short has no such bytes.
const swap = `if redis.call('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`

var swapHash = redis.NewScript(swap).Hash()

// Swap implements [store.Store].
func (s *Store) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	if err := s.check(ctx, key, value, ttl); err != nil {
		return err
	}
	ctx = s.direct(ctx)
	value = keep(ctx, value)
	return doErr(ctx, "swap", func() error {
		run := func(command, script string) *redis.Cmd {
			cmd := redis.NewCmd(ctx, command, script, 1, key, old[:], value, milliseconds(ttl))
			cmd.SetFirstKeyPos(3)
			return s.once(ctx, cmd)
		}
		cmd := run("evalsha", swapHash)
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") { // the server was restarted, or is new
			cmd = run("eval", swap)
		}
		swapped, err := cmd.Int()
		if err == nil && swapped == 0 {
			return store.ErrConflict
		}
		return err
	})
}

// Ping implements [store.Pinger]. In a cluster it asks every master; in a ring
// the shards that the ring has not given up, of which there must be one.
func (s *Store) Ping(ctx context.Context) error {
	ping := func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() }
	ctx = s.direct(ctx)
	return doErr(ctx, "ping", func() error {
		switch c := s.client(ctx).(type) {
		case *redis.ClusterClient:
			if _, err := s.serverOf(ctx, "memo"); err != nil {
				return err
			}
			return c.ForEachMaster(ctx, ping)
		case *redis.Ring:
			if c.Len() == 0 {
				return errors.New("no shard of the ring is up")
			}
			return c.ForEachShard(ctx, ping)
		}
		return s.client(ctx).Ping(ctx).Err()
	})
}

// Punctual implements an interface of package memo's own.
func (s *Store) Punctual() store.Store { return s }
