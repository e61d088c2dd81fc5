package memcachestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-0226adef/memo/internal/beside"
	"github.com/seed-0226adef/memo/store"
)

// do returns what call returns, or the context's error as soon as ctx ends. call
// then goes on until the client's Timeout ends it, so it must not touch what
// belongs to the caller.
func do[T any](ctx context.Context, op string, call func() (T, error)) (T, error) {
	value, err := beside.Do(ctx, call)
	return value, failed(ctx, op, err)
}

// doErr is do for a call without a value.
func doErr(ctx context.Context, op string, call func() error) error {
	return failed(ctx, op, beside.Err(ctx, call))
}

// keep returns a value that a call may read when the method has returned.
func keep(ctx context.Context, value []byte) []byte {
	if ctx.Done() == nil {
		return value
	}
	return bytes.Clone(value)
}

// checkContext returns an error if ctx has ended.
func checkContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memo: memcachestore: %w", err)
	}
	return nil
}

// failed says what an operation of the store has come to under ctx.
func failed(ctx context.Context, op string, err error) error {
	switch meaning := meaningOf(op, err); {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrRefused):
		return err
	case meaning == errTooLarge:
		return fmt.Errorf("%w: memcachestore: %s: set Options.MaxValue to the server's -I less ItemOverhead: %w", store.ErrRefused, op, err)
	case meaning != nil:
		return fmt.Errorf("%w: memcachestore: %s: %w", meaning, op, err)
	}
	return beside.Failed(ctx, "memcachestore", op, err)
}

var errTooLarge = errors.New("the value is too large")

// meaningOf returns what an error says beyond that the server is ill, or nil. The client
// has no errors of its own for what servers answer.
//
//   - An item beyond -I, which may be lower than Options.MaxValue says.
//   - A request that the server takes for malformed (CLIENT_ERROR), which it may think of
//     this key or this value, and proxies do. That a client has to log in first is
//     something else.
//   - No room, with -M or where a class of sizes has no page of memory; reads go on.
func meaningOf(op string, err error) error {
	if err == nil {
		return nil
	}
	says := func(words string) bool { return strings.Contains(err.Error(), words) }
	switch {
	case says("SERVER_ERROR object too large for cache"):
		return errTooLarge
	case says("CLIENT_ERROR") && !says("CLIENT_ERROR unauthenticated") && !says("CLIENT_ERROR authentication"),
		errors.Is(err, memcache.ErrMalformedKey):
		return store.ErrRefused
	case says("SERVER_ERROR out of memory storing object") && (op == "set" || op == "add" || op == "swap"):
		return store.ErrReadOnly
	}
	return nil
}

// utmost is how many connections one call may lose, and how many it may use at once.
const utmost = 16

// idle is how many connections to a server the client keeps, and so how many stale
// ones it may have; utmost at most, since a server that hangs up on everybody is
// not helped by being dialled more often.
func (s *Store) idle() int {
	if n := s.client.MaxIdleConns; n > 0 {
		return min(n, utmost)
	}
	return memcache.DefaultMaxIdleConns
}

// again makes call, and makes it again as long as it loses its connection and there
// may be stale ones left.
func (s *Store) again(ctx context.Context, call func() error) error {
	err := call()
	for n := s.idle(); n > 0 && lost(err) && ctx.Err() == nil; n-- {
		err = call()
	}
	return err
}

// lost reports whether err says that a connection, once made, has ended. Timeouts
// are something else.
func lost(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	var failure *net.OpError
	return errors.As(err, &failure) && failure.Op != "dial" && !failure.Timeout()
}
