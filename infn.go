package memo

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/nested"
)

// SetTTL sets how long the result that fn is about to return is fresh, in place of
// [TTL]. fn calls it with its own context. Zero or less keeps nothing; [Forever]
// never expires; the last call wins. [Jitter] and the stale windows apply to it as
// to any TTL.
//
// Called with any other context, or when fn has returned, it does nothing: fn
// works the same where it is called directly. A context of no execution is logged, once
// for each place, if executions are under way. The execution is also found through the
// request of a gin.Context.
func SetTTL(ctx context.Context, d time.Duration) {
	nested.SetTTL(ctx, d)
}

// NoStore keeps the result that fn is about to return out of the cache. fn calls it
// with its own context. Those who wait for the result get it all the same, and
// what was held before is dropped, being older.
//
// Called with any other context, or when fn has returned, it does nothing, as with
// [SetTTL].
func NoStore(ctx context.Context) {
	nested.NoStore(ctx)
}

// AddTags adds tags to the result that fn is about to return, beside those of
// [Tags]. fn calls it with its own context. The tags mean what those of the
// function's group mean.
//
// Called with any other context, or when fn has returned, it does nothing, as with
// [SetTTL].
func AddTags(ctx context.Context, t ...string) {
	nested.AddTags(ctx, t)
}

// Detached returns a copy of ctx with which fn can call other memoized functions
// without its result becoming dependent on theirs: neither their tags nor, with
// [InheritTTL], their freshness is taken over. [SetTTL], [NoStore] and [AddTags]
// do nothing with it.
func Detached(ctx context.Context) context.Context {
	return nested.Independent(ctx)
}
