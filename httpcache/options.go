package httpcache

import (
	"net/http"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// Options say how a [Cache] treats HTTP. The zero value, and nil, are safe and
// useful: what responses say about themselves decides, and nothing is assumed
// where they say nothing. A Cache copies its Options; changing them later does
// nothing.
//
// What is not about HTTP (the shared store, the name in it, how much is held in
// this process) is said by the memo options beside them; see [New].
type Options struct {
	// TTL is how long a response is fresh in this cache when it says nothing
	// about that itself: neither max-age, s-maxage nor Expires, nor anything that
	// forbids storing. Clients are not told of it. It applies to the status
	// codes 200, 203, 204, 300, 301, 308, 404 and 410, and not to responses to
	// requests that tell who sends them: by Authorization, a Cookie, one of
	// CredentialHeaders or a TLS client certificate. Of a principal that the handler
	// knows in another way, such as from the request's context, the cache knows
	// nothing: where there is one, name it by Key or leave TTL at zero. Zero, the default, leaves such
	// responses to HeuristicMax; a negative TTL panics. A handler sets one for
	// its own response with memo.SetTTL.
	TTL time.Duration

	// ClientTTL is what clients are told, as Cache-Control: max-age, where the
	// handler wrote no Cache-Control and the response is stored. It counts from the
	// moment of each answer, be it ever so long after the handler ran, so such
	// answers have the Date of that moment, and no Age. It is rounded down
	// to seconds: less than one is max-age=0. It is not what this cache goes by:
	// that is TTL. Zero, the default, says nothing; a negative one panics.
	ClientTTL time.Duration

	// HeuristicMax is the longest that a response is taken to be fresh because it
	// has not been modified for long: a tenth of the time since Last-Modified
	// (RFC 9111, section 4.2.2). By default, [Cache.Handler] makes no such guesses:
	// a file that [http.FileServer] serves may be overwritten at any time. A value
	// above zero makes it guess. For [Cache.Transport] the default is 24 hours, as
	// browsers do; a negative value turns guesses off for both.
	HeuristicMax time.Duration

	// StaleIfError is for how long after its freshness a stored response stands in
	// for a handler or origin that fails with 500, 502, 503 or 504, or cannot
	// be reached. A stale-if-error directive of the response or the request
	// wins, and must-revalidate, proxy-revalidate, no-cache and s-maxage forbid
	// it (RFC 9111, section 4.2.4). The default is zero: only responses that
	// allow it themselves. A negative value panics.
	StaleIfError time.Duration

	// KeepStale is how long a response that can be validated is held after its
	// freshness, so that the origin need not send it again. The default is one
	// hour; a negative value holds none.
	KeepStale time.Duration

	// MaxBody is the largest body that is stored, in bytes. Larger ones stream
	// through, in no more memory than that. The default is 8 MiB; a negative
	// value stores nothing but responses without a body.
	MaxBody int64

	// MaxInFlight bounds, in bytes, what requests under way hold beside what is
	// stored: copies of responses that are to be stored, and the bodies of
	// requests of Methods. Beyond that, responses stream through unstored, and
	// requests pass through. Stored responses that clients are still reading, and the
	// cache may have dropped meanwhile, are bounded likewise, apart from the others: where
	// there is no room for one more, the handler is run. Zero, the default, is as much as
	// the cache holds in this process: [memo.LocalBytes], or 128 MiB where that is not
	// given in bytes. A negative value sets no bound.
	MaxInFlight int64

	// Shared makes [Cache.Transport] a shared cache, as a proxy's is: it does not
	// store what is private or was authorized, and obeys s-maxage and
	// proxy-revalidate. By default it is a private cache: it stores that too, and
	// gives what a request with Authorization, a Cookie or one of CredentialHeaders
	// has brought only to requests with the same. A [Cache.Handler] is shared in
	// any case.
	Shared bool

	// Partition names what the Transports of caches with this name, in any process,
	// share. By default each [Cache.Transport] has a partition of its own, under a
	// random name, so that what is below one may add credentials that the cache
	// does not see; other processes then find nothing of what it stores. Give a
	// name where nothing below adds any, or where it stands for those that are
	// added: one for each user, say. A purge reaches all partitions.
	Partition string

	// CredentialHeaders are the request fields that, as Authorization and Cookie do,
	// tell who sends a request. To a response that such a request has brought,
	// neither TTL nor HeuristicMax is applied; a shared cache stores it only if it is
	// public or gives a lifetime itself, and gives such a request nothing whose
	// lifetime was assumed by TTL or HeuristicMax; and a private cache gives it only
	// to requests with the same. Nobody waits for such a request; see
	// CollapsePersonal. The default are some hundred common names, such as X-Api-Key,
	// X-Auth-Token, Dpop and X-Forwarded-User; an empty list that is not nil stands
	// for none.
	CredentialHeaders []string

	// Targets are the targeted fields that a shared cache obeys in place of
	// Cache-Control, the most specific first (RFC 9213). The default is
	// CDN-Cache-Control; an empty list that is not nil turns it off.
	Targets []string

	// StoreSetCookie lets a shared cache store responses with Set-Cookie, as RFC
	// 9111, section 7.3, leaves to whoever wrote the response. By default they
	// are neither stored nor given to others who wait: Go handlers set session
	// cookies without a thought for caches. A private cache stores such responses
	// without the field.
	StoreSetCookie bool

	// CollapsePersonal lets requests that tell who sends them (by Authorization, a
	// Cookie, one of CredentialHeaders or a TLS client certificate) wait
	// for one another's response, and others for theirs. By default each runs
	// the handler itself, as long as nothing that may be used is stored.
	CollapsePersonal bool

	// WaitTimeout is for how long a request waits for the response that another one
	// brings, in this process or in one that shares the store, before it runs the
	// handler itself; what that brings is not stored then. Who comes after a
	// request that has waited in vain does not wait for that run any more. The run goes on
	// for its own client, and is stored if it ends after all. The default is 30
	// seconds, as for a memoized function; a negative value sets no limit.
	WaitTimeout time.Duration

	// IgnoreRequests makes the cache ignore Cache-Control and Pragma of requests,
	// so that clients cannot have the handler run by asking for it.
	IgnoreRequests bool

	// Methods are further methods whose responses are stored, such as POST for
	// searches, with the digest of the request's body as part of the key. They
	// have to be safe, whatever their names say: they invalidate nothing then.
	// The default is none. GET and HEAD are not to be named.
	Methods []string

	// MaxRequestBody is the largest request body, in bytes, that is read to store a
	// response to one of Methods. Requests with larger ones pass through. The
	// default is 64 KiB; a negative value lets all of them pass through. It goes with
	// Methods.
	MaxRequestBody int64

	// SortQuery takes the order of the query's parameters out of the key. Several
	// of one name keep their order.
	SortQuery bool

	// IgnoreParams are parameters of the query that are no part of the key. A
	// name that ends in "*" stands for all that begin with the rest, as in
	// "utm_*". The handler does not get to see them: what it sees and the key
	// does not hold would let anyone choose the page that others get.
	IgnoreParams []string

	// KeyHeaders are request fields that are part of the key, as if every response
	// named them in Vary, and KeyCookies are cookies that are.
	KeyHeaders, KeyCookies []string

	// Key adds a part to the key, such as the tenant or the user that the request
	// belongs to. It is called on every request, by many goroutines at once. A
	// purge of a URL reaches all its responses, whatever Key returned.
	Key func(*http.Request) string

	// Identity names this cache in Cache-Status (RFC 9211). It must be a token;
	// the default is "memo".
	Identity string

	// XCache adds an X-Cache field, HIT or MISS, beside Cache-Status.
	XCache bool

	// Ranges has [Cache.Handler] answer requests for a Range from any stored
	// response. By default it does so only for those that say Accept-Ranges: bytes:
	// where the handler sends the whole to everyone, a middleware outside may
	// compress it, and parts of the one and of the other do not fit together. A
	// [Cache.Transport] answers them in any case.
	Ranges bool

	// KeepTags hands the Cache-Tag and Surrogate-Key fields of responses on to
	// clients. By default they are taken off: they are between the handler and
	// this cache.
	KeepTags bool
}

const (
	defaultMaxBody        = 8 << 20
	defaultMaxRequestBody = 64 << 10
	defaultHeuristicMax   = 24 * time.Hour
	defaultKeepStale      = time.Hour
	defaultWaitTimeout    = 30 * time.Second
	defaultLocalBytes     = 128 << 20
)

// server returns the policy of handlers.
func (o *Options) server() *rules.Policy {
	p := o.policy(true)
	p.Face, p.Ranges = rules.HandlerFace, o.Ranges
	p.HeuristicMax = max(o.HeuristicMax, 0)
	return p
}

// client returns the policy of transports.
func (o *Options) client() *rules.Policy {
	p := o.policy(o.Shared)
	p.Face, p.Ranges = rules.TransportFace, true
	return p
}

// policy resolves what is the same for both faces. It panics when the options make
// no sense.
func (o *Options) policy(shared bool) *rules.Policy {
	o.check()
	p := &rules.Policy{
		Shared: shared, StoreSetCookie: o.StoreSetCookie, CollapsePersonal: o.CollapsePersonal,
		IgnoreRequests: o.IgnoreRequests, SortQuery: o.SortQuery, XCache: o.XCache, KeepTags: o.KeepTags,
		TTL: o.TTL, StaleIfError: o.StaleIfError,
		HeuristicMax:   max(orDefault(o.HeuristicMax, defaultHeuristicMax), 0),
		KeepStale:      max(orDefault(o.KeepStale, defaultKeepStale), 0),
		WaitTimeout:    orDefault(o.WaitTimeout, defaultWaitTimeout),
		MaxBody:        max(orDefault(o.MaxBody, defaultMaxBody), 0),
		MaxRequestBody: orDefault(o.MaxRequestBody, defaultMaxRequestBody),
		Identity:       o.Identity,
		Methods:        slices.Clone(o.Methods),
		Credentials:    rules.CredentialSet(o.CredentialHeaders),
		IgnoreParams:   slices.Clone(o.IgnoreParams),
		Extra:          rules.ExtraKey{Headers: rules.CanonicalNames(o.KeyHeaders), Cookies: slices.Clone(o.KeyCookies), Of: o.Key},
	}
	if p.Identity == "" {
		p.Identity = "memo"
	}
	if o.ClientTTL > 0 {
		p.ClientControl = []string{"max-age=" + rules.Decimal(int64(o.ClientTTL/time.Second))}
	}
	if shared {
		if p.Targets = slices.Clone(o.Targets); o.Targets == nil {
			p.Targets = []string{"CDN-Cache-Control"}
		}
	}
	return p
}

func orDefault[N int64 | time.Duration](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return n
}
