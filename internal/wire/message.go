package wire

import (
	"bytes"
	"encoding/hex"
	"strconv"

	"github.com/seed-0226adef/memo/store"
)

// A Message tells other processes, on a bus, which keys of a keyspace have changed. As bytes it
// reads
//
//	memo1 length sender prefix key key …
//
// in printable ASCII, which shared keys are: length is that of everything behind it, in
// decimal, and sender is in hexadecimal.
type Message struct {
	Sender store.Token // drawn at random by who sends it, which may hear its own messages too
	Prefix string      // of the keyspace, colon included
	Keys   []string
}

const (
	messageHead = "memo1 "
	maxDigits   = len("7000") // of store.MaxMessage
)

// AppendTo appends m to dst as messages of at most store.MaxMessage bytes each. A key that fits
// into none, or is no word, is left out.
func (m *Message) AppendTo(dst [][]byte) [][]byte {
	head := append(hex.AppendEncode(nil, m.Sender[:]), ' ')
	head = append(head, m.Prefix...)
	head = head[:len(head):len(head)] // each message has memory of its own
	body := head
	flush := func() {
		if len(body) > len(head) {
			b := append(strconv.AppendInt([]byte(messageHead), int64(len(body)), 10), ' ')
			dst = append(dst, append(b, body...))
			body = head
		}
	}
	limit := store.MaxMessage - len(messageHead) - maxDigits - len(" ")
	for _, key := range m.Keys {
		if !isWord(key) || len(head)+len(" ")+len(key) > limit {
			continue
		}
		if len(body)+len(" ")+len(key) > limit {
			flush()
		}
		body = append(append(body, ' '), key...)
	}
	flush()
	return dst
}

// isWord reports whether s is printable ASCII without spaces, and not empty.
func isWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// DecodeMessage returns the message that b is. It is not ok if b is none, is not whole, or is
// too long. Nothing of b is kept.
func DecodeMessage(b []byte) (m *Message, ok bool) {
	rest, is := bytes.CutPrefix(b, []byte(messageHead))
	length, rest, found := bytes.Cut(rest, []byte(" "))
	n, err := strconv.ParseUint(string(length), 10, 16)
	if !is || !found || err != nil || len(b) > store.MaxMessage || n != uint64(len(rest)) {
		return nil, false
	}
	words := bytes.Split(rest, []byte(" "))
	m = new(Message)
	if len(words) < 3 || len(words[0]) != hex.EncodedLen(len(m.Sender)) {
		return nil, false
	}
	if _, err := hex.Decode(m.Sender[:], words[0]); err != nil {
		return nil, false
	}
	for _, word := range words[1:] {
		s := string(word)
		if !isWord(s) {
			return nil, false
		}
		m.Keys = append(m.Keys, s)
	}
	m.Prefix, m.Keys = m.Keys[0], m.Keys[1:]
	return m, true
}
