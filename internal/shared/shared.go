// Package shared is the results of a function in its store: it makes entries of records, and
// records of entries.
//
//   - Results is what one function has to do with its store.
//   - A Function is what is known of it besides its types.
//   - A Published is an execution whose result is to be published.
//   - A Place is where results are.
//
// The package knows codecs, tags and what a result is worth. It knows neither callers nor what
// is under way for a key.
package shared

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/lease"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/tags"
	"github.com/seed-0226adef/memo/internal/trial"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// Results is what a function has to do with its store.
type Results struct {
	*fleet.Collection
	*Function
	Codecs  codecs
	reports reports
}

// A Function is what is known of a function besides its types.
type Function struct {
	Label   string          // for display: the Name, or the runtime's name of fn
	Batched bool            // of a Batch
	Inline  bool            // fn runs in the goroutine of the call that executes: it has no context, and no limit
	Types   entry.Typing    // of its results
	Base    *entry.Config   // of the function itself; set before anything is looked up
	Space   *tags.Namespace // the group's, or one of the function's own
	Count   *entry.Counters // held apart: a group keeps them when the function is gone

	OnceReported atomic.Bool // that a result can be used only once
	TagsReported atomic.Bool // that there are tags, but no group; see NeedsGroup
}

// A Published is an execution whose result is to be published.
type Published struct {
	Run    *lease.Run
	Frame  *nested.Frame
	Policy *entry.Config
	Absent bool  // fn left the key out
	Err    error // fn's
}

// A Place is where a function's results are in a store.
type Place struct {
	Store                 store.Store
	Bus                   store.Bus // where processes tell each other of changes; may be nil
	Prefix, Name, Version string
	ArgsShape             string // see keys.ArgsShape
	Logger                *slog.Logger
}

// KeyspaceOf returns the keyspace of a prefix on s, attached to the bus if there is one. When
// epochs change there, every copy of a shared result compares its own with those that are known
// then, when it is looked at.
func KeyspaceOf(s store.Store, prefix string, bus store.Bus) *fleet.Keyspace {
	k := fleet.KeyspaceOf(s, prefix, func() { tags.NextSequence(func(uint64) {}) })
	k.Attach(bus)
	return k
}

// New has the results of f shared at p. on is told what happens in the store.
func New(f *Function, p Place, on fleet.MemberEvents) *Results {
	k := KeyspaceOf(p.Store, p.Prefix, p.Bus)
	s := &Results{Function: f, Collection: fleet.NewCollection(k, p.Name, p.Version, f.Space.Path, p.ArgsShape)}
	s.Collection.Member.On = on
	s.Collection.Report = func(what string, args ...any) { s.report(f.Base, what, args...) }
	s.Collection.Failed = s.Failed
	for _, known := range []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob} {
		s.Codecs.Add(known)
	}
	if p.Logger != nil {
		k.SetLogger(p.Logger)
	}
	return s
}

// Result makes an entry for this process of a valid result, or returns nil if it
// can serve nothing of p, or cannot be decoded.
func (s *Results) Result(p *entry.Config, key, sharedKey string, seen *fleet.Seen, born uint64) *entry.Entry {
	st := seen.Record
	read := time.Now()
	t := clock.At(read)
	age := max(read.UnixNano()-st.Created, 0) // of a clock that is behind
	at := entry.Location{Keyspace: s.Keyspace, Key: sharedKey, Token: st.Token, Generation: seen.Generation, Reports: seen.Reports}
	e := entry.NewIn(at, key, nil, st.Window(t, age), read.Add(-time.Duration(age)), born)
	r := e.Own()
	r.Asked, r.Tags, r.Dependencies = seen.At, s.tagsOf(st.Tags), seen.Dependencies
	if seen.Expired {
		e.Window.Expire(seen.ExpiredAt)
	}
	if e.Verdict(t, &p.Policy, entry.Draw) == fresh.Unusable {
		return nil
	}
	value, err := s.decode(st)
	if err == entry.ErrAbsent && s.Batched {
		r.Err, err = entry.ErrAbsent, nil
	}
	if err != nil {
		s.report(p, "a result in the store cannot be decoded; it counts as a miss", "key", sharedKey, "error", err)
		return nil
	}
	e.Value = s.Types.Pointer(value)
	if ahead := st.Created - read.UnixNano(); ahead > 0 {
		s.NoteSkew(t, ahead)
	}
	// By a clock that is behind, a result seems to live longer than the
	// store keeps it.
	if r.Trusted = e.End; e.End != clock.Forever {
		r.Trusted -= int64(s.Skew(t))
	}
	return e
}

// LocationOf returns where a result is going to be that is about to be stored under key.
func (s *Results) LocationOf(key string) entry.Location {
	return entry.Location{Keyspace: s.Keyspace, Key: key, Generation: s.Notifications.Generation.Load(), Reports: s.Notifications.Of(key).Load()}
}

// codecs are those that a function was given.
type codecs struct {
	mu sync.RWMutex
	by map[string]codec.Codec // guarded by mu; by name
}

func (c *codecs) Add(known codec.Codec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]codec.Codec{}
	}
	c.by[known.Name()] = known
}

// named returns the codec of that name, or nil.
func (c *codecs) named(name []byte) codec.Codec {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.by[string(name)]
}

// errCodec is why a result cannot be decoded: nobody gave this function the codec
// that it was written with.
var errCodec = errors.New("memo: the codec is not known here")

func (s *Results) decode(st *wire.Record) (value any, err error) {
	if len(st.Codec) == 0 {
		return s.Types.Blank(), entry.ErrAbsent
	}
	c := s.Codecs.named(st.Codec)
	if c == nil {
		return nil, fmt.Errorf("%w: %q", errCodec, st.Codec)
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: the codec panicked: %v", v)
		}
	}()
	value = s.Types.Blank()
	return value, c.Decode(st.Payload, value)
}

// tagsOf returns the tags of a stored result as this process knows them.
func (s *Results) tagsOf(stored []wire.TagEpochs) []tags.Tag {
	if len(stored) == 0 {
		return nil
	}
	scoped := make([]tags.Tag, len(stored))
	for i := range stored {
		space := s.Space
		if stored[i].Path != space.Path {
			space = tags.At(stored[i].Path)
			space.Reaches(s.Keyspace)
		}
		scoped[i] = tags.Tag{Space: space, Name: stored[i].Name}
	}
	return scoped
}

// encode returns e as the bytes to be stored under key. st has what e does not know:
// the tokens, and the epochs of the scopes and the tags.
func (s *Results) encode(p *entry.Config, key string, e *entry.Entry, st *wire.Record) (b []byte, err error) {
	st.Kind, st.Created = wire.KindResult, e.Wall
	st.Fresh, st.Cost = time.Duration(e.Fresh-e.Created), time.Duration(max(e.Cost, 0))
	if e.Fresh == clock.Forever {
		st.Fresh = fresh.Forever
	} else if e.End == clock.Forever {
		st.Stale = fresh.Forever
	} else {
		st.Stale = time.Duration(e.End - e.Fresh)
	}
	if e.Err() == entry.ErrAbsent {
		return st.Encode(key, func(b []byte) ([]byte, error) { return b, nil })
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: the codec panicked: %v", v)
		}
	}()
	st.Codec = []byte(p.Codec.Name())
	return st.Encode(key, func(b []byte) ([]byte, error) { return trial.For(p.Codec).Append(b, s.Types.Any(e.Value)) })
}
