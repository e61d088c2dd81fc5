package rules

import (
	"net/http"
	"net/url"
)

// IsSafe reports whether a method is safe (RFC 9110, section 9.2.1), so that its
// success invalidates nothing.
func IsSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "PROPFIND", "SEARCH", "REPORT", "QUERY":
		return true
	}
	return false
}

// InvalidatedBy returns the URLs whose stored responses a response to an unsafe
// request invalidates (RFC 9111, section 4.4): that of the request and those that
// Location and Content-Location name, if they are of the same origin. An error
// invalidates nothing.
func InvalidatedBy(target *url.URL, status int, h http.Header) (urls []*url.URL) {
	if status < 200 || status >= 400 {
		return nil
	}
	urls = append(urls, target)
	for _, name := range []string{"Location", "Content-Location"} {
		if u, ok := sameOrigin(target, h[name]); ok {
			urls = append(urls, u)
		}
	}
	return urls
}

// sameOrigin resolves the reference in a field that should have one line. It is
// not ok if there is none, or if it leads to another origin. The scheme may be another:
// behind a proxy that ends TLS a handler is asked by http, and names itself by https.
func sameOrigin(base *url.URL, lines []string) (*url.URL, bool) {
	if len(lines) != 1 {
		return nil, false
	}
	ref, err := url.Parse(lines[0])
	if err != nil {
		return nil, false
	}
	u := base.ResolveReference(ref)
	if u.Path == ref.Path {
		u.RawPath = ref.RawPath // as it is written, for purgeTargets
	}
	if PurgeHost(u.Host) != PurgeHost(base.Host) {
		return nil, false
	}
	u.Fragment, u.RawFragment = "", ""
	return u, true
}

// DescribesTarget reports whether a response to a POST is a representation of
// the request's own target, which later GET requests may be answered with (RFC
// 9110, section 9.3.3): its Content-Location is that URL.
func DescribesTarget(target *url.URL, h http.Header) bool {
	u, ok := sameOrigin(target, h["Content-Location"])
	return ok && u.EscapedPath() == target.EscapedPath() && u.RawQuery == target.RawQuery
}
