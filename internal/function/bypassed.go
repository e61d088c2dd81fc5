package function

import (
	"context"
	"sync/atomic"

	"github.com/seed-0226adef/memo/internal/nested"
)

// WithBypass is memo.WithBypass.
func WithBypass(ctx context.Context) context.Context {
	bypasses.Store(true)
	return context.WithValue(ctx, bypassKey{}, true)
}

type bypassKey struct{}

// bypasses is set once there is any context of WithBypass. Until then no call looks for
// one.
var bypasses atomic.Bool

// Bypassed reports whether ctx is one of WithBypass, or made from one.
func Bypassed(ctx context.Context) bool { return bypasses.Load() && saysBypass(ctx) }

func saysBypass(ctx context.Context) bool {
	if ctx.Value(bypassKey{}) != nil {
		return true
	}
	request := nested.RequestContext(ctx)
	return request != nil && request.Value(bypassKey{}) != nil
}
