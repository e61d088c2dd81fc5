package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/tags"
	"github.com/seed-0226adef/memo/internal/tier"
	"github.com/seed-0226adef/memo/internal/trial"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A shared is what a function has to do with its store: it makes entries of records, and
// records of entries.
type shared struct {
	*fleet.Collection
	core      *Cache
	executing sync.Map // the executions under way, by shared key
	codecs    codecs
	reports   reports
}

// A Place is where a function's results are in a store.
type Place struct {
	Store                 store.Store
	Prefix, Name, Version string
	ArgsShape             string // see keys.ArgsShape
	Logger                *slog.Logger
}

// KeyspaceOf returns the keyspace of a prefix on s. When epochs change there, every copy of
// a shared result compares its own with those that are known then, when it is looked at.
func KeyspaceOf(s store.Store, prefix string) *fleet.Keyspace {
	return fleet.KeyspaceOf(s, prefix, func() { tags.NextSequence(func(uint64) {}) })
}

// Share has the function's results shared at p.
func (c *Cache) Share(p Place) {
	k := KeyspaceOf(p.Store, p.Prefix)
	s := &shared{core: c, Collection: fleet.NewCollection(k, p.Name, p.Version, c.Space.Path, p.ArgsShape)}
	s.Collection.Member.On = s
	s.Collection.Report = func(what string, args ...any) { s.report(c.Base, what, args...) }
	s.Collection.Failed = s.failed
	for _, known := range []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob} {
		s.codecs.add(known)
	}
	if p.Logger != nil {
		k.SetLogger(p.Logger)
	}
	c.Shared = s
}

// ScopeText is the part of shared keys that says whose epochs the results depend on.
func (c *Cache) ScopeText() string { return fleet.WhoseEpochs(c.Space.Path) }

// result makes an entry for this process of a valid result, or returns nil if it
// can serve nothing of p, or cannot be decoded.
func (s *shared) result(p *Config, key, sharedKey string, seen *fleet.Seen, born uint64) *Entry {
	st := seen.Record
	read := time.Now()
	t := clock.At(read)
	age := max(read.UnixNano()-st.Created, 0) // of a clock that is behind
	held := new(struct {                      // one piece of memory
		entry Entry
		share location
	})
	e := &held.entry
	*e = Entry{
		Item: tier.Item{Key: key}, Kept: true, born: born, Window: st.Window(t, age),
		Read: read.Add(-time.Duration(age)), asked: seen.At,
		Origin: nested.Origin{Tags: s.core.tagsOf(st.Tags), Dependencies: seen.Dependencies}, share: &held.share,
	}
	held.share = location{keyspace: s.Keyspace, key: sharedKey, Token: st.Token, generation: seen.Generation, reports: seen.Reports}
	if e.Verdict(t, &p.Policy, draw) == fresh.Unusable {
		return nil
	}
	value, err := s.decode(st)
	if err == ErrAbsent && s.core.Batched {
		e.Err, err = ErrAbsent, nil
	}
	if err != nil {
		s.report(p, "a result in the store cannot be decoded; it counts as a miss", "key", sharedKey, "error", err)
		return nil
	}
	e.Value = value
	if ahead := st.Created - read.UnixNano(); ahead > 0 {
		s.NoteSkew(t, ahead)
	}
	// By a clock that is behind, a result seems to live longer than the
	// store keeps it.
	if e.Trusted = e.End; e.End != clock.Forever {
		e.Trusted -= int64(s.Skew(t))
	}
	return e
}

// codecs are those that a function was given.
type codecs struct {
	mu sync.RWMutex
	by map[string]codec.Codec // guarded by mu; by name
}

func (c *codecs) add(known codec.Codec) {
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

func (s *shared) decode(st *wire.Record) (value any, err error) {
	if len(st.Codec) == 0 {
		return s.core.Types.Blank(), ErrAbsent
	}
	c := s.codecs.named(st.Codec)
	if c == nil {
		return nil, fmt.Errorf("%w: %q", errCodec, st.Codec)
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: the codec panicked: %v", v)
		}
	}()
	value = s.core.Types.Blank()
	return value, c.Decode(st.Payload, value)
}

// tagsOf returns the tags of a stored result as this process knows them.
func (c *Cache) tagsOf(stored []wire.TagEpochs) []tags.Tag {
	if len(stored) == 0 {
		return nil
	}
	scoped := make([]tags.Tag, len(stored))
	for i := range stored {
		space := c.Space
		if stored[i].Path != space.Path {
			space = tags.At(stored[i].Path)
			space.Reaches(c.Shared.Keyspace)
		}
		scoped[i] = tags.Tag{Space: space, Name: stored[i].Name}
	}
	return scoped
}

// encode returns e as the bytes to be stored under key. st has what e does not know:
// the tokens, and the epochs of the scopes and the tags.
func (s *shared) encode(p *Config, key string, e *Entry, st *wire.Record) (b []byte, err error) {
	st.Kind, st.Created = wire.KindResult, e.Read.UnixNano()
	st.Fresh, st.Cost = time.Duration(e.Fresh-e.Created), time.Duration(max(e.Cost, 0))
	if e.Fresh == clock.Forever {
		st.Fresh = fresh.Forever
	} else if e.End == clock.Forever {
		st.Stale = fresh.Forever
	} else {
		st.Stale = time.Duration(e.End - e.Fresh)
	}
	if e.Err == ErrAbsent {
		return st.Encode(key, func(b []byte) ([]byte, error) { return b, nil })
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: the codec panicked: %v", v)
		}
	}()
	st.Codec = []byte(p.Codec.Name())
	return st.Encode(key, func(b []byte) ([]byte, error) { return trial.For(p.Codec).Append(b, e.Value) })
}

// ttl returns how long the store is to keep e: until the end of its window. That
// is counted by the store's clock alone.
func (e *Entry) ttl() time.Duration {
	if e.End == clock.Forever {
		return 0
	}
	return time.Duration(e.End - e.Created)
}

// epochLife returns the life of the epochs that p's results record, as far as p tells.
func (p *Config) epochLife() time.Duration {
	if p.TTL == fresh.Forever || p.TTL > fresh.Forever-p.Stale() {
		return 0
	}
	return wire.EpochLife(p.TTL + p.Stale())
}

// accept returns the result that was seen if it is what call would execute for: it is
// fresh, and another one than call is to replace.
func (s *shared) accept(call *Call, seen *fleet.Seen) *Entry {
	if call.old != nil && call.old.stored() && call.old.share.Token == seen.Record.Token {
		return nil
	}
	e := s.result(call.Policy, call.key, call.run.Key, seen, call.born)
	if e == nil || clock.Now() >= e.Fresh || call.Policy.MaxAge >= 0 && clock.Now() >= clock.After(e.Created, call.Policy.MaxAge) {
		return nil
	}
	return e
}
