// Package httpcache puts the cache of package memo in front of HTTP handlers and
// clients.
//
// memo holds the responses, runs one handler at a time for all who want the same,
// and says in a fleet what has been invalidated. What may be stored and reused,
// and when, is HTTP's to say: this package goes by RFC 9110 (HTTP), 9111
// (caching), 5861 (stale responses), 8246 (immutable), 9211 (Cache-Status) and
// 9213 (targeted fields).
//
// # A handler
//
//	cache := httpcache.New(nil)
//	mux.Handle("/articles/", cache.Handler(articles))
//
// Responses that say how long they are fresh are served without running the handler
// again. Nothing is assumed about the others, nor guessed from Last-Modified, so
// putting a cache in front of a handler that says nothing changes nothing. What the handler has to say is what
// any HTTP cache is told:
//
//	w.Header().Set("Cache-Control", "public, max-age=60, stale-while-revalidate=600")
//
// Handler has the form of a middleware, as chi and others take it:
//
//	r.Use(cache.Handler)
//
// A handler can also say it to this cache alone, and leave Cache-Control to
// clients, as any memoized function does:
//
//	memo.SetTTL(r.Context(), 10*time.Minute)
//	memo.AddTags(r.Context(), "user:42")
//
// or the options say it for all that say nothing: see [Options.TTL].
//
// # A client
//
//	client := &http.Client{Transport: cache.Transport(nil)}
//
// That is the private cache of one user, as a browser has one. A proxy's is shared:
// [Options.Shared].
//
// # One execution
//
// However many clients ask for a page that nobody has, the handler runs once. The
// first client sees its bytes as they are written, and the others get the stored
// response. If it turns out not to be for others (it is private, sets a cookie,
// varies by everything, is too long), they learn of that as soon as its header
// is written, and run the handler themselves. Requests with Authorization or
// Cookie do so from the start, unless [Options.CollapsePersonal] is set. Any
// client may leave: the handler goes on for the others, and is cancelled with the
// last.
//
// # What is not stored
//
// What the RFCs forbid; and, more strictly than they ask for, in a shared cache:
//
//   - responses with Set-Cookie, see [Options.StoreSetCookie];
//   - responses to requests with a Cookie that have no lifetime of their own and
//     are not public, for they may be somebody's page;
//   - whatever is shorter than its Content-Length, or whose handler panicked, or
//     whose clients had all left when it ended;
//   - bodies over [Options.MaxBody], which stream through;
//   - nothing at all: a handler that returns without having written anything leaves
//     the response to a middleware outside, or to net/http.
//
// # Dropping what has changed
//
// A successful POST, PUT, DELETE or PATCH drops what is stored for its URL. What
// else it changes, the program says:
//
//	cache.Purge(ctx, "https://example.com/articles/42")
//	cache.PurgeTags(ctx, "author:7")
//	cache.Expire(ctx, "https://example.com/articles/*") // stale from now on, and validated
//
// Tags come from the handler, by memo.AddTags or a Cache-Tag or Surrogate-Key
// field, and from the memoized functions that it calls: a page that was made from
// a memoized result goes when that is invalidated. [Tokens] has a client see its own changes
// in whichever process answers next.
//
// # What people see
//
// Age says how old a stored response is, unless clients are told another lifetime than
// this cache ([Options.ClientTTL]), and Cache-Status where the answer came from and
// why:
//
//	Cache-Status: memo; hit; ttl=42
//	Cache-Status: memo; fwd=uri-miss; stored
//	Cache-Status: memo; fwd=stale; fwd-status=304; stored
//
// # A fleet
//
// With a shared store, all processes of a service share what they hold:
//
//	cache := httpcache.New(nil, memo.Store(s), memo.Name("pages"))
//
// docs/http.md lists the rules one by one, says how the cache is defended against
// poisoning and deception, and what is not done and why.
package httpcache
