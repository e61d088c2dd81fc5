package httpcache

import (
	"crypto/rand"
	"net/http"
)

// Transport returns a RoundTripper that answers from the cache what it can, and
// has next do the rest; nil stands for [http.DefaultTransport]. Unless
// [Options.Shared] is set it is a private cache (RFC 9111, section 1), which may
// store what is meant for one user. So that a client may act for several users all
// the same, requests that tell different users by Authorization, Cookie or one of
// [Options.CredentialHeaders] share nothing. Nor do two Transports, for what is below
// them may add credentials that the cache does not see: see [Options.Partition].
//
// Set-Cookie of a response reaches the client once, from the origin; a private cache
// does not store the field, as browsers do not.
//
// What [Cache.Handler] says of keys, methods and concurrent requests applies here
// too. The body of a response can be read while it is being stored. Closing it
// early ends the request only if nobody else waits for the response.
//
// Requests with fields whose names are not in the canonical form of
// [http.CanonicalHeaderKey] pass through, and so do those whose context is one of
// [memo.WithBypass].
//
// Responses come without the fields that are for one connection only. Errors of
// next are returned as they are, unless a stored response may stand in.
func (c *Cache) Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	partition := "=" + c.opts.Partition
	if c.opts.Partition == "" {
		partition = "#" + rand.Text()
	}
	return c.core.Transport(next, partition)
}
