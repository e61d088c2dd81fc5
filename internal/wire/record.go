// Package wire knows the bytes of everything that memo writes to a shared store: a Record,
// which is a result, a lease, a note that there is none, or an epoch. It also knows those of
// a message between processes.
//
//   - Record is one of these, as it was read or is to be written; Encode and Decode are
//     the only functions that know the format.
//   - ScopeEpoch and TagEpochs are the epochs that a result records, Mark is when an epoch
//     was drawn, and Version is one of the versions that the epoch of a function lists.
//   - Message is what is published on a bus.
//
// The package knows bytes and times. It knows nothing of stores, of processes, or of
// what decides about a record.
package wire

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/store"
)

// Everything that memo writes to a shared store has this format, which only this file
// knows. Integers are unsigned varints of package binary unless a size is given; a text
// is its length and its bytes.
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
//	expired  as a result, whose freshness was ended by Expire
//	lease    scopes     as above
//	         failed     how many executions right before ended without a result
//	released failed     as above, that one included
//	epoch    epoch      16 bytes: what results record; it stays when the token changes
//	         mark       generation (text; empty or 16 bytes), count
//	         written    Unix time in seconds, by the writer's clock
//	         life       seconds from then on; zero for no end
//	         versions   number, then for each: head, shape (texts), 1 if it is current
//	         expired    number, then for each: epoch (16 bytes), Unix time in nanoseconds;
//	                    missing where there is none
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
// A change of the format is a new version. Records of every older version stay
// readable: testdata/entries holds some of each.
const (
	formatMark    = 'm'
	formatVersion = 1

	headerSize = store.TokenSize + 2 + 1 + 4
	kindAt     = store.TokenSize + 2
	sumAt      = kindAt + 1
)

// The kinds of records.
const (
	KindResult   = 'r' // a result
	KindLease    = 'l' // a process is executing fn for the key
	KindReleased = 'x' // it has ended without a result
	KindEpoch    = 'E' // what results record of a Clear or a tag, or a group's turn; see epochs

	kindExpired  = 'R' // a result with Expired
	kindOldEpoch = 'e' // an epoch as it used to be written
	kindOldTurn  = 't' // a turn as it used to be written
)

var ErrUnknown = errors.New("memo: the store holds bytes that are no entry of this key")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Record is what was read, or is to be written. Its byte slices share
// memory with the bytes that it was read from.
type Record struct {
	Token store.Token
	Kind  byte

	Replaced           store.Token
	Created            int64 // Unix time in nanoseconds, by the writer's clock
	Fresh, Stale, Cost time.Duration
	Expired            bool   // it is not fresh, whatever a clock says
	Codec              []byte // its name
	Scopes             []ScopeEpoch
	Tags               []TagEpochs
	Payload            []byte

	Failed uint64 // of a lease, or its end

	// Of an epoch or a turn.
	Epoch    store.Token
	Mark     Mark
	Written  int64         // Unix time in seconds; zero if it is not known
	Life     time.Duration // in whole seconds; zero for no end
	Versions []Version     // of a function's epoch; see versions.go
	Former   []FormerEpoch // those whose results are of use while they are stale, from the oldest on
}

// IsEpoch reports whether s is an epoch or a turn.
func (s *Record) IsEpoch() bool {
	return s.Kind == KindEpoch || s.Kind == kindOldEpoch || s.Kind == kindOldTurn
}

// Ends returns when the result's life ends, by the clocks of its writer and of this
// process.
func (s *Record) Ends() int64 {
	age := max(time.Now().UnixNano()-s.Created, 0)
	w := s.Window(clock.Now(), age)
	return w.End
}

// Expire makes s, a result, one that has expired by now, under a new token. It returns how
// long the store is to keep it, zero for no end. stale is how long it may be used from now on
// if it says nothing of that itself, having been fresh for ever. It is not ok if s is
// of no use to anybody then.
func (s *Record) Expire(stale time.Duration) (keep time.Duration, ok bool) {
	age := time.Duration(max(time.Now().UnixNano()-s.Created, 0))
	if s.Fresh == fresh.Forever {
		s.Stale = stale
	}
	if !s.Expired && age < s.Fresh {
		s.Fresh = age
	}
	s.Token, s.Replaced, s.Expired = store.NewToken(), store.Token{}, true
	if s.Stale == fresh.Forever {
		return 0, true
	}
	keep = s.Fresh + s.Stale - age
	return keep, keep > 0
}

// A ScopeEpoch is the epoch of a scope when an execution began. The path of a
// function itself is empty.
type ScopeEpoch struct {
	Path  string
	Epoch store.Token
}

// A TagEpochs is a tag of a result and its epochs when the execution began: in
// the group that it belongs to, and in each of those around that one.
type TagEpochs struct {
	Path, Name string
	Epochs     []store.Token
}

// A Mark says when an epoch was drawn: at which count of its group's turn. Counts
// are comparable within one generation, which is drawn at random when the turn
// begins anew.
type Mark struct {
	Generation store.Token
	Count      uint64
}

// Encode returns s as the bytes to be stored under key. payload, if not nil,
// appends the payload.
func (s *Record) Encode(key string, payload func([]byte) ([]byte, error)) ([]byte, error) {
	b := make([]byte, headerSize, 256)
	copy(b, s.Token[:])
	b[store.TokenSize], b[store.TokenSize+1], b[kindAt] = formatMark, formatVersion, s.Kind
	if s.Expired {
		b[kindAt] = kindExpired
	}
	b = appendSized(b, key)
	switch s.Kind {
	case KindResult:
		b = append(b, s.Replaced[:]...)
		b = binary.LittleEndian.AppendUint64(b, uint64(s.Created))
		for _, d := range [...]time.Duration{s.Fresh, s.Stale, s.Cost} {
			b = binary.AppendUvarint(b, uint64(d))
		}
		b = appendSized(b, string(s.Codec))
		b = appendTags(appendScopes(b, s.Scopes), s.Tags)
		var err error
		if b, err = payload(b); err != nil {
			return nil, err
		}
	case KindLease:
		b = binary.AppendUvarint(appendScopes(b, s.Scopes), s.Failed)
	case KindReleased:
		b = binary.AppendUvarint(b, s.Failed)
	case KindEpoch:
		b = s.appendEpoch(b)
	case kindOldEpoch, kindOldTurn:
		b = append(b, s.Mark.Generation[:]...)
		b = binary.AppendUvarint(b, s.Mark.Count)
	}
	binary.LittleEndian.PutUint32(b[sumAt:], checksum(b))
	return b, nil
}

func (s *Record) appendEpoch(b []byte) []byte {
	b = append(b, s.Epoch[:]...)
	if s.Mark == (Mark{}) {
		b = append(b, 0)
	} else {
		b = appendSized(b, string(s.Mark.Generation[:]))
	}
	b = binary.AppendUvarint(b, s.Mark.Count)
	b = binary.AppendUvarint(b, uint64(s.Written))
	b = binary.AppendUvarint(b, uint64(s.Life/time.Second))
	b = binary.AppendUvarint(b, uint64(len(s.Versions)))
	for _, v := range s.Versions {
		b = appendSized(appendSized(b, v.Head), v.Shape)
		if v.Current {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	if len(s.Former) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(s.Former)))
	for i := range s.Former {
		b = append(b, s.Former[i].Epoch[:]...)
		b = binary.AppendUvarint(b, uint64(s.Former[i].Expired))
	}
	return b
}

func appendSized(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendScopes(b []byte, scopes []ScopeEpoch) []byte {
	b = binary.AppendUvarint(b, uint64(len(scopes)))
	for i := range scopes {
		b = append(appendSized(b, scopes[i].Path), scopes[i].Epoch[:]...)
	}
	return b
}

func appendTags(b []byte, tags []TagEpochs) []byte {
	b = binary.AppendUvarint(b, uint64(len(tags)))
	for i := range tags {
		t := &tags[i]
		b = appendSized(appendSized(b, t.Path), t.Name)
		b = binary.AppendUvarint(b, uint64(len(t.Epochs)))
		for j := range t.Epochs {
			b = append(b, t.Epochs[j][:]...)
		}
	}
	return b
}

// checksum returns the sum of an encoded record, which leaves out the sum itself.
func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:sumAt], castagnoli), castagnoli, b[headerSize:])
}

// Decode reads what a store returned for key. The error is errForeign for
// anything but a record of that key.
func Decode(key string, b []byte) (*Record, error) {
	s := new(Record)
	if err := s.Decode(key, b); err != nil {
		return nil, err
	}
	return s, nil
}

// Decode makes s, which is zero, what decodeEntry returns.
func (s *Record) Decode(key string, b []byte) error {
	if len(b) < headerSize || b[store.TokenSize] != formatMark || b[store.TokenSize+1] != formatVersion ||
		binary.LittleEndian.Uint32(b[sumAt:]) != checksum(b) {
		return ErrUnknown
	}
	s.Token, s.Kind = store.Token(b), b[kindAt]
	r := reader{rest: b[headerSize:]}
	if string(r.text()) != key {
		return ErrUnknown
	}
	if s.Kind == kindExpired {
		s.Kind, s.Expired = KindResult, true
	}
	switch s.Kind {
	case KindResult:
		s.Replaced = r.token()
		s.Created = int64(r.fixed64())
		s.Fresh, s.Stale, s.Cost = r.duration(), r.duration(), r.duration()
		s.Codec = r.text()
		s.Scopes, s.Tags = r.scopes(), r.tags()
		s.Payload, r.rest = r.rest, nil
	case KindLease:
		s.Scopes, s.Failed = r.scopes(), r.number()
	case KindReleased:
		s.Failed = r.number()
	case KindEpoch:
		r.epoch(s)
	case kindOldEpoch, kindOldTurn:
		s.Epoch, s.Mark = s.Token, Mark{Generation: r.token(), Count: r.number()}
	default:
		return ErrUnknown
	}
	if r.failed || len(r.rest) > 0 {
		return ErrUnknown
	}
	return nil
}

// A reader takes a record apart. Once something is missing it has failed,
// and returns zeros.
type reader struct {
	rest   []byte
	failed bool
}

// take returns the next n bytes, or nil if there are not as many.
func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text() []byte { return r.take(r.number()) }

func (r *reader) fixed64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// duration fails for what is no time.Duration of zero or more.
func (r *reader) duration() time.Duration {
	d := time.Duration(r.number())
	if d < 0 {
		r.failed = true
	}
	return d
}

func (r *reader) token() (t store.Token) {
	copy(t[:], r.take(store.TokenSize))
	return t
}

// epoch reads what appendEpoch has written.
func (r *reader) epoch(s *Record) {
	s.Epoch = r.token()
	switch generation := r.text(); len(generation) {
	case 0:
	case store.TokenSize:
		s.Mark.Generation = store.Token(generation)
	default:
		r.failed = true
	}
	s.Mark.Count = r.number()
	s.Written = int64(r.number() & math.MaxInt64)
	seconds := r.number()
	if seconds > uint64(math.MaxInt64/time.Second) {
		r.failed = true
		return
	}
	s.Life = time.Duration(seconds) * time.Second
	for range r.many(3) {
		v := Version{Head: string(r.text()), Shape: string(r.text())}
		flag := r.take(1)
		v.Current = len(flag) == 1 && flag[0] == 1
		s.Versions = append(s.Versions, v)
	}
	if r.failed || len(r.rest) == 0 {
		return
	}
	for range r.many(store.TokenSize + 1) {
		s.Former = append(s.Former, FormerEpoch{Epoch: r.token(), Expired: int64(r.number() & math.MaxInt64)})
	}
	r.failed = r.failed || len(s.Former) == 0
}

// many returns a number of things that take at least size bytes each, so that
// what is allocated for them is bounded by the bytes that are there.
func (r *reader) many(size int) int {
	n := r.number()
	if n > uint64(len(r.rest)/size) {
		r.failed, r.rest = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) scopes() []ScopeEpoch {
	n := r.many(1 + store.TokenSize)
	if n == 0 {
		return nil
	}
	scopes := make([]ScopeEpoch, n)
	for i := range scopes {
		scopes[i] = ScopeEpoch{Path: string(r.text()), Epoch: r.token()}
	}
	return scopes
}

func (r *reader) tags() []TagEpochs {
	n := r.many(3)
	if n == 0 {
		return nil
	}
	tags := make([]TagEpochs, n)
	for i := range tags {
		t := &tags[i]
		t.Path, t.Name = string(r.text()), string(r.text())
		if k := r.many(store.TokenSize); k > 0 {
			t.Epochs = make([]store.Token, k)
			for j := range t.Epochs {
				t.Epochs[j] = r.token()
			}
		}
	}
	return tags
}

// HasTags reports whether the record carries all of the tags.
func (s *Record) HasTags(path string, tags []string) bool {
	for _, tag := range tags {
		if !slices.ContainsFunc(s.Tags, func(t TagEpochs) bool { return t.Path == path && t.Name == tag }) {
			return false
		}
	}
	return true
}

// EpochOf returns the epoch that the record has for the scope.
func (s *Record) EpochOf(path string) (store.Token, bool) {
	for i := range s.Scopes {
		if s.Scopes[i].Path == path {
			return s.Scopes[i].Epoch, true
		}
	}
	return store.Token{}, false
}

// Window returns the window of a stored result that is age old at t.
func (s *Record) Window(t, age int64) fresh.Window {
	w := fresh.Window{Created: t - age, Cost: int64(s.Cost)}
	w.Fresh = clock.After(w.Created, s.Fresh)
	w.End = clock.After(w.Fresh, s.Stale)
	if s.Expired {
		w.Fresh = min(w.Fresh, t) // by a clock that is behind
	}
	return w
}
