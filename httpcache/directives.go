package httpcache

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// A directives is what Cache-Control, or a field in its place, says (RFC 9111,
// section 5.2). Requests and responses use different ones of its fields.
type directives struct {
	has directive // which there are

	// Arguments, where has says that there are any.
	maxAge, sMaxAge, maxStale, minFresh, staleWhileRevalidate, staleIfError time.Duration

	// What no-cache="…" and private="…" name; has holds noCache and private only
	// where they stand without an argument and so mean the whole response.
	noCacheFields, privateFields []string
}

// A directive is a set of directives.
type directive uint32

const (
	maxAge directive = 1 << iota
	sMaxAge
	noCache
	noStore
	noTransform
	private
	public
	mustRevalidate
	proxyRevalidate
	mustUnderstand
	immutable            // RFC 8246
	staleWhileRevalidate // RFC 5861, section 3
	staleIfError         // RFC 5861, section 4
	maxStale             // requests only, as are the next two
	minFresh
	onlyIfCached
)

// any reports whether any of these directives is there.
func (d *directives) any(these directive) bool { return d.has&these != 0 }

var directiveNames = map[string]directive{
	"max-age":                maxAge,
	"s-maxage":               sMaxAge,
	"no-cache":               noCache,
	"no-store":               noStore,
	"no-transform":           noTransform,
	"private":                private,
	"public":                 public,
	"must-revalidate":        mustRevalidate,
	"proxy-revalidate":       proxyRevalidate,
	"must-understand":        mustUnderstand,
	"immutable":              immutable,
	"stale-while-revalidate": staleWhileRevalidate,
	"stale-if-error":         staleIfError,
	"max-stale":              maxStale,
	"min-fresh":              minFresh,
	"only-if-cached":         onlyIfCached,
}

// parseCacheControl reads all lines of Cache-Control (RFC 9111, section 5.2).
//
//   - Names have no case. Unknown directives are ignored, and so is an argument
//     where a directive has none.
//   - Of several directives of one name the first counts (section 4.2.1).
//   - An argument may be a token or a quoted string, whichever the directive is
//     defined with.
//   - What cannot be read is read in the way that reuses less: a max-age that is
//     no number, or has spaces around its "=", is zero.
func parseCacheControl(lines []string) (d directives) {
	for m := range members(lines) {
		name, arg, hasArg := strings.Cut(m, "=")
		spaced := name != trim(name) || arg != trim(arg)
		is := directiveNames[strings.ToLower(trim(name))]
		if is == 0 {
			continue
		}
		if spaced && is != noStore && is != private && is != noCache {
			arg = "" // no number
		}
		d.add(is, trim(arg), hasArg)
	}
	return d
}

// add takes a directive in, unless it is a number's second.
func (d *directives) add(is directive, arg string, hasArg bool) {
	switch is {
	case noCache, private:
		d.addFields(is, arg, hasArg)
		return
	case maxStale:
		if !hasArg && !d.any(is) {
			d.has |= is
			d.maxStale = forever
			return
		}
	}
	n := d.number(is)
	if n == nil {
		d.has |= is
		return
	}
	seconds, ok := parseSeconds(arg)
	if d.any(is) || !ok && is&(maxAge|sMaxAge) == 0 {
		return // only freshness is made zero by an argument that cannot be read
	}
	d.has |= is
	*n = seconds
}

// number returns where a directive's number is kept; nil if it has none.
func (d *directives) number(is directive) *time.Duration {
	switch is {
	case maxAge:
		return &d.maxAge
	case sMaxAge:
		return &d.sMaxAge
	case maxStale:
		return &d.maxStale
	case minFresh:
		return &d.minFresh
	case staleWhileRevalidate:
		return &d.staleWhileRevalidate
	case staleIfError:
		return &d.staleIfError
	}
	return nil
}

// addFields takes no-cache or private in. With field names (sections 5.2.2.4 and
// 5.2.2.7) they are about these fields only, unless they stand without as well.
func (d *directives) addFields(is directive, arg string, hasArg bool) {
	if text, ok := unquote(arg); ok {
		arg = text
	}
	var names []string
	for name := range members([]string{arg}) {
		if !isToken(name) {
			names = nil
			break
		}
		names = append(names, textproto.CanonicalMIMEHeaderKey(name))
	}
	switch {
	case !hasArg || len(names) == 0:
		d.has |= is
	case is == noCache:
		d.noCacheFields = append(d.noCacheFields, names...)
	default:
		d.privateFields = append(d.privateFields, names...)
	}
}

const (
	// maxSeconds is what a larger delta-seconds counts as (RFC 9111, section
	// 1.2.2).
	maxSeconds = 1 << 31
	forever    = maxSeconds * time.Second
)

// parseSeconds reads delta-seconds (RFC 9111, section 1.2.2), which may be
// quoted.
func parseSeconds(s string) (time.Duration, bool) {
	if text, ok := unquote(s); ok {
		s = text
	}
	n := int64(0) // which an int of 32 bits has no room for
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(10*n+int64(s[i]-'0'), maxSeconds)
	}
	return time.Duration(n) * time.Second, s != ""
}

// requestDirectives returns what a request asks of caches. Pragma: no-cache
// counts where there is no Cache-Control (RFC 9111, section 5.4).
func requestDirectives(h http.Header) (d directives) {
	if lines := h["Cache-Control"]; len(lines) > 0 {
		return parseCacheControl(lines)
	}
	if lines := h["Pragma"]; len(lines) > 0 && hasMember(lines, "no-cache") {
		d.has = noCache
	}
	return d
}

// withheld returns the fields that a stored response must not keep: those named
// by no-cache="…" and, in a shared cache, by private="…".
func (d *directives) withheld(shared bool) []string {
	if !shared {
		return d.noCacheFields
	}
	return slices.Concat(d.noCacheFields, d.privateFields)
}
