package rules

import (
	"strconv"
	"strings"
)

// A ByteRange is a part of a body: the bytes from start up to, not including, end.
type ByteRange struct{ Start, End int64 }

// ContentRange returns the Content-Range of the part (RFC 9110, section 14.4).
func (r ByteRange) ContentRange(size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, r.Start, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, r.End-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}

// maxRanges bounds how many parts one response has. RFC 9110, section 14.2, lets
// a server ignore a Range of many small or overlapping parts.
const maxRanges = 16

// ParseRange reads a Range field (RFC 9110, section 14.2) for a body of the given
// size.
//
//   - ok is false where the field is to be ignored: another unit, a syntax error,
//     too many parts, or parts that overlap or are together as long as the body.
//   - Without any part, none of what was asked for exists: 416 is the answer.
func ParseRange(field string, size int64) (parts []ByteRange, ok bool) {
	const unit = "bytes="
	if len(field) < len(unit) || !strings.EqualFold(field[:len(unit)], unit) {
		return nil, false
	}
	specs, total := 0, int64(0)
	for m := range Members([]string{field[len(unit):]}) {
		if specs++; specs > maxRanges {
			return nil, false
		}
		r, ok := parseSpec(m, size)
		if !ok {
			return nil, false
		}
		if r.Start < r.End {
			parts = append(parts, r)
			total += r.End - r.Start
		}
	}
	if specs == 0 || len(parts) > 1 && (total >= size || overlap(parts)) {
		return nil, false
	}
	return parts, true
}

// parseSpec reads one int-range or suffix-range. The range is empty if the body
// has nothing of it.
func parseSpec(spec string, size int64) (r ByteRange, ok bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return r, false
	}
	if first == "" {
		n, ok := ParseOffset(last)
		return ByteRange{max(size-n, 0), size}, ok
	}
	start, ok := ParseOffset(first)
	if !ok {
		return r, false
	}
	if last == "" {
		return ByteRange{start, size}, true
	}
	end, ok := ParseOffset(last)
	if !ok || end < start {
		return r, false
	}
	return ByteRange{start, min(end+1, size)}, true
}

// ParseOffset reads a number of bytes; one that is too large to be read is larger
// than any body.
func ParseOffset(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n = 10*n + int64(s[i]-'0'); n > 1<<52 {
			n = 1 << 52
		}
	}
	return n, s != ""
}

func overlap(parts []ByteRange) bool {
	for i, a := range parts {
		for _, b := range parts[:i] {
			if a.Start < b.End && b.Start < a.End {
				return true
			}
		}
	}
	return false
}
