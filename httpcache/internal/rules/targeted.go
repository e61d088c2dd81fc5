package rules

import (
	"net/http"
	"net/textproto"
	"time"

	"github.com/dunglas/httpsfv"
)

// ResponseDirectives returns what a response says to this cache: its first valid
// targeted field (RFC 9213, section 2.2), which then stands in place of
// Cache-Control and Expires, or else Cache-Control.
func ResponseDirectives(h http.Header, targets []string) (d Directives, targeted bool) {
	for _, name := range targets {
		if d, ok := parseTargeted(h[textproto.CanonicalMIMEHeaderKey(name)]); ok {
			return d, true
		}
	}
	return ParseCacheControl(h["Cache-Control"]), false
}

// parseTargeted reads a targeted field: a dictionary of structured fields (RFC
// 9213, section 2.1), whose keys are directives and whose parameters mean
// nothing. One that is empty or cannot be parsed is ignored as a whole.
func parseTargeted(lines []string) (d Directives, ok bool) {
	if len(lines) == 0 {
		return d, false
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return d, false
	}
	for _, name := range dict.Names() {
		is := directiveNames[name]
		member, _ := dict.Get(name)
		item, isItem := member.(httpsfv.Item)
		if is == 0 || !isItem {
			continue
		}
		d.addItem(is, item.Value)
	}
	return d, true
}

// addItem takes a directive in whose argument is a bare item.
func (d *Directives) addItem(is directive, value any) {
	switch v := value.(type) {
	case bool:
		if v {
			d.add(is, "", false)
		}
	case int64:
		if n := d.number(is); n != nil && v >= 0 {
			d.Has |= is
			*n = time.Duration(min(v, maxSeconds)) * time.Second
			return
		}
		d.add(is, "", true)
	case string:
		if d.number(is) != nil {
			v = "" // numbers are Integers here, not Strings
		}
		d.add(is, v, true)
	case httpsfv.Token:
		d.add(is, string(v), true)
	default:
		d.add(is, "", true)
	}
}
