package rules

import (
	"net/url"
	"strings"
)

// Two requests whose bytes differ share no response: a server may tell apart what
// RFC 3986 calls equivalent, and a response that one spelling brought must not
// answer another. But who purges a URL means all of its spellings.
//
// So every resource has a purge form: host, path and query as RFC 3986, section
// 6.2, normalises them, without the scheme. A response that was asked for as the purge
// form is written is held under its resource's key. All other spellings of a purge
// form share one index, under the form, with a variant for each. A purge drops the
// two, and thereby every spelling, without knowing which there are.

// PurgeHost returns the host that all spellings of a host share: in lower case,
// without a trailing dot, an empty port, or the port of http or https. The scheme is
// of no account: behind a proxy that ends TLS, a handler sees http.
func PurgeHost(host string) string {
	name, port := strings.ToLower(host), ""
	if i := strings.LastIndexByte(name, ':'); i >= 0 && strings.IndexByte(name[i:], ']') < 0 {
		name, port = name[:i], name[i:]
	}
	switch port {
	case ":", ":80", ":443":
		port = ""
	}
	return strings.TrimSuffix(name, ".") + port
}

// purgeTarget returns the path and query that all spellings of a target share (RFC
// 3986, sections 6.2.2 and 6.2.3):
//
//   - Escapes have upper-case digits, and bytes that may stand for themselves do. That
//     includes delimiters, such as ( and ), but for those that would then separate:
//     %2F in a path, and %26, %3B, %3D and %2B in a query.
//   - Bytes that may not stand for themselves are escaped.
//   - Dot segments are resolved, an empty path is /, and an empty query is none.
func purgeTarget(target string) string {
	path, query, _ := strings.Cut(target, "?")
	path = withoutDots(respell(path, pathBytes))
	if query == "" {
		return path
	}
	return path + "?" + respell(query, queryBytes)
}

// escapedQuery returns a purge form with its query as forms and url.Values write it:
// everything but letters, digits and -._~ is escaped, unless it separates. It is so
// common that it has a place of its own beside the form.
func escapedQuery(form string) string {
	path, query, ok := strings.Cut(form, "?")
	if !ok {
		return form
	}
	return path + "?" + respell(query, formBytes)
}

// A byteClass says how a byte is written in a purge form.
type byteClass uint8

const (
	escaped   byteClass = iota // as an escape
	open                       // as itself
	separator                  // as it was: it means something else when it is escaped
)

// Which bytes may stand for themselves (RFC 3986, sections 3.3 and 3.4).
var (
	pathBytes  = classes("-._~!$&'()*+,;=:@", "/")
	queryBytes = classes("-._~!$'()*,:@/?", "&=+;")
	formBytes  = classes("-._~", "&=+;")
)

func classes(opens, separators string) (c [256]byteClass) {
	for _, b := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + opens) {
		c[b] = open
	}
	for _, b := range []byte(separators) {
		c[b] = separator
	}
	return c
}

// respell writes a part of a URL by the classes of its bytes.
func respell(s string, class [256]byteClass) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		b, isEscape := unescape(s[i:])
		if isEscape {
			i += 2
		}
		if class[b] == open || class[b] == separator && !isEscape {
			out = append(out, b)
		} else {
			out = append(out, '%', hex[b>>4], hex[b&15])
		}
	}
	return string(out)
}

// unescape returns the byte that s begins with, and whether it is an escape.
func unescape(s string) (b byte, isEscape bool) {
	if len(s) < 3 || s[0] != '%' {
		return s[0], false
	}
	high, low := hexDigit(s[1]), hexDigit(s[2])
	if high < 0 || low < 0 {
		return s[0], false
	}
	return byte(high<<4 | low), true
}

func hexDigit(b byte) int {
	switch {
	case '0' <= b && b <= '9':
		return int(b - '0')
	case 'a' <= b && b <= 'f':
		return int(b-'a') + 10
	case 'A' <= b && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

// withoutDots resolves the dot segments of a path (RFC 3986, section 5.2.4).
func withoutDots(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		switch s {
		case ".", "..":
			if s == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if i == len(segments)-1 {
				kept = append(kept, "") // the directory itself
			}
		default:
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// PurgeTargets returns the purge forms of what clients ask for to get u: with the path
// as it is written and, where net/http asks for another one because of a byte that may
// not stand for itself, that as well. Usually they are the same.
func (p *Policy) PurgeTargets(u *url.URL) []string {
	sent := RequestTarget(u)
	form := p.purgeTarget(sent)
	if u.RawPath == "" || u.Opaque != "" {
		return []string{form}
	}
	if _, query, ok := strings.Cut(sent, "?"); ok {
		sent = "?" + query
	} else {
		sent = ""
	}
	if written := p.purgeTarget(u.RawPath + sent); written != form {
		return []string{form, written}
	}
	return []string{form}
}

// purgeTarget returns the purge form of a target, without what the options take out
// of the key.
func (p *Policy) purgeTarget(target string) string {
	path, query, _ := strings.Cut(target, "?")
	if query = p.CanonicalQuery(query); query != "" {
		path += "?" + query
	}
	return purgeTarget(path)
}

// PurgeNames names a resource for purges, by its host and its purge forms.
func (p *Policy) PurgeNames(u *url.URL) []string {
	names := p.PurgeTargets(u)
	for i, target := range names {
		names[i] = PurgeHost(u.Host) + target
	}
	return names
}

// PurgedKeys appends the keys of all that is held for a purge form: what was asked
// for in that form, and the index of its other spellings.
func (p *Policy) PurgedKeys(keys []string, side Face, method, scheme, host, form string) []string {
	add := func(kind Face, target string) {
		keys = append(keys, string(p.AppendResource(nil, side+kind, method, scheme, host, target)))
	}
	add("", form)
	if other := escapedQuery(form); other != form {
		add("", other)
	}
	add(spelled, form)
	return keys
}

// spelled is in the key of the index of all spellings but the purge form's own.
const spelled = "spelled:"

// Locate returns the key under which responses of a resource are held or, for one that
// is not spelled as its purge form, their index. The spelling is empty, or part of the
// keys of the variants then.
func (p *Policy) Locate(side Face, method, scheme, host, target string) (key, spelling string) {
	exact := p.AppendResource(nil, side, method, scheme, host, target)
	plain := PurgeHost(host)
	form := p.purgeTarget(target)
	for _, as := range []string{form, escapedQuery(form)} {
		if string(exact) == string(p.AppendResource(nil, side, method, scheme, plain, as)) {
			return string(exact), ""
		}
	}
	return string(p.AppendResource(nil, side+spelled, method, scheme, plain, form)), string(exact)
}
