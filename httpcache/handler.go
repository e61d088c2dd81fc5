package httpcache

import "net/http"

// Handler returns a handler that answers from the cache what it can, and has next
// do the rest. It is a shared cache (RFC 9111, section 1): what it stores goes to
// everyone, so it does not store what is private.
//
// Requests are told apart by method, scheme, host, path and query, exactly as the
// client sent them, and by what responses name in Vary; see [Options] for more.
// GET and HEAD are answered from the cache. All other methods go to next; when an
// unsafe one succeeds, what is stored for its URL is dropped, and so is what its
// Location and Content-Location name.
//
// Concurrent requests that find nothing run next once:
//
//   - The first client gets the bytes as next writes them; the others get the
//     stored response when it is complete.
//   - If the response turns out not to be for sharing, they are told so as soon as
//     its header is written, and each runs next itself.
//   - next runs in the goroutine of the first request, under the values of its
//     context. It is cancelled when the last of the clients has left: the
//     first may leave, and next goes on for the others.
//   - A panic of next goes up in that goroutine, as without a cache; one of the
//     others tries again.
//   - If next returns without having written anything, the cache begins no response
//     and stores none, so that a middleware outside can write an error in its place;
//     the others each run next themselves.
//
// In next, memo.SetTTL, memo.NoStore and memo.AddTags work on the request's
// context, and the tags of memoized functions that it calls become those of the
// response. They may be called at any time until next returns, but once the header
// is written it is too late for two things: NoStore cannot tell clients any more,
// and SetTTL cannot make a response storable that would not be without it. Where next
// says SetTTL, what it says in Cache-Control is for clients alone, and counts from the
// moment of each answer.
//
// A refresh in the background, for stale-while-revalidate, is a request of its own:
// the [http.Server] that the first one came in by has its handler serve it, so that
// what stands before the cache sees it as well. Without a server next is run, under
// the values of the first request's context.
//
// Upgraded connections, streams of events and requests with conditions that are
// not for caches pass through. A request whose context is one of [memo.WithBypass] is
// handed to next as it is: nothing is looked up, stored, counted or dropped for it.
func (c *Cache) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("memo: httpcache: Handler(nil): there is nothing to put the cache in front of; give a handler")
	}
	return c.core.Handler(next)
}
