package httpcache

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

// appendResource appends the key of a resource. target is its path, escaped, and
// its query with the question mark.
func (p *policy) appendResource(b []byte, face face, method, scheme, host, target string) []byte {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	b = append(b, face...)
	b = append(b, method...)
	b = append(b, ':')
	b = append(b, scheme...)
	b = append(b, "://"...)
	b = append(b, canonicalHost(scheme, host)...)
	if !p.sortQuery && len(p.ignoreParams) == 0 {
		return append(b, target...)
	}
	path, query, _ := strings.Cut(target, "?")
	b = append(b, path...)
	if query = p.canonicalQuery(query); query != "" {
		b = append(b, '?')
		b = append(b, query...)
	}
	return b
}

// A face is what a key begins with, so that a handler and a transport that share a
// cache do not share responses: they go by different rules.
type face string

const (
	handlerFace   face = ""
	transportFace face = "client:"
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

// locateURL is locate for the resource that u names.
func (p *policy) locateURL(face face, method string, u *url.URL) (key, spelling string) {
	return p.locate(face, method, strings.ToLower(u.Scheme), u.Host, requestTarget(u))
}

// requestTarget returns the path and query that a client asks for to get u.
func requestTarget(u *url.URL) string {
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

// appendServed appends the exact key of the resource that a server was asked for: by
// the target of the request as it came, whatever others before the handler have
// made of its URL.
func (p *policy) appendServed(b []byte, r *http.Request) []byte {
	scheme, target := targetLine(r)
	return p.appendResource(b, handlerFace, r.Method, scheme, r.Host, target)
}

// targetLine returns the scheme and the target that a server was asked for.
func targetLine(r *http.Request) (scheme, target string) {
	scheme, target = "http", r.RequestURI
	if r.TLS != nil {
		scheme = "https"
	}
	if !strings.HasPrefix(target, "/") {
		target = requestTarget(r.URL)
	}
	return scheme, target
}

// rewritten reports whether the URL that the handler sees is another than the
// one that was asked for, as below http.StripPrefix. It is part of the variants'
// keys then.
func rewritten(r *http.Request) bool {
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

// targetOf returns the URL that a server was asked for.
func targetOf(r *http.Request) *url.URL {
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

// canonicalQuery returns the part of a query that is in the key, by the options.
func (p *policy) canonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	params := strings.Split(query, "&")
	params = slices.DeleteFunc(params, p.ignores)
	if p.sortQuery {
		slices.SortStableFunc(params, func(a, b string) int {
			return strings.Compare(paramName(a), paramName(b))
		})
	}
	return strings.Join(params, "&")
}

// visibleQuery returns the part of a query that the handler gets to see.
func (p *policy) visibleQuery(query string) string {
	if query == "" || len(p.ignoreParams) == 0 {
		return query
	}
	return strings.Join(slices.DeleteFunc(strings.Split(query, "&"), p.ignores), "&")
}

// ignores reports whether a parameter is none of the key's.
func (p *policy) ignores(param string) bool {
	name := paramName(param)
	return slices.ContainsFunc(p.ignoreParams, func(pattern string) bool {
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

// An extraKey is what the options add to the key.
type extraKey struct {
	headers, cookies []string
	of               func(*http.Request) string
}

func (e *extraKey) empty() bool {
	return len(e.headers) == 0 && len(e.cookies) == 0 && e.of == nil
}

// appendTo appends what the request has, in a form that is equal only if all of
// it is.
func (e *extraKey) appendTo(b []byte, r *http.Request) []byte {
	b = appendSelecting(b, e.headers, r.Header)
	for _, name := range e.cookies {
		values := r.CookiesNamed(name)
		b = strconv.AppendInt(b, int64(len(values)), 10)
		for _, c := range values {
			b = appendText(b, c.Value)
		}
	}
	if e.of != nil {
		b = appendText(b, e.of(r))
	}
	return b
}

// appendText appends s with its length in front.
func appendText(b []byte, s string) []byte {
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
