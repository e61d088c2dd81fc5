package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/internal/wire"
)

// A Collection is the records under one head, which the epochs of its scopes make invalid
// all at once: the results of a function and the leases for them.
type Collection struct {
	*Keyspace
	*Member
	Lease    string   // head of the keys that guard the refresh of a result
	Scope    []scope  // whose Clear invalidates the results: the function's, and its groups' from the innermost on
	Path     string   // of the group
	Tags     []string // that every result has
	counters []string

	OtherCounters sync.Map // counters of other groups whose tags results took over, by key

	Report func(what string, args ...any) // tells of something wrong with a record
	Failed func(error)                    // counts an operation that has failed, if the error is not nil
}

// A scope is a function or a group, and the key of its epoch.
type scope struct{ path, Key string }

// NewCollection returns the collection of the records of a name and version in k, for a
// function in the group of that path.
func NewCollection(k *Keyspace, name, version, path, argsShape string) *Collection {
	whose := WhoseEpochs(path)
	s := &Collection{
		Keyspace: k, Path: path,
		Lease: keys.Head(k.Prefix, name, version, whose+"+"),
		Scope: []scope{{"", k.EpochKey("clear", name, "")}},
	}
	head := keys.Head(k.Prefix, name, version, whose)
	s.Member = &Member{
		Head: head, ClearKey: s.Scope[0].Key,
		Version: wire.Version{Head: head[len(k.Prefix):], Shape: argsShape},
	}
	for path := range Enclosing(path) {
		s.Scope = append(s.Scope, scope{path, k.EpochKey("group", path, "")})
		s.counters = append(s.counters, k.EpochKey("turn", path, ""))
	}
	return s
}

// WhoseEpochs names in shared keys whose epochs results depend on: so that two versions
// of a program, with the function in different groups, do not refuse each other's
// results.
func WhoseEpochs(path string) string {
	if path == "" {
		return "-"
	}
	return "@" + path
}

// NeedsOf returns the epochs that have to be known before an execution begins, and that
// every result depends on whose static tags are these.
func (s *Collection) NeedsOf(tags []string) (needs []Need) {
	for i, scope := range s.Scope {
		n := Need{Key: scope.Key}
		if i == 0 {
			n.Lists = &s.Version
		}
		needs = append(needs, n)
	}
	for _, counter := range s.counters {
		needs = append(needs, Need{Key: counter})
	}
	for _, tag := range tags {
		needs = append(needs, s.TagNeeds(s.Path, tag)...)
	}
	return needs
}

// Wanted returns what has to be known before an execution begins: needs, and the counters of those other groups whose tags
// the function's results have taken over before.
func (s *Collection) Wanted(needs []Need) []Need {
	needs = needs[:len(needs):len(needs)]
	s.OtherCounters.Range(func(counter, _ any) bool {
		needs = append(needs, Need{Key: counter.(string)})
		return true
	})
	return needs
}

// DependenciesFor returns the epochs of the function's scopes when an execution began.
func (s *Collection) DependenciesFor(epochs map[string]Epoch) (dependencies []Dependency) {
	for _, scope := range s.Scope {
		dependencies = append(dependencies, Dependency{Keyspace: s.Keyspace, Key: scope.Key, Epoch: epochs[scope.Key].Token})
	}
	return dependencies
}

// ScopesOf returns the epochs of the function's scopes when an execution began.
func (s *Collection) ScopesOf(epochs map[string]Epoch) []wire.ScopeEpoch {
	scopes := make([]wire.ScopeEpoch, len(s.Scope))
	for i, scope := range s.Scope {
		scopes[i] = wire.ScopeEpoch{Path: scope.path, Epoch: epochs[scope.Key].Token}
	}
	return scopes
}

// Invalidate deletes what the store has under keys, in every version of the function
// that is in use. With what is deleted go the leases of those who execute for it. What fails
// is repeated until it succeeds.
func (s *Collection) Invalidate(ctx context.Context, by storeclient.Deadline, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	versions, err := s.VersionsInUse(ctx, by, s.Member)
	return s.invalidateIn(ctx, by, versions, err, keys, 0)
}

// VersionsAnd returns what the store holds under key, and the versions in use, in one round
// trip.
func (s *Collection) VersionsAnd(ctx context.Context, by storeclient.Deadline, key string) (there []byte, versions []wire.Version, err error) {
	values, versions, err := s.versionsAnd(ctx, by, s.Member, key)
	if err != nil {
		return nil, nil, err
	}
	return values[0], versions, nil
}

// InvalidateOthers is Invalidate for the other ones of these versions.
func (s *Collection) InvalidateOthers(ctx context.Context, by storeclient.Deadline, key string, versions []wire.Version) error {
	return s.invalidateIn(ctx, by, versions, nil, []string{key}, 1)
}

// invalidateIn invalidates keys in those versions, which are not all there are if err says why,
// but leaves the first stay of these keys of its own version alone.
func (s *Collection) invalidateIn(ctx context.Context, by storeclient.Deadline, versions []wire.Version, err error, keys []string, stay int) error {
	last := s.LastPending()
	all, unnamed := s.Reached(s.Version, versions, keys)
	own, left := keys[stay:], func(key string) bool { return storeclient.Concerns(err, key) }
	if err != nil { // there may be versions that are not known here
		own, left = keys, func(string) bool { return true }
	} else if others := all[len(keys):]; len(own)+len(others) > 0 {
		err = s.Client.Delete(ctx, by.Remaining(), all[stay:]...)
	}
	s.settle(left, last, PendingInvalidation{Version: s.Version, Owner: s.Scope[0].Key}, own)
	s.settle(left, last, PendingInvalidation{Owner: s.Scope[0].Key}, all[len(keys):])
	if unnamed {
		err = errors.Join(err, s.SetEpochs(ctx, by, s.Scope[0].Key, Change{}, Need{Key: s.Scope[0].Key, Lists: &s.Version}))
	}
	s.Failed(err)
	return err
}

// settle notes how the deletion of keys, which began when last was the newest pending invalidation,
// has ended: left reports whether a key may still be there.
func (s *Collection) settle(left func(key string) bool, last uint64, d PendingInvalidation, keys []string) {
	for _, key := range keys {
		if left(key) {
			s.AddPending(key, d, nil)
		} else {
			s.Acknowledge(key, last)
			s.Publish(key)
		}
	}
}

// Clear makes everything of the function in the store invalid, in every version.
func (s *Collection) Clear(ctx context.Context, timeout time.Duration) error {
	key := s.Scope[0].Key
	err := s.SetEpochs(ctx, storeclient.DeadlineIn(timeout), key, Change{}, Need{Key: key, Lists: &s.Version})
	s.Failed(err)
	return err
}

// Recorded returns the keys of the epochs that have to last as long as a result that depends on
// deps, of an execution that began with epochs.
func (s *Collection) Recorded(deps []Dependency, epochs map[string]Epoch) map[string]bool {
	keys := make(map[string]bool, len(epochs)+len(deps))
	for key := range epochs {
		keys[key] = true
	}
	for _, f := range deps {
		if f.Keyspace == s.Keyspace {
			keys[f.Key] = true
		}
	}
	return keys
}

// ReportRefused reports a result or a lease that the store does not take.
func (s *Collection) ReportRefused(err error) {
	s.Report("a result cannot be stored; it stays in this process", "error", err)
}
