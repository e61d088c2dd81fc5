package rules

import (
	"iter"
	"strings"
)

// Members yields the members of a list-based field (RFC 9110, section 5.6.1):
// what stands between the commas of all its lines, which count as one. Commas
// within a quoted string separate nothing. Space around members is taken off,
// and empty members are skipped.
//
// A quoted string that does not end takes up the rest of its line.
func Members(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for line != "" {
				var m string
				m, line = cutMember(line)
				if m != "" && !yield(m) {
					return
				}
			}
		}
	}
}

// cutMember splits line at its first comma outside of quotes.
func cutMember(line string) (member, rest string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return Trim(line[:i]), line[i+1:]
		}
	}
	return Trim(line), ""
}

// Trim takes optional white space (RFC 9110, section 5.6.3) off both ends.
func Trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// unquote returns what a quoted string (RFC 9110, section 5.6.4) stands for. It
// is not ok if s is no such string from its first byte to its last.
func unquote(s string) (text string, ok bool) {
	if len(s) < 2 || s[0] != '"' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			if i++; i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}

// IsToken reports whether s is a token (RFC 9110, section 5.6.2).
func IsToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// HasMember reports whether a list-based field has a member, whatever its case.
func HasMember(lines []string, member string) bool {
	for m := range Members(lines) {
		if strings.EqualFold(m, member) {
			return true
		}
	}
	return false
}
