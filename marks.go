package memo

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/function"
)

// WithBypass returns a copy of ctx under which no cache is touched, as if [Disabled] were
// given to every function: calls run fn in the caller's goroutine, [Func.Peek] finds
// nothing, [Func.Set] keeps nothing. What fn calls with its context does the same. It is
// for one request that has to see what is there now, whatever functions it goes through:
//
//	if r.Header.Get("X-Debug-Fresh") != "" {
//		r = r.WithContext(memo.WithBypass(r.Context()))
//	}
//
// The rules:
//
//   - Such a call neither joins an execution nor begins one that others could join.
//   - Invalidate, Clear and InvalidateTags always work.
//   - Disabled(false), at whatever level, does not take it back.
//   - A function of [Pure] has no context, and takes no notice.
//   - It is also found through the request of a gin.Context.
//
// A program that has never called it pays nothing for it.
func WithBypass(ctx context.Context) context.Context { return function.WithBypass(ctx) }

// WithMaxAge returns a copy of ctx under which all calls use no result that is older than d, as
// if [MaxAge] were given to every function:
//
//	if r.Header.Get("Cache-Control") == "no-cache" {
//		r = r.WithContext(memo.WithMaxAge(r.Context(), 0))
//	}
//
// It goes on to what fn calls with its context, and is found through the request of a
// gin.Context too. Within one another, the smallest counts. A negative d panics. A function of
// [Pure] has no context, and takes no notice; nor does package httpcache, to which a request
// says the same by its own Cache-Control.
//
// A program that has never called it pays nothing for it.
func WithMaxAge(ctx context.Context, d time.Duration) context.Context {
	notNegative("WithMaxAge", d)
	return function.WithMaxAge(ctx, d)
}

// runBypassing runs fn in the caller's goroutine, for a call that bypasses the cache.
func runBypassing[R any](ctx context.Context, c *engine.Cache, p *function.Policy, fn func(context.Context) (R, error)) (r R, err error) {
	inner, ended := c.Bypass(ctx, &p.Config)
	err = engine.ErrNoReturn // unless fn returns
	defer func() { ended(err) }()
	return fn(inner)
}
