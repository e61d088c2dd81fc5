package rules

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

// RemoveHopByHop takes the fields off that a response must not carry any further
// (RFC 9110, section 7.6.1): the well-known ones and those that Connection
// lists.
func RemoveHopByHop(h http.Header) {
	for m := range Members(h["Connection"]) {
		delete(h, textproto.CanonicalMIMEHeaderKey(m))
	}
	for name := range hopByHop {
		delete(h, name)
	}
}

// StoredFields returns the fields of a response that are stored (RFC 9111,
// section 3.1), in memory of their own.
func (p *Policy) StoredFields(r *Reception) http.Header {
	h := make(http.Header, len(r.Header)+1)
	for name, lines := range r.Header {
		if !strings.HasPrefix(name, http.TrailerPrefix) && len(lines) > 0 {
			h[name] = lines
		}
	}
	RemoveHopByHop(h)
	for _, name := range r.CacheControl.withheld(p.Shared) {
		delete(h, name)
	}
	for _, name := range []string{"Age", "Cache-Status", "X-Cache"} {
		delete(h, name)
	}
	if !p.Shared { // as in browsers, cookies are set by what comes from the origin
		for _, name := range CookieFields {
			delete(h, name)
		}
	}
	if !p.KeepTags {
		DeleteTags(h)
	}
	return h
}

// CookieFields set cookies.
var CookieFields = []string{"Set-Cookie", "Set-Cookie2"}

func IsCookieField(name string) bool { return slices.Contains(CookieFields, name) }

// tagFields name the tags of a response. Their members are separated by commas in
// the first, and by spaces in the second.
var tagFields = []string{"Cache-Tag", "Surrogate-Key"}

// TagsOf returns the tags in a response's header.
func TagsOf(h http.Header) (tags []string) {
	for m := range Members(h["Cache-Tag"]) {
		tags = append(tags, m)
	}
	for _, line := range h["Surrogate-Key"] {
		tags = append(tags, strings.Fields(line)...)
	}
	return tags
}

func DeleteTags(h http.Header) {
	for _, name := range tagFields {
		delete(h, name)
	}
}

// UpdateFields replaces stored fields by those of a response that validated the
// stored one, or of a HEAD (RFC 9111, section 3.2). What describes the stored
// bytes themselves stays: above all Content-Length, which a 304 often gets wrong.
func UpdateFields(stored, update http.Header) {
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
