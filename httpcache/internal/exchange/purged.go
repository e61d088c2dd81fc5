package exchange

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
)

// learn makes sure that the patterns that other processes have purged are known, and
// notes which count for this request.
func (x *exchange) learn() { x.upTo, x.unsure = x.cache.purged().Current(x.r.Context()) }

// overtaken reports whether a stored response was purged by a pattern before the request
// began. Where the store's log cannot be read, a response older than a second may have been.
func (x *exchange) overtaken(rec *stored.Record) bool {
	if x.unsure && time.Since(time.Unix(0, rec.Made)) >= stored.PatternTrust {
		return true
	}
	u := x.target()
	return x.cache.purged().Overtake(rec, x.upTo, rules.PurgeHost(u.Host), x.policy.PurgeTargets(u))
}

// current returns a stored response that no pattern has overtaken: rec, or what the
// store has in its place; nil if there is none. What is in the way is dropped.
func (x *exchange) current(rec *stored.Record) *stored.Record {
	if !x.overtaken(rec) {
		return rec
	}
	x.cache.Records.Forget(x.key)
	if rec = x.cache.Records.Peek(x.r.Context(), x.key); rec == nil || rec.Kind != stored.Response {
		return nil
	}
	if x.overtaken(rec) {
		x.drop(x.key)
		return nil
	}
	return rec
}

// drop drops a stored response that a pattern has overtaken, and detaches the execution
// that is under way for its key.
func (x *exchange) drop(key string) {
	ctx := context.WithoutCancel(x.r.Context())
	if err := x.cache.Records.Drop(ctx, key); err != nil {
		x.cache.log().Warn("memo: httpcache: a response that was purged could not be dropped", "error", err)
	}
}

// outdates reports whether a pattern was purged since a leader began, so that what it
// brings is not for who comes now.
func (x *exchange) outdates(l *leader) bool {
	if x.upTo <= l.mark.Version {
		return false
	}
	u := x.target()
	return x.cache.purged().Overtook(l.mark, l.mark.Version, x.upTo, rules.PurgeHost(u.Host), x.policy.PurgeTargets(u))
}
