package rules

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// MaxVary bounds how many request fields one resource's responses may vary by.
const MaxVary = 16

// VaryNames returns the request fields that a response's Vary lines name (RFC
// 9110, section 12.5.5), in canonical form and sorted, each once. It is not ok if
// they hold "*", which nothing matches, or something that is no field name, or
// too many.
func VaryNames(lines []string) (names []string, ok bool) {
	for m := range Members(lines) {
		if m == "*" || !IsToken(m) {
			return nil, false
		}
		names = append(names, textproto.CanonicalMIMEHeaderKey(m))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names, len(names) <= MaxVary
}

// AppendSelecting appends the values that a request has for the fields named, in
// a form that is equal for two requests exactly when all these fields match (RFC
// 9111, section 4.1). Each value is written with its length, so that no value can
// pass for another's end and start.
func AppendSelecting(key []byte, names []string, h http.Header) []byte {
	for _, name := range names {
		key = appendField(key, name, h[name])
	}
	return key
}

// appendField appends one field's normalised value, or that it is absent.
func appendField(key []byte, name string, lines []string) []byte {
	if len(lines) == 0 {
		return append(key, "-,"...)
	}
	const hex = "0123456789abcdef"
	at := len(key)
	key = append(key, "00000000:"...)
	key = appendNormal(key, name, lines)
	n := len(key) - at - len("00000000:")
	for i := range 8 {
		key[at+i] = hex[n>>(28-4*i)&15]
	}
	return append(key, ',')
}

// appendNormal appends a field's value in a form that is the same for values that
// mean the same by the syntax of the field (section 4.1 allows no more).
//
//   - Lines are joined, and space around commas is taken off.
//   - Accept-Language and Accept-Encoding have no case, and no order besides their
//     weights.
//   - Of Cookie and Authorization, which tell people apart, nothing is touched.
func appendNormal(key []byte, name string, lines []string) []byte {
	switch name {
	case "Cookie", "Authorization":
		return appendExact(key, lines)
	case "Accept-Language", "Accept-Encoding":
		return appendUnordered(key, lines)
	}
	first := true
	for m := range Members(lines) {
		if !first {
			key = append(key, ',')
		}
		first = false
		key = append(key, m...)
	}
	return key
}

func appendExact(key []byte, lines []string) []byte {
	for _, line := range lines {
		key = strconv.AppendInt(key, int64(len(line)), 10)
		key = append(key, ':')
		key = append(key, line...)
	}
	return key
}

// appendUnordered appends the members sorted, in lower case and without space
// around the semicolons of their parameters.
func appendUnordered(key []byte, lines []string) []byte {
	var list []string
	for m := range Members(lines) {
		list = append(list, strings.ToLower(withoutSpace(m)))
	}
	slices.Sort(list)
	for i, m := range slices.Compact(list) {
		if i > 0 {
			key = append(key, ',')
		}
		key = append(key, m...)
	}
	return key
}

func withoutSpace(s string) string {
	if strings.IndexByte(s, ' ') < 0 && strings.IndexByte(s, '\t') < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, s)
}
