package httpcache

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// hopByHop are the fields that are for one connection only, and those that RFC
// 9111, section 3.1, forbids to be stored for other reasons.
var hopByHop = map[string]bool{
	"Connection":                true,
	"Keep-Alive":                true,
	"Proxy-Connection":          true,
	"Te":                        true,
	"Trailer":                   true,
	"Transfer-Encoding":         true,
	"Upgrade":                   true,
	"Proxy-Authenticate":        true,
	"Proxy-Authentication-Info": true,
	"Proxy-Authorization":       true,
}

// removeHopByHop takes the fields off that a response must not carry any further
// (RFC 9110, section 7.6.1): the well-known ones and those that Connection
// lists.
func removeHopByHop(h http.Header) {
	for m := range members(h["Connection"]) {
		delete(h, textproto.CanonicalMIMEHeaderKey(m))
	}
	for name := range hopByHop {
		delete(h, name)
	}
}

// storedFields returns the fields of a response that are stored (RFC 9111,
// section 3.1), in memory of their own.
func (p *policy) storedFields(r *reception) http.Header {
	h := make(http.Header, len(r.header)+1)
	for name, lines := range r.header {
		if !strings.HasPrefix(name, http.TrailerPrefix) && len(lines) > 0 {
			h[name] = lines
		}
	}
	removeHopByHop(h)
	for _, name := range r.cc.withheld(p.shared) {
		delete(h, name)
	}
	for _, name := range []string{"Age", "Cache-Status", "X-Cache"} {
		delete(h, name)
	}
	if !p.shared { // as in browsers, cookies are set by what comes from the origin
		for _, name := range cookieFields {
			delete(h, name)
		}
	}
	if !p.keepTags {
		deleteTags(h)
	}
	return h
}

// cookieFields set cookies.
var cookieFields = []string{"Set-Cookie", "Set-Cookie2"}

func isCookieField(name string) bool { return slices.Contains(cookieFields, name) }

// tagFields name the tags of a response. Their members are separated by commas in
// the first, and by spaces in the second.
var tagFields = []string{"Cache-Tag", "Surrogate-Key"}

// tagsOf returns the tags in a response's header.
func tagsOf(h http.Header) (tags []string) {
	for m := range members(h["Cache-Tag"]) {
		tags = append(tags, m)
	}
	for _, line := range h["Surrogate-Key"] {
		tags = append(tags, strings.Fields(line)...)
	}
	return tags
}

func deleteTags(h http.Header) {
	for _, name := range tagFields {
		delete(h, name)
	}
}

// updateFields replaces stored fields by those of a response that validated the
// stored one, or of a HEAD (RFC 9111, section 3.2). What describes the stored
// bytes themselves stays: above all Content-Length, which a 304 often gets wrong.
func updateFields(stored, update http.Header) {
	for name, lines := range update {
		if !unchanging[name] {
			stored[name] = lines
		}
	}
}

// unchanging are the fields that updateFields leaves alone.
var unchanging = map[string]bool{
	"Content-Length":   true,
	"Content-Encoding": true,
	"Content-Range":    true,
	"Etag":             true, // the same where it is strong, and otherwise the stored one's
}
