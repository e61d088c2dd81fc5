package rules

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A resource's key is what identifies it (RFC 9111, section 2): method, scheme,
// host, path and query, exactly as they were asked for. What else selects among
// its responses, by Vary or by the options, is in the keys of its variants; see
// [exchange.place]. So one key stands for all of a resource, and dropping it drops
// all.
//
// The host is the one that net/http gives. X-Forwarded-Host and its like are read
// by nobody here: anyone can send them.

// AppendResource appends the key of a resource. target is its path, escaped, and
// its query with the question mark.
func (p *Policy) AppendResource(b []byte, face Face, method, scheme, host, target string) []byte {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	b = append(b, face...)
	b = append(b, method...)
	b = append(b, ':')
	b = append(b, scheme...)
	b = append(b, "://"...)
	b = append(b, canonicalHost(scheme, host)...)
	if !p.SortQuery && len(p.IgnoreParams) == 0 {
		return append(b, target...)
	}
	path, query, _ := strings.Cut(target, "?")
	b = append(b, path...)
	if query = p.CanonicalQuery(query); query != "" {
		b = append(b, '?')
		b = append(b, query...)
	}
	return b
}

// A Face is what a key begins with, so that a handler and a transport that share a
// cache do not share responses: they go by different rules.
type Face string

const (
	HandlerFace   Face = ""
	TransportFace Face = "client:"
)

// canonicalHost returns a host in lower case and without its scheme's own port
// (RFC 9110, section 4.2.3).
func canonicalHost(scheme, host string) string {
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return strings.ToLower(host)
}

// LocateURL is locate for the resource that u names.
func (p *Policy) LocateURL(face Face, method string, u *url.URL) (key, spelling string) {
	return p.Locate(face, method, strings.ToLower(u.Scheme), u.Host, RequestTarget(u))
}

// RequestTarget returns the path and query that a client asks for to get u.
func RequestTarget(u *url.URL) string {
	if u.Opaque != "" { // which is what net/http asks for then
		return u.RequestURI()
	}
	target := u.EscapedPath()
	if target == "" {
		target = "/"
	}
	if u.ForceQuery || u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	return target
}

// AppendServed appends the exact key of the resource that a server was asked for: by
// the target of the request as it came, whatever others before the handler have
// made of its URL.
func (p *Policy) AppendServed(b []byte, r *http.Request) []byte {
	scheme, target := TargetLine(r)
	return p.AppendResource(b, HandlerFace, r.Method, scheme, r.Host, target)
}

// TargetLine returns the scheme and the target that a server was asked for.
func TargetLine(r *http.Request) (scheme, target string) {
	scheme, target = "http", r.RequestURI
	if r.TLS != nil {
		scheme = "https"
	}
	if !strings.HasPrefix(target, "/") {
		target = RequestTarget(r.URL)
	}
	return scheme, target
}

// Rewritten reports whether the URL that the handler sees is another than the
// one that was asked for, as below http.StripPrefix. It is part of the variants'
// keys then.
func Rewritten(r *http.Request) bool {
	uri := r.RequestURI
	if !strings.HasPrefix(uri, "/") {
		return false
	}
	if rest, ok := strings.CutPrefix(uri, r.URL.Path); ok && r.URL.RawPath == "" {
		if rest == "" && r.URL.RawQuery == "" || rest != "" && rest[0] == '?' && rest[1:] == r.URL.RawQuery {
			return false
		}
	}
	return uri != r.URL.RequestURI()
}

// TargetOf returns the URL that a server was asked for.
func TargetOf(r *http.Request) *url.URL {
	u := *r.URL
	if strings.HasPrefix(r.RequestURI, "/") {
		if asked, err := url.ParseRequestURI(r.RequestURI); err == nil {
			u = *asked
		}
	}
	u.Host, u.Scheme = r.Host, "http"
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return &u
}

// CanonicalQuery returns the part of a query that is in the key, by the options.
func (p *Policy) CanonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	params := strings.Split(query, "&")
	params = slices.DeleteFunc(params, p.ignores)
	if p.SortQuery {
		slices.SortStableFunc(params, func(a, b string) int {
			return strings.Compare(paramName(a), paramName(b))
		})
	}
	return strings.Join(params, "&")
}

// VisibleQuery returns the part of a query that the handler gets to see.
func (p *Policy) VisibleQuery(query string) string {
	if query == "" || len(p.IgnoreParams) == 0 {
		return query
	}
	return strings.Join(slices.DeleteFunc(strings.Split(query, "&"), p.ignores), "&")
}

// ignores reports whether a parameter is none of the key's.
func (p *Policy) ignores(param string) bool {
	name := paramName(param)
	return slices.ContainsFunc(p.IgnoreParams, func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == pattern
	})
}

func paramName(param string) string {
	name, _, _ := strings.Cut(param, "=")
	if plain, err := url.QueryUnescape(name); err == nil {
		return plain
	}
	return name
}

// An ExtraKey is what the options add to the key.
type ExtraKey struct {
	Headers, Cookies []string
	Of               func(*http.Request) string
}

func (e *ExtraKey) Empty() bool {
	return len(e.Headers) == 0 && len(e.Cookies) == 0 && e.Of == nil
}

// AppendTo appends what the request has, in a form that is equal only if all of
// it is.
func (e *ExtraKey) AppendTo(b []byte, r *http.Request) []byte {
	b = AppendSelecting(b, e.Headers, r.Header)
	for _, name := range e.Cookies {
		values := r.CookiesNamed(name)
		b = strconv.AppendInt(b, int64(len(values)), 10)
		for _, c := range values {
			b = AppendText(b, c.Value)
		}
	}
	if e.Of != nil {
		b = AppendText(b, e.Of(r))
	}
	return b
}

// AppendText appends s with its length in front.
func AppendText(b []byte, s string) []byte {
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}

func Decimal(n int64) string { return strconv.FormatInt(n, 10) }
