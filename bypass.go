package memo

import (
	"context"
	"sync/atomic"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/nested"
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
func WithBypass(ctx context.Context) context.Context {
	bypasses.Store(true)
	return context.WithValue(ctx, bypassKey{}, true)
}

type bypassKey struct{}

// bypasses is set once there is any context of WithBypass. Until then no call looks for
// one.
var bypasses atomic.Bool

// bypassed reports whether ctx is one of WithBypass, or made from one.
func bypassed(ctx context.Context) bool { return bypasses.Load() && saysBypass(ctx) }

func saysBypass(ctx context.Context) bool {
	if ctx.Value(bypassKey{}) != nil {
		return true
	}
	request := nested.RequestContext(ctx)
	return request != nil && request.Value(bypassKey{}) != nil
}

// runBypassing runs fn in the caller's goroutine, for a call that bypasses the cache.
func runBypassing[R any](ctx context.Context, c *engine.Cache, p *policy, fn func(context.Context) (R, error)) (r R, err error) {
	inner, ended := c.Bypass(ctx, &p.Config)
	err = engine.ErrNoReturn // unless fn returns
	defer func() { ended(err) }()
	return fn(inner)
}
