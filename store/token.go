package store

import "crypto/rand"

// TokenSize is the length of a [Token] in bytes. Random numbers of 16 bytes do
// not repeat: after 2^50 of them the odds of any two being equal are one in 2^29.
const TokenSize = 16

// A Token tells one written value from every other. The first [TokenSize] bytes
// of a value are its token, and [Store.Swap] compares nothing else.
//
// Tokens are comparable with ==. They identify, they do not authorize: a
// process that can read a value can read its token.
type Token [TokenSize]byte

// NewToken draws a token from [crypto/rand]. A token must be drawn anew for every
// value written, the replacement in a Swap included; a writer that keeps the old
// token lets others swap against a value they have not seen.
func NewToken() Token {
	var t Token
	rand.Read(t[:]) // never fails: documented since Go 1.24
	return t
}

// TokenOf returns the token that value begins with. It reports false, and the
// zero Token, if value is too short to begin with one.
func TokenOf(value []byte) (Token, bool) {
	if len(value) < TokenSize {
		return Token{}, false
	}
	return Token(value[:TokenSize]), true
}
