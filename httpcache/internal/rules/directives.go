// Package rules is what RFC 9110 and RFC 9111 say of caches, and the specifications beside
// them, as functions of headers, URLs and instants.
//
//   - Directives are those of a Cache-Control field.
//   - Reception is a response as it was received; its Life says how long it is fresh, Terms
//     what it allows.
//   - A Verdict (of Policy.Judge) says what a request may do with a stored response, a Reason (of
//     Policy.MayStore) why a response is not stored, a CacheStatus what the field of that name
//     says.
//   - Validators, Lines, ByteRange are parts of messages.
//   - A Policy is what a cache goes by as a handler, or as a transport: its two faces.
//
// The package knows neither what is stored nor who waits for it.
package rules

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// A Directives is what Cache-Control, or a field in its place, says (RFC 9111,
// section 5.2). Requests and responses use different ones of its fields.
type Directives struct {
	Has directive // which there are

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
	SMaxAge
	NoCache
	NoStore
	noTransform
	private
	Public
	MustRevalidate
	proxyRevalidate
	mustUnderstand
	immutable            // RFC 8246
	staleWhileRevalidate // RFC 5861, section 3
	staleIfError         // RFC 5861, section 4
	maxStale             // requests only, as are the next two
	minFresh
	OnlyIfCached
)

// Any reports whether any of these directives is there.
func (d *Directives) Any(these directive) bool { return d.Has&these != 0 }

var directiveNames = map[string]directive{
	"max-age":                maxAge,
	"s-maxage":               SMaxAge,
	"no-cache":               NoCache,
	"no-store":               NoStore,
	"no-transform":           noTransform,
	"private":                private,
	"public":                 Public,
	"must-revalidate":        MustRevalidate,
	"proxy-revalidate":       proxyRevalidate,
	"must-understand":        mustUnderstand,
	"immutable":              immutable,
	"stale-while-revalidate": staleWhileRevalidate,
	"stale-if-error":         staleIfError,
	"max-stale":              maxStale,
	"min-fresh":              minFresh,
	"only-if-cached":         OnlyIfCached,
}

// ParseCacheControl reads all lines of Cache-Control (RFC 9111, section 5.2).
//
//   - Names have no case. Unknown directives are ignored, and so is an argument
//     where a directive has none.
//   - Of several directives of one name the first counts (section 4.2.1).
//   - An argument may be a token or a quoted string, whichever the directive is
//     defined with.
//   - What cannot be read is read in the way that reuses less: a max-age that is
//     no number, or has spaces around its "=", is zero.
func ParseCacheControl(lines []string) (d Directives) {
	for m := range Members(lines) {
		name, arg, hasArg := strings.Cut(m, "=")
		spaced := name != Trim(name) || arg != Trim(arg)
		is := directiveNames[strings.ToLower(Trim(name))]
		if is == 0 {
			continue
		}
		if spaced && is != NoStore && is != private && is != NoCache {
			arg = "" // no number
		}
		d.add(is, Trim(arg), hasArg)
	}
	return d
}

// add takes a directive in, unless it is a number's second.
func (d *Directives) add(is directive, arg string, hasArg bool) {
	switch is {
	case NoCache, private:
		d.addFields(is, arg, hasArg)
		return
	case maxStale:
		if !hasArg && !d.Any(is) {
			d.Has |= is
			d.maxStale = Forever
			return
		}
	}
	n := d.number(is)
	if n == nil {
		d.Has |= is
		return
	}
	seconds, ok := parseSeconds(arg)
	if d.Any(is) || !ok && is&(maxAge|SMaxAge) == 0 {
		return // only freshness is made zero by an argument that cannot be read
	}
	d.Has |= is
	*n = seconds
}

// number returns where a directive's number is kept; nil if it has none.
func (d *Directives) number(is directive) *time.Duration {
	switch is {
	case maxAge:
		return &d.maxAge
	case SMaxAge:
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
func (d *Directives) addFields(is directive, arg string, hasArg bool) {
	if text, ok := unquote(arg); ok {
		arg = text
	}
	var names []string
	for name := range Members([]string{arg}) {
		if !IsToken(name) {
			names = nil
			break
		}
		names = append(names, textproto.CanonicalMIMEHeaderKey(name))
	}
	switch {
	case !hasArg || len(names) == 0:
		d.Has |= is
	case is == NoCache:
		d.noCacheFields = append(d.noCacheFields, names...)
	default:
		d.privateFields = append(d.privateFields, names...)
	}
}

const (
	// maxSeconds is what a larger delta-seconds counts as (RFC 9111, section
	// 1.2.2).
	maxSeconds = 1 << 31
	Forever    = maxSeconds * time.Second
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

// RequestDirectives returns what a request asks of caches. Pragma: no-cache
// counts where there is no Cache-Control (RFC 9111, section 5.4).
func RequestDirectives(h http.Header) (d Directives) {
	if lines := h["Cache-Control"]; len(lines) > 0 {
		return ParseCacheControl(lines)
	}
	if lines := h["Pragma"]; len(lines) > 0 && HasMember(lines, "no-cache") {
		d.Has = NoCache
	}
	return d
}

// withheld returns the fields that a stored response must not keep: those named
// by no-cache="…" and, in a shared cache, by private="…".
func (d *Directives) withheld(shared bool) []string {
	if !shared {
		return d.noCacheFields
	}
	return slices.Concat(d.noCacheFields, d.privateFields)
}
