package httpcache

import "sync"

// The values of a response's fields belong to whoever gets the response, and may be
// written to: middlewares rewrite them in place. So none of them is ever in memory that
// a stored response, or another answer, has as well.

// cutLines returns memory for n values. It is cut from a larger piece, of which no
// part is given out twice, so that a hit need not allocate: a header that is kept
// keeps such a piece, of 4 KiB.
func cutLines(n int) []string {
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

// count is how many values a field has that is there or not.
func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// put copies values into own, and returns the copy, with no room to grow, and the
// rest of own.
func put(own, values []string) (copied, rest []string) {
	n := copy(own, values)
	return own[:n:n], own[n:]
}
