package memo

import (
	"context"
	"slices"
	"strings"

	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
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

// reached returns the keys under which those versions may have what v has under keys,
// these included; no others if v is zero. unnamed reports that a current one writes
// arguments in another way, so that nobody can tell its keys.
func (r *realm) reached(v wire.Version, versions []wire.Version, keys []string) (all []string, unnamed bool) {
	all = slices.Clone(keys)
	heads := map[string]bool{v.Head: true}
	for _, o := range versions {
		switch {
		case v.Head == "":
		case o.Shape != v.Shape:
			unnamed = unnamed || o.Current
		case !heads[o.Head]:
			heads[o.Head] = true
			for _, key := range keys {
				all = append(all, r.prefix+o.Head+key[len(r.prefix)+len(v.Head):])
			}
		}
	}
	return all, unnamed
}

// versionsInUse returns the versions that the store lists at the moment, those that
// it listed when it was asked last, and those of this process.
func (s *shared) versionsInUse(ctx context.Context, by storeclient.Deadline) ([]wire.Version, error) {
	key := s.scope[0].key
	s.mu.Lock()
	versions := slices.Clone(s.readings[key].versions)
	s.mu.Unlock()
	for i := range versions {
		versions[i].Current = false
	}
	for _, other := range s.namesakes() {
		versions = append(versions, other.shared.version)
	}
	values, sent, err := s.readNoting(ctx, by, []string{key})
	if err != nil {
		return versions, err
	}
	s.noteEpochs([]string{key}, values, sent)
	st, _ := wire.Decode(key, values[0])
	return append(st.Listed(), versions...), nil
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
		case o.version.Shape != s.version.Shape:
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
