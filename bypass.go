package memo

import (
	"context"

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

// runBypassing runs fn in the caller's goroutine, for a call that bypasses the cache.
func runBypassing[R any](ctx context.Context, c *engine.Cache, p *function.Policy, fn func(context.Context) (R, error)) (r R, err error) {
	inner, ended := c.Bypass(ctx, &p.Config)
	err = engine.ErrNoReturn // unless fn returns
	defer func() { ended(err) }()
	return fn(inner)
}
