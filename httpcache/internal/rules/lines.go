package rules

import (
	"net/http"
	"strings"
	"sync"
)

// A Line is a field, ready to be put into a header.
type Line struct {
	Name   string
	Values []string
}

// FieldLines are fields, and how many values they have together.
type FieldLines struct {
	List   []Line
	Values int
}

// LinesOf returns those fields of h that are wanted, and a part of these in the same
// memory.
func LinesOf(h http.Header, wanted func(name string) (inFull, inShort bool)) (full, short FieldLines) {
	full.List = make([]Line, 0, len(h))
	for name, values := range h {
		inFull, inShort := wanted(name)
		if !inFull {
			continue
		}
		at := len(full.List)
		full.List, full.Values = append(full.List, Line{name, values}), full.Values+len(values)
		if inShort {
			n := len(short.List)
			full.List[n], full.List[at] = full.List[at], full.List[n]
			short.List, short.Values = full.List[:n+1], short.Values+len(values)
		}
	}
	return full, short
}

// Packed returns a copy of h whose values are in memory of their own, and in one piece:
// a value may be a small part of what somebody has read, which would be held as long.
func Packed(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	count, size := 0, 0
	for _, values := range h {
		count += len(values)
		for _, v := range values {
			size += len(v)
		}
	}
	var text strings.Builder
	text.Grow(size)
	own, all := make(http.Header, len(h)), make([]string, 0, count)
	for name, values := range h {
		from := len(all)
		for _, v := range values {
			at := text.Len()
			text.WriteString(v)
			all = append(all, text.String()[at:])
		}
		own[name] = all[from:len(all):len(all)]
	}
	return own
}

// The values of a response's fields belong to whoever gets the response, and may be
// written to: middlewares rewrite them in place. So none of them is ever in memory that
// a stored response, or another answer, has as well.

// CutLines returns memory for n values. It is cut from a larger piece, of which no
// part is given out twice, so that a hit need not allocate: a header that is kept
// keeps such a piece, of 4 KiB.
func CutLines(n int) []string {
	from := pieces.Get().(*piece)
	if len(from.rest) < n {
		from.rest = make([]string, max(n, pieceSize))
	}
	cut := from.rest[:n:n]
	from.rest = from.rest[n:]
	pieces.Put(from)
	return cut
}

// A piece is memory that is given out bit by bit.
type piece struct{ rest []string }

const pieceSize = 256

var pieces = sync.Pool{New: func() any { return new(piece) }}

// Count is how many values a field has that is there or not.
func Count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// Put copies values into own, and returns the copy, with no room to grow, and the
// rest of own.
func Put(own, values []string) (copied, rest []string) {
	if len(values) == 1 { // as most have, which needs no call of the runtime
		own[0] = values[0]
		return own[:1:1], own[1:]
	}
	n := copy(own, values)
	return own[:n:n], own[n:]
}
