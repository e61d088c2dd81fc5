package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/trial"
	"github.com/seed-0226adef/memo/internal/wire"
	"github.com/seed-0226adef/memo/store"
)

// A shared is what a function has to do with its store. It reads and writes
// entries; lease.go says who executes, epochs.go what is still valid.
type shared struct {
	*fleet.Keyspace
	*fleet.Member
	core  *Cache
	lease string  // of the keys that guard the refresh of an entry
	Scope []scope // whose Clear invalidates its results: its own, and its groups' from the innermost on
	turns []string

	flying  sync.Map // the flights under way, by shared key
	foreign sync.Map // turns of other groups whose tags its results took over, by key
	codecs  codecs
	reports reports
}

// A scope is a function or a group, and the key of its epoch.
type scope struct{ path, Key string }

// A Place is where a function's results are in a store.
type Place struct {
	Store                 store.Store
	Prefix, Name, Version string
	ArgsShape             string // see keys.ArgsShape
	Logger                *slog.Logger
}

// KeyspaceOf returns the keyspace of a prefix on s.
func KeyspaceOf(s store.Store, prefix string) *fleet.Keyspace {
	return fleet.KeyspaceOf(s, prefix, epochsChanged)
}

// Share has the function's results shared at p.
func (c *Cache) Share(p Place) {
	r := KeyspaceOf(p.Store, p.Prefix)
	whose := c.ScopeText()
	s := &shared{
		Keyspace: r, core: c,
		lease: keys.Head(r.Prefix, p.Name, p.Version, whose+"+"),
		Scope: []scope{{"", r.EpochKey("clear", p.Name, "")}},
	}
	head := keys.Head(r.Prefix, p.Name, p.Version, whose)
	s.Member = &fleet.Member{
		Head: head, ClearKey: s.Scope[0].Key, On: s,
		Version: wire.Version{Head: head[len(r.Prefix):], Shape: p.ArgsShape},
	}
	for path := range fleet.Enclosing(c.Space.Path) {
		s.Scope = append(s.Scope, scope{path, r.EpochKey("group", path, "")})
		s.turns = append(s.turns, r.EpochKey("turn", path, ""))
	}
	for _, known := range []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob} {
		s.codecs.add(known)
	}
	if p.Logger != nil {
		r.SetLogger(p.Logger)
	}
	c.Shared = s
}

// ScopeText names in shared keys whose epochs the function's results depend on: so
// that two versions of a program, with the function in different groups, do not
// refuse each other's results.
func (c *Cache) ScopeText() string {
	if c.Space.Path == "" {
		return "-"
	}
	return "@" + c.Space.Path
}

// needs returns the epochs that have to be known before an execution under p
// begins, and that every result of p depends on.
func (s *shared) needs(p *Config) (needs []fleet.Need) {
	for i, scope := range s.Scope {
		n := fleet.Need{Key: scope.Key}
		if i == 0 {
			n.Lists = &s.Version
		}
		needs = append(needs, n)
	}
	for _, turn := range s.turns {
		needs = append(needs, fleet.Need{Key: turn})
	}
	for _, tag := range p.Tags {
		needs = append(needs, s.TagNeeds(s.core.Space.Path, tag)...)
	}
	return needs
}

// A sighting is what the store was seen to hold under a key.
type sighting struct {
	value  []byte       // nil if there is nothing
	stored *wire.Record // nil if that is no entry of the key; otherwise &entry
	entry  wire.Record
	valid  bool // the epochs that it records are in force
	bad    bool // the store refuses the key: there is nothing, and nothing can be put there
	fences []fleet.Dependency
	at     int64  // when the store was asked
	order  uint64 // and what had been done by then; see sending

	era     uint64 // of the notifications at that time
	reports uint32 // how many reports of the key there had been
}

// see asks the store for what it holds under keys, together with those epochs that
// p needs and that are not known, by the deadline. It returns nil for a key
// that could not be read, with an error.
func (s *shared) see(ctx context.Context, p *Config, by storeclient.Deadline, keys ...string) ([]*sighting, error) {
	n, ask, t := len(keys), keys[:len(keys):len(keys)], clock.Now()
	for _, need := range p.needs {
		if _, ok := s.Epoch(need.Key, t); !ok {
			ask = append(ask, need.Key)
		}
	}
	seen := make([]*sighting, n)
	values, sent, err := s.Read(ctx, by, ask)
	if values == nil {
		return seen, err
	}
	s.NoteEpochs(ask[n:], values[n:], fleet.Request{At: sent.At, Order: sent.Order, Reports: sent.Reports[n:], Generation: sent.Generation})
	var unknown error
	for i, value := range values[:n] {
		refused := storeclient.RefusalOf(err, keys[i])
		switch {
		case value == nil && refused != nil:
			s.report(p, "the store refuses a key; its results stay in this process", "key", keys[i], "error", refused)
			seen[i] = &sighting{bad: true}
		case value != nil || !storeclient.Concerns(err, keys[i]):
			seen[i] = s.sight(p, keys[i], value, sent, sent.Reports[i])
		default:
			unknown = err
		}
	}
	if failure := s.verify(ctx, by, seen); unknown == nil {
		unknown = failure
	}
	return seen, unknown
}

// sight makes a sighting of what the store returned for key.
func (s *shared) sight(p *Config, key string, value []byte, sent fleet.Request, reports uint32) *sighting {
	seen := &sighting{value: value, at: sent.At, order: sent.Order, era: sent.Generation, reports: reports}
	if value == nil {
		return seen
	}
	if err := seen.entry.Decode(key, value); err != nil {
		s.report(p, "the store holds something else under a key; it counts as a miss", "key", key)
		return seen
	}
	seen.stored = &seen.entry
	seen.fences, seen.valid = s.fencesOf(seen.stored)
	return seen
}

// verify finds out which of the results and leases record epochs that are in
// force. What it cannot find out about, because the store fails, becomes nil.
func (s *shared) verify(ctx context.Context, by storeclient.Deadline, all []*sighting) error {
	var err error
	for range fleet.MaxContradictions {
		doubtful := s.compare(all, false)
		if len(doubtful) == 0 {
			return nil
		}
		var values [][]byte
		var sent fleet.Request
		if values, sent, err = s.Read(ctx, by, doubtful); values != nil {
			s.NoteEpochs(doubtful, values, sent)
		}
		if err != nil || !s.refuses(doubtful, values) {
			break
		}
	}
	unknown := make(map[string]bool)
	for _, key := range s.compare(all, true) {
		unknown[key] = true
	}
	if err == nil || len(unknown) == 0 {
		return nil
	}
	for i, seen := range all {
		if seen != nil && slices.ContainsFunc(seen.fences, func(f fleet.Dependency) bool { return unknown[f.Key] }) {
			all[i] = nil
		}
	}
	return err
}

// refuses reports whether an epoch that was read is not known all the same: a change of it
// was reported meanwhile, as it is when it was drawn a moment ago, and it has to be
// read again.
func (s *shared) refuses(keys []string, values [][]byte) bool {
	t := clock.Now()
	for i, key := range keys {
		if _, known := s.Epoch(key, t); !known {
			if _, err := wire.Decode(key, values[i]); err == nil {
				return true
			}
		}
	}
	return false
}

// compare compares the epochs that are recorded with those that are known, and
// returns the keys of those that have to be asked for, each once: because they are not
// known, or because what was seen may be newer. The last time, what is not
// known is not in force.
func (s *shared) compare(all []*sighting, last bool) (doubtful []string) {
	t, asked := clock.Now(), map[string]bool{}
	for _, seen := range all {
		if seen == nil || !seen.valid {
			continue
		}
		for _, f := range seen.fences {
			r, known := s.Epoch(f.Key, t)
			switch {
			case known && r.Token == f.Epoch:
			case known && r.At > seen.at:
				seen.valid = false
			default:
				seen.valid = seen.valid && !last
				if (!known || !last) && !asked[f.Key] {
					asked[f.Key] = true
					doubtful = append(doubtful, f.Key)
				}
			}
		}
	}
	return doubtful
}

// fencesOf returns the epochs that an entry records. It is not ok if one is
// missing that this process wants, or if there are too many or too few.
func (s *shared) fencesOf(e *wire.Record) (fences []fleet.Dependency, ok bool) {
	if e.Kind != wire.KindResult && e.Kind != wire.KindLease {
		return nil, true
	}
	fences = make([]fleet.Dependency, 0, len(s.Scope)+2*len(e.Tags))
	for _, scope := range s.Scope {
		epoch, ok := e.EpochOf(scope.path)
		if !ok {
			return nil, false
		}
		fences = append(fences, fleet.Dependency{Keyspace: s.Keyspace, Key: scope.Key, Epoch: epoch})
	}
	if e.Kind == wire.KindResult && !e.HasTags(s.core.Space.Path, s.core.Base.Tags) {
		return nil, false
	}
	for i := range e.Tags {
		t := &e.Tags[i]
		needs := s.TagNeeds(t.Path, t.Name)
		if len(needs) != len(t.Epochs) {
			return nil, false
		}
		for j := range needs {
			fences = append(fences, fleet.Dependency{Keyspace: s.Keyspace, Key: needs[j].Key, Epoch: t.Epochs[j], Tag: true})
		}
	}
	return fences, true
}

// result makes an entry for this process of a valid result, or returns nil if it
// can be of no use to p, or cannot be decoded.
func (s *shared) result(p *Config, key, sharedKey string, seen *sighting, born uint64) *Entry {
	st := seen.stored
	read := time.Now()
	t := clock.At(read)
	age := max(read.UnixNano()-st.Created, 0) // of a clock that is behind
	held := new(struct {                      // one piece of memory
		entry Entry
		share share
	})
	e := &held.entry
	*e = Entry{
		Key: key, Kept: true, born: born, Window: st.Window(t, age),
		Read: read.Add(-time.Duration(age)), asked: seen.at,
		Tags: s.core.tagsOf(st.Tags), Fences: seen.fences, share: &held.share,
	}
	held.share = share{realm: s.Keyspace, key: sharedKey, Token: st.Token, era: seen.era, reports: seen.reports}
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
	if e.trusted = e.End; e.End != clock.Forever {
		e.trusted -= int64(s.Skew(t))
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
func (c *Cache) tagsOf(tags []wire.TagEpochs) []scopedTag {
	if len(tags) == 0 {
		return nil
	}
	scoped := make([]scopedTag, len(tags))
	for i := range tags {
		space := c.Space
		if tags[i].Path != space.Path {
			space = spaceAt(tags[i].Path)
			space.reaches(c.Shared.Keyspace)
		}
		scoped[i] = scopedTag{space, tags[i].Name}
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

// recorded returns the keys of the epochs that have to last as long as e, the result of
// an execution that began with epochs.
func (s *shared) recorded(e *Entry, epochs map[string]fleet.Epoch) map[string]bool {
	keys := make(map[string]bool, len(epochs)+len(e.Fences))
	for key := range epochs {
		keys[key] = true
	}
	for _, f := range e.Fences {
		if f.Keyspace == s.Keyspace {
			keys[f.Key] = true
		}
	}
	return keys
}
