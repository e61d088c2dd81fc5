package httpcache

import (
	"strconv"
	"strings"
)

// A byteRange is a part of a body: the bytes from start up to, not including, end.
type byteRange struct{ start, end int64 }

// contentRange returns the Content-Range of the part (RFC 9110, section 14.4).
func (r byteRange) contentRange(size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, r.start, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, r.end-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}

// maxRanges bounds how many parts one response has. RFC 9110, section 14.2, lets
// a server ignore a Range of many small or overlapping parts.
const maxRanges = 16

// parseRange reads a Range field (RFC 9110, section 14.2) for a body of the given
// size.
//
//   - ok is false where the field is to be ignored: another unit, a syntax error,
//     too many parts, or parts that overlap or are together as long as the body.
//   - Without any part, none of what was asked for exists: 416 is the answer.
func parseRange(field string, size int64) (parts []byteRange, ok bool) {
	const unit = "bytes="
	if len(field) < len(unit) || !strings.EqualFold(field[:len(unit)], unit) {
		return nil, false
	}
	specs, total := 0, int64(0)
	for m := range members([]string{field[len(unit):]}) {
		if specs++; specs > maxRanges {
			return nil, false
		}
		r, ok := parseSpec(m, size)
		if !ok {
			return nil, false
		}
		if r.start < r.end {
			parts = append(parts, r)
			total += r.end - r.start
		}
	}
	if specs == 0 || len(parts) > 1 && (total >= size || overlap(parts)) {
		return nil, false
	}
	return parts, true
}

// parseSpec reads one int-range or suffix-range. The range is empty if the body
// has nothing of it.
func parseSpec(spec string, size int64) (r byteRange, ok bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return r, false
	}
	if first == "" {
		n, ok := parseOffset(last)
		return byteRange{max(size-n, 0), size}, ok
	}
	start, ok := parseOffset(first)
	if !ok {
		return r, false
	}
	if last == "" {
		return byteRange{start, size}, true
	}
	end, ok := parseOffset(last)
	if !ok || end < start {
		return r, false
	}
	return byteRange{start, min(end+1, size)}, true
}

// parseOffset reads a number of bytes; one that is too large to be read is larger
// than any body.
func parseOffset(s string) (n int64, ok bool) {
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

func overlap(parts []byteRange) bool {
	for i, a := range parts {
		for _, b := range parts[:i] {
			if a.start < b.end && b.start < a.end {
				return true
			}
		}
	}
	return false
}
