package memo

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Functions of one name whose types differ, as those of two releases do, have
// different keys: no process reads what it would misunderstand. What is
// invalidated by key must reach all of them, so the epoch of a function's Clear,
// which every result depends on, lists the versions in use:
//
//   - A process lists its version before it executes anything that it is to store.
//     So a version that an invalidation does not find listed executes later, and
//     finds what the invalidation was about.
//   - Where the store loses the list it loses the epoch, and with that the validity
//     of all results: nothing valid is ever unlisted.
//   - A new epoch makes every version a former one, which has to be listed again
//     before something is stored. Former ones are still reached, since others may
//     not have seen the new epoch yet, and make room first.

// A version is what tells the keys of one release's function from another's.
type version struct {
	head    string // what its keys have between the prefix and the arguments
	shape   string // how its arguments are written into keys; see argsShape
	current bool   // it may have results of the epoch in force; otherwise it had some of the one before
}

// maxVersions bounds how many versions are listed. Where there is no room for another
// one and none is a former one, a new epoch begins.
const maxVersions = 16

// formerFor is how long the list has not been written at least when a new epoch drops
// those that were former ones already: by then every process has seen the epoch that
// made them former. It is that long because clocks of different machines measure it.
const formerFor = time.Minute

// lists reports whether v is among the current ones of versions.
func lists(versions []version, v *version) bool {
	i := indexOf(versions, v)
	return i >= 0 && versions[i].current
}

func indexOf(versions []version, v *version) int {
	return slices.IndexFunc(versions, func(o version) bool { return o.head == v.head && o.shape == v.shape })
}

// listing returns s, an epoch, with v listed as current: the same epoch, unless there
// was no room.
func (s *stored) listing(v version) *stored {
	next := newEpoch(s.mark)
	next.epoch, next.versions, next.written, next.life = s.epoch, slices.Clone(s.versions), s.written, s.life
	v.current = true
	if i := indexOf(next.versions, &v); i >= 0 {
		next.versions = slices.Delete(next.versions, i, i+1)
	}
	if len(next.versions) >= maxVersions {
		i := slices.IndexFunc(next.versions, func(o version) bool { return !o.current })
		if i < 0 {
			next = next.successor(s.mark)
			i = 0
		}
		next.versions = slices.Delete(next.versions, i, i+1)
	}
	next.versions = append(next.versions, v)
	return next
}

// listed returns the versions that s lists, which may be nil.
func (s *stored) listed() []version {
	if s == nil {
		return nil
	}
	return s.versions
}

// formerVersions returns the versions that a new epoch in the place of s lists.
func (s *stored) formerVersions() []version {
	var versions []version
	fresh := time.Now().Unix()-s.written < int64(formerFor/time.Second)
	for _, v := range s.versions {
		if v.current || fresh {
			v.current = false
			versions = append(versions, v)
		}
	}
	return versions
}

// reached returns the keys under which those versions may have what v has under keys,
// these included; no others if v is zero. unnamed reports that a current one writes
// arguments in another way, so that nobody can tell its keys.
func (r *realm) reached(v version, versions []version, keys []string) (all []string, unnamed bool) {
	all = slices.Clone(keys)
	heads := map[string]bool{v.head: true}
	for _, o := range versions {
		switch {
		case v.head == "":
		case o.shape != v.shape:
			unnamed = unnamed || o.current
		case !heads[o.head]:
			heads[o.head] = true
			for _, key := range keys {
				all = append(all, r.prefix+o.head+key[len(r.prefix)+len(v.head):])
			}
		}
	}
	return all, unnamed
}

// versionsInUse returns the versions that the store lists at the moment, those that
// it listed when it was asked last, and those of this process.
func (s *shared) versionsInUse(ctx context.Context, by deadline) ([]version, error) {
	key := s.scope[0].key
	s.mu.Lock()
	versions := slices.Clone(s.readings[key].versions)
	s.mu.Unlock()
	for i := range versions {
		versions[i].current = false
	}
	for _, other := range s.namesakes() {
		versions = append(versions, other.shared.version)
	}
	values, sent, err := s.readNoting(ctx, by, []string{key})
	if err != nil {
		return versions, err
	}
	s.noteEpochs([]string{key}, values, sent)
	st, _ := decodeEntry(key, values[0])
	return append(st.listed(), versions...), nil
}

// namesakes returns the other functions of this process that have the name.
func (s *shared) namesakes() (cores []*core) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.cores {
		if c := w.Value(); c != nil && c != s.core && c.shared.scope[0].key == s.scope[0].key {
			cores = append(cores, c)
		}
	}
	return cores
}

// overtakeNamesakes drops what other functions of the name hold in this process of
// what this one has under key and sharedKey, and detaches what is under way.
func (s *shared) overtakeNamesakes(key, sharedKey string) {
	for _, other := range s.namesakes() {
		switch o := other.shared; {
		case o.version.shape != s.version.shape:
			nextSequence(other.cleared.Store)
			other.sweep()
		case o.head == s.head:
			other.overtake(key)
		default:
			other.overtakeShared(o.head + strings.TrimPrefix(sharedKey, s.head))
		}
	}
}

// overtakeShared is overtake for the result that is in the store under sharedKey.
func (c *core) overtakeShared(sharedKey string) {
	keys := map[string]bool{}
	if t := c.tier.Load(); t != nil {
		if e := t.copyOf(sharedKey); e != nil {
			keys[e.key] = true
		}
	}
	for i := range c.shards {
		c.shards[i].underWay(sharedKey, keys)
	}
	for key := range keys {
		c.overtake(key)
	}
}

// underWay adds the keys of executions and look-ups for sharedKey to keys. Whoever has
// looked and not yet begun to execute looks again.
func (s *flights) underWay(sharedKey string, keys map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overtakings++
	for key, f := range s.of {
		if f.sharedKey == sharedKey {
			keys[key] = true
		}
	}
	for key, l := range s.lookups {
		if l.sharedKey == sharedKey {
			keys[key] = true
		}
	}
}
