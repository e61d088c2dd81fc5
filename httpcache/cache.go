package httpcache

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache/internal/exchange"
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
	"github.com/seed-0226adef/memo/internal/function"
)

// A Cache holds HTTP responses. Its [Cache.Handler] puts it in front of a
// handler, and its [Cache.Transport] behind a client; both can be called any
// number of times.
//
// All methods are safe for concurrent use. A Cache needs no Close.
type Cache struct {
	opts Options
	core *exchange.Cache
}

// New makes a Cache. A nil o stands for the zero [Options].
//
// Of memo's options, those count that say where responses are held, by purpose:
//
//   - This process: [memo.Local], [memo.LocalBytes] and [memo.NoLocal], 128 MiB unless
//     given; [memo.ContextFrom], [memo.LoadTimeout], [memo.Disabled].
//   - The store: [memo.Store], [memo.StoreTimeout], [memo.LocalTTL], [memo.Codec].
//   - Keys and identity: [memo.Name], [memo.SharedName], [memo.Prefix], [memo.Version], a
//     [memo.Group]. A Cache in no group is one of the default group, if [memo.SetDefault]
//     was given one.
//   - Looking inside: [memo.Observe], [memo.Logger].
//
// How long a response is fresh, and what is done with a stale one, is HTTP's to say and
// that of o. Memo's options of that kind in a group, or in [memo.SetDefault], are for
// functions, and have no effect here.
//
// New panics with a sentence that says what to change when the options make no sense, and
// for each that can have no effect: one of memo's that is not listed above, or one that
// has none beside the others.
func New(o *Options, opts ...memo.Option) *Cache {
	if o == nil {
		o = new(Options)
	}
	checkMemoOptions(opts)
	server, client := o.server(), o.client()
	records := stored.NewRecords(groups(opts), slices.Concat(
		function.Options{memo.LoadTimeout(0), memo.LocalBytes(defaultLocalBytes), memo.Codec(stored.Codec{})},
		optionsOf(opts),
		function.Options{
			memo.TTL(time.Minute), memo.Jitter(0), memo.EarlyRefresh(0), memo.SoftTimeout(0),
			memo.StaleWhileRevalidate(0), memo.StaleIfError(0),
			memo.CacheErrors(0, nil), memo.CacheIf[*stored.Record](nil), memo.Clone[*stored.Record](nil), memo.Tags(),
		},
	))
	return &Cache{*o, exchange.New(server, client, records, o.room(records))}
}

// room returns what MaxInFlight says, in bytes, when memo's defaults are settled.
func (o *Options) room(records *stored.Records) func() int64 {
	given := o.MaxInFlight
	return func() int64 {
		switch {
		case given < 0:
			return math.MaxInt64
		case given > 0:
			return given
		}
		return orDefault(records.LocalBytes(), defaultLocalBytes)
	}
}

// optionsOf returns opts as package function has them.
func optionsOf(opts []memo.Option) (list function.Options) {
	for _, o := range opts {
		list = append(list, o)
	}
	return list
}

// groups returns the groups among options, of which the last counts.
func groups(opts []memo.Option) (found function.Options) {
	for _, o := range opts {
		switch o := o.(type) {
		case *memo.Group:
			found = append(found, o)
		case memo.Options:
			found = append(found, groups(o)...)
		}
	}
	return found
}

// Purge drops every response that is held for the URLs, whatever they vary by. A
// URL is absolute, as a client asks for it, or a path. Of its spellings, all that RFC 3986,
// section 6.2, calls equivalent are purged, and both http and https: behind a proxy
// that ends TLS a handler sees http. The query counts as it is; [Options.SortQuery]
// and [Options.IgnoreParams] apply to it.
//
//	cache.Purge(ctx, "https://example.com/users/1") // the URL
//	cache.Purge(ctx, "/users/1")                    // the path and query, on every host
//	cache.Purge(ctx, "https://example.com/users/*") // all that begins like that
//	cache.Purge(ctx, "/users/*")                    // the same, on every host
//
// After Purge has returned, no request that begins later gets a response whose
// handler began before; a handler that is running is not stopped.
//
// It takes the same time however many variants a URL has, or how many URLs a pattern
// meets: patterns are noted, and responses compared when they are next looked at. In
// processes that share the store, a pattern counts within one second; in this one at
// once. The error is about URLs
// that cannot be parsed, or of a shared store that could not be reached; the
// other URLs are purged all the same.
func (c *Cache) Purge(ctx context.Context, urls ...string) error {
	var errs []error
	for _, u := range urls {
		errs = append(errs, c.core.Purge(ctx, u))
	}
	return function.Told(ctx, errors.Join(errs...))
}

// PurgeTags drops every response that has any of the tags: those of its Cache-Tag
// and Surrogate-Key fields, and those that its handler added by memo.AddTags.
// Tags that it took over from memoized functions, whose results it is made of,
// belong to the groups of those, and are invalidated there.
//
// After PurgeTags has returned, no request that begins later gets such a response
// whose handler began before.
func (c *Cache) PurgeTags(ctx context.Context, tags ...string) error {
	return function.Told(ctx, c.core.PurgeTags(ctx, tags))
}

// Expire ends the freshness of every response that [Cache.Purge] would drop for the URLs: from now
// on it is stale. It is validated, or served while that is done, as its stale-while-revalidate
// and stale-if-error and the [Options] of these names allow; a response of a handler that has begun
// before is stale when it comes. So the origin is asked once, and may answer with a 304.
//
// It takes the same time however many responses there are, and other processes that share the
// store see it within one second. The errors are those of Purge; what could not be told yet
// counts in this process at once.
func (c *Cache) Expire(ctx context.Context, urls ...string) error {
	var errs []error
	for _, u := range urls {
		errs = append(errs, c.core.Expire(ctx, u))
	}
	return function.Told(ctx, errors.Join(errs...))
}

// ExpireTags ends the freshness of every response that [Cache.PurgeTags] would drop, as Expire
// does. A tag that a response took over from a memoized function belongs to the group of that.
func (c *Cache) ExpireTags(ctx context.Context, tags ...string) error {
	return function.Told(ctx, c.core.ExpireTags(ctx, tags))
}

// Clear drops every response, with [Cache.Purge]'s guarantee, in the same time
// however many are held. The error is of a shared store that could not be reached;
// it is told as soon as it can be.
func (c *Cache) Clear(ctx context.Context) error {
	return function.Told(ctx, c.core.Clear(ctx))
}
