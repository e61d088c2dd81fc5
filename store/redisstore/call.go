package redisstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/ability"
	"github.com/seed-0226adef/memo/internal/beside"
)

// do returns what call returns, or the context's error as soon as ctx ends. call
// then goes on until the client's timeouts end it, so it must not touch what
// belongs to the caller.
func do[T any](ctx context.Context, op string, call func() (T, error)) (T, error) {
	value, err := beside.Do(waited(ctx), call)
	return value, failed(ctx, op, err)
}

// doErr is do for a call without a value.
func doErr(ctx context.Context, op string, call func() error) error {
	return failed(ctx, op, beside.Err(waited(ctx), call))
}

// waited returns the context that a call under ctx is waited for beside.
func waited(ctx context.Context) context.Context {
	if isDirect(ctx) && ctx.Err() == nil {
		return context.Background()
	}
	return ctx
}

// direct marks a context that the client honours by itself: it has a deadline only,
// and that the client is told.
func (s *Store) direct(ctx context.Context) context.Context {
	if s.punctual != nil && ability.OnlyDeadline(ctx) {
		return direct{ctx}
	}
	return ctx
}

type direct struct{ context.Context }

// client returns the client for commands of any kind.
func (s *Store) client(ctx context.Context) redis.UniversalClient {
	if _, ok := ctx.(direct); ok {
		return s.punctual()
	}
	return s.given
}

// single returns the client for commands that name one key.
func (s *Store) single(ctx context.Context) redis.UniversalClient {
	if s.pipeline != nil {
		return s.pipeline
	}
	return s.client(ctx)
}

// isDirect reports whether a call under ctx need not be waited for beside it.
func isDirect(ctx context.Context) bool {
	_, marked := ctx.(direct)
	return marked || ctx.Done() == nil
}

// keep returns a value that a call may read when the method has returned.
func keep(ctx context.Context, value []byte) []byte {
	if isDirect(ctx) {
		return value
	}
	return bytes.Clone(value)
}

// checkContext returns an error if ctx has ended.
func checkContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memo: redisstore: %w", err)
	}
	return nil
}

// onceCmd is a command that the client does not send again when the connection
// fails. (Redirections in a cluster are followed: they mean that nothing was done.)
type onceCmd struct{ *redis.Cmd }

func (onceCmd) NoRetry() bool { return true }

func (s *Store) once(ctx context.Context, cmd *redis.Cmd) *redis.Cmd {
	_ = s.single(ctx).Process(ctx, onceCmd{cmd}) // cmd has the error
	return cmd
}
