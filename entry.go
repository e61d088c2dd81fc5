package memo

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/store"
)

// Everything that memo writes to a shared store is an entry of this format, and
// this file is the only one that knows it: as a stored. A result in this process
// is what the type entry is, in result.go. Integers are unsigned varints of
// package binary unless a size is given; a text is its length and its bytes.
//
//	token    16 bytes   drawn for this write; what Swap compares
//	format   2 bytes    'm' and formatVersion
//	kind     1 byte     one of the kinds below
//	sum      4 bytes    CRC-32C, little endian, of all other bytes
//	key      text       the key that it was written under
//
// and then, by kind:
//
//	result   replaced   16 bytes: the token that it took the place of
//	         created    8 bytes, little endian: Unix time in nanoseconds
//	         fresh      nanoseconds from created on
//	         stale      nanoseconds after that in which it may still be used
//	         cost       nanoseconds that the execution took
//	         codec      text; empty for a key without a value, of a batch
//	         scopes     number, then for each: path (text), epoch (16 bytes)
//	         tags       number, then for each: path, name (texts),
//	                    number of epochs and these (16 bytes each)
//	         payload    the rest
//	lease    scopes     as above
//	         failed     how many executions right before ended without a result
//	released failed     as above, that one included
//	epoch    epoch      16 bytes: what results record; it stays when the token changes
//	         mark       generation (text; empty or 16 bytes), count
//	         written    Unix time in seconds, by the writer's clock
//	         life       seconds from then on; zero for no end
//	         versions   number, then for each: head, shape (texts), 1 if it is current
//
// Epochs and turns used to be written so, with the token as the epoch:
//
//	epoch    mark       generation (16 bytes), count
//	turn     mark       generation (16 bytes), count
//
// A reader refuses what it does not know: another version, another kind, bytes
// left over, a sum or a key that does not match. Refused bytes are a miss. The
// key is there for stores that return what is under another one.
//
// A change of the format is a new version. Entries of every older version stay
// readable: testdata/entries holds some of each.
const (
	formatMark    = 'm'
	formatVersion = 1

	headerSize = store.TokenSize + 2 + 1 + 4
	kindAt     = store.TokenSize + 2
	sumAt      = kindAt + 1
)

// The kinds of entries.
const (
	kindResult   = 'r' // a result
	kindLease    = 'l' // a process is executing fn for the key
	kindReleased = 'x' // it has ended without a result
	kindEpoch    = 'E' // what results record of a Clear or a tag, or a group's turn; see epochs

	kindOldEpoch = 'e' // an epoch as it used to be written
	kindOldTurn  = 't' // a turn as it used to be written
)

var errForeign = errors.New("memo: the store holds bytes that are no entry of this key")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A stored is an entry as it was read, or is to be written. Its byte slices share
// memory with the bytes that it was read from.
type stored struct {
	token store.Token
	kind  byte

	replaced           store.Token
	created            int64 // Unix time in nanoseconds, by the writer's clock
	fresh, stale, cost time.Duration
	codec              []byte // its name
	scopes             []scopeEpoch
	tags               []tagEpochs
	payload            []byte

	failed uint64 // of a lease, or its end

	// Of an epoch or a turn.
	epoch    store.Token
	mark     mark
	written  int64         // Unix time in seconds; zero if it is not known
	life     time.Duration // in whole seconds; zero for no end
	versions []version     // of a function's epoch; see versions.go
}

// isEpoch reports whether s is an epoch or a turn.
func (s *stored) isEpoch() bool {
	return s.kind == kindEpoch || s.kind == kindOldEpoch || s.kind == kindOldTurn
}

// ends returns when the result's life ends, by the clocks of its writer and of this
// process.
func (s *stored) ends() int64 {
	age := max(time.Now().UnixNano()-s.created, 0)
	w := s.window(clock.Now(), age)
	return w.End
}

// A scopeEpoch is the epoch of a scope when an execution began. The path of a
// function itself is empty.
type scopeEpoch struct {
	path  string
	epoch store.Token
}

// A tagEpochs is a tag of a result and its epochs when the execution began: in
// the group that it belongs to, and in each of those around that one.
type tagEpochs struct {
	path, name string
	epochs     []store.Token
}

// A mark says when an epoch was drawn: at which count of its group's turn. Counts
// are comparable within one generation, which is drawn at random when the turn
// begins anew.
type mark struct {
	generation store.Token
	count      uint64
}

// encode returns s as the bytes to be stored under key. payload, if not nil,
// appends the payload.
func (s *stored) encode(key string, payload func([]byte) ([]byte, error)) ([]byte, error) {
	b := make([]byte, headerSize, 256)
	copy(b, s.token[:])
	b[store.TokenSize], b[store.TokenSize+1], b[kindAt] = formatMark, formatVersion, s.kind
	b = appendSized(b, key)
	switch s.kind {
	case kindResult:
		b = append(b, s.replaced[:]...)
		b = binary.LittleEndian.AppendUint64(b, uint64(s.created))
		for _, d := range [...]time.Duration{s.fresh, s.stale, s.cost} {
			b = binary.AppendUvarint(b, uint64(d))
		}
		b = appendSized(b, string(s.codec))
		b = appendTags(appendScopes(b, s.scopes), s.tags)
		var err error
		if b, err = payload(b); err != nil {
			return nil, err
		}
	case kindLease:
		b = binary.AppendUvarint(appendScopes(b, s.scopes), s.failed)
	case kindReleased:
		b = binary.AppendUvarint(b, s.failed)
	case kindEpoch:
		b = s.appendEpoch(b)
	case kindOldEpoch, kindOldTurn:
		b = append(b, s.mark.generation[:]...)
		b = binary.AppendUvarint(b, s.mark.count)
	}
	binary.LittleEndian.PutUint32(b[sumAt:], checksum(b))
	return b, nil
}

func (s *stored) appendEpoch(b []byte) []byte {
	b = append(b, s.epoch[:]...)
	if s.mark == (mark{}) {
		b = append(b, 0)
	} else {
		b = appendSized(b, string(s.mark.generation[:]))
	}
	b = binary.AppendUvarint(b, s.mark.count)
	b = binary.AppendUvarint(b, uint64(s.written))
	b = binary.AppendUvarint(b, uint64(s.life/time.Second))
	b = binary.AppendUvarint(b, uint64(len(s.versions)))
	for _, v := range s.versions {
		b = appendSized(appendSized(b, v.head), v.shape)
		if v.current {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

func appendSized(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendScopes(b []byte, scopes []scopeEpoch) []byte {
	b = binary.AppendUvarint(b, uint64(len(scopes)))
	for i := range scopes {
		b = append(appendSized(b, scopes[i].path), scopes[i].epoch[:]...)
	}
	return b
}

func appendTags(b []byte, tags []tagEpochs) []byte {
	b = binary.AppendUvarint(b, uint64(len(tags)))
	for i := range tags {
		t := &tags[i]
		b = appendSized(appendSized(b, t.path), t.name)
		b = binary.AppendUvarint(b, uint64(len(t.epochs)))
		for j := range t.epochs {
			b = append(b, t.epochs[j][:]...)
		}
	}
	return b
}

// checksum returns the sum of an encoded entry, which leaves out the sum itself.
func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:sumAt], castagnoli), castagnoli, b[headerSize:])
}

// decodeEntry reads what a store returned for key. The error is errForeign for
// anything but an entry of that key.
func decodeEntry(key string, b []byte) (*stored, error) {
	s := new(stored)
	if err := s.decode(key, b); err != nil {
		return nil, err
	}
	return s, nil
}

// decode makes s, which is zero, what decodeEntry returns.
func (s *stored) decode(key string, b []byte) error {
	if len(b) < headerSize || b[store.TokenSize] != formatMark || b[store.TokenSize+1] != formatVersion ||
		binary.LittleEndian.Uint32(b[sumAt:]) != checksum(b) {
		return errForeign
	}
	s.token, s.kind = store.Token(b), b[kindAt]
	r := entryReader{rest: b[headerSize:]}
	if string(r.text()) != key {
		return errForeign
	}
	switch s.kind {
	case kindResult:
		s.replaced = r.token()
		s.created = int64(r.fixed64())
		s.fresh, s.stale, s.cost = r.duration(), r.duration(), r.duration()
		s.codec = r.text()
		s.scopes, s.tags = r.scopes(), r.tags()
		s.payload, r.rest = r.rest, nil
	case kindLease:
		s.scopes, s.failed = r.scopes(), r.number()
	case kindReleased:
		s.failed = r.number()
	case kindEpoch:
		r.epoch(s)
	case kindOldEpoch, kindOldTurn:
		s.epoch, s.mark = s.token, mark{generation: r.token(), count: r.number()}
	default:
		return errForeign
	}
	if r.failed || len(r.rest) > 0 {
		return errForeign
	}
	return nil
}

// An entryReader takes an entry apart. Once something is missing it has failed,
// and returns zeros.
type entryReader struct {
	rest   []byte
	failed bool
}

// take returns the next n bytes, or nil if there are not as many.
func (r *entryReader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *entryReader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *entryReader) text() []byte { return r.take(r.number()) }

func (r *entryReader) fixed64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// duration fails for what is no time.Duration of zero or more.
func (r *entryReader) duration() time.Duration {
	d := time.Duration(r.number())
	if d < 0 {
		r.failed = true
	}
	return d
}

func (r *entryReader) token() (t store.Token) {
	copy(t[:], r.take(store.TokenSize))
	return t
}

// epoch reads what appendEpoch has written.
func (r *entryReader) epoch(s *stored) {
	s.epoch = r.token()
	switch generation := r.text(); len(generation) {
	case 0:
	case store.TokenSize:
		s.mark.generation = store.Token(generation)
	default:
		r.failed = true
	}
	s.mark.count = r.number()
	s.written = int64(r.number() & math.MaxInt64)
	seconds := r.number()
	if seconds > uint64(math.MaxInt64/time.Second) {
		r.failed = true
		return
	}
	s.life = time.Duration(seconds) * time.Second
	for range r.many(3) {
		v := version{head: string(r.text()), shape: string(r.text())}
		flag := r.take(1)
		v.current = len(flag) == 1 && flag[0] == 1
		s.versions = append(s.versions, v)
	}
}

// many returns a number of things that take at least size bytes each, so that
// what is allocated for them is bounded by the bytes that are there.
func (r *entryReader) many(size int) int {
	n := r.number()
	if n > uint64(len(r.rest)/size) {
		r.failed, r.rest = true, nil
		return 0
	}
	return int(n)
}

func (r *entryReader) scopes() []scopeEpoch {
	n := r.many(1 + store.TokenSize)
	if n == 0 {
		return nil
	}
	scopes := make([]scopeEpoch, n)
	for i := range scopes {
		scopes[i] = scopeEpoch{path: string(r.text()), epoch: r.token()}
	}
	return scopes
}

func (r *entryReader) tags() []tagEpochs {
	n := r.many(3)
	if n == 0 {
		return nil
	}
	tags := make([]tagEpochs, n)
	for i := range tags {
		t := &tags[i]
		t.path, t.name = string(r.text()), string(r.text())
		if k := r.many(store.TokenSize); k > 0 {
			t.epochs = make([]store.Token, k)
			for j := range t.epochs {
				t.epochs[j] = r.token()
			}
		}
	}
	return tags
}
