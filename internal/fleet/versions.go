package fleet

import (
	"context"
	"slices"

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

// Reached returns the keys under which those versions may have what v has under keys,
// these included; no others if v is zero. unnamed reports that a current one writes
// arguments in another way, so that nobody can tell its keys.
func (k *Keyspace) Reached(v wire.Version, versions []wire.Version, keys []string) (all []string, unnamed bool) {
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
				all = append(all, k.Prefix+o.Head+key[len(k.Prefix)+len(v.Head):])
			}
		}
	}
	return all, unnamed
}

// VersionsInUse returns the versions of m's name that the store lists at the moment, those that
// it listed when it was asked last, and those of this process.
func (k *Keyspace) VersionsInUse(ctx context.Context, by storeclient.Deadline, m *Member) ([]wire.Version, error) {
	_, versions, err := k.versionsAnd(ctx, by, m)
	return versions, err
}

// versionsAnd is VersionsInUse that also returns what the store holds under keys.
func (k *Keyspace) versionsAnd(ctx context.Context, by storeclient.Deadline, m *Member, keys ...string) ([][]byte, []wire.Version, error) {
	key := m.ClearKey
	k.mu.Lock()
	versions := slices.Clone(k.epochs[key].versions)
	k.mu.Unlock()
	for i := range versions {
		versions[i].Current = false
	}
	for _, other := range k.Namesakes(m) {
		versions = append(versions, other.Version)
	}
	ask := append([]string{key}, keys...)
	values, sent, err := k.Read(ctx, by, ask)
	if err != nil {
		return nil, versions, err
	}
	k.NoteEpochs(ask[:1], values, sent)
	st, _ := wire.Decode(key, values[0])
	return values[1:], append(st.Listed(), versions...), nil
}
