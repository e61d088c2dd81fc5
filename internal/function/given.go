package function

import (
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
)

// Given returns the names of those options among l that say which results are kept, for how
// long, and under which name.
func (l Options) Given() (names []string) {
	// What the two agree on at the end was given: before that they differ in everything.
	a := Settings{MaxBatch: -1, maxAge: -1, Config: entry.Config{
		Policy:      fresh.Policy{TTL: -1, StaleWhileRevalidate: -1, StaleIfError: -1, Jitter: -1, Beta: -1},
		SoftTimeout: -1, ErrorTTL: -1, MissingTTL: -1,
	}}
	b := Settings{MaxBatch: -2, maxAge: -2, Keep: true, Clone: true, KeyFunc: true, Config: entry.Config{
		Policy:      fresh.Policy{TTL: -2, StaleWhileRevalidate: -2, StaleIfError: -2, Jitter: -2, Beta: -2},
		SoftTimeout: -2, ErrorTTL: -2, MissingTTL: -2, InheritTTL: true, Tags: []string{""},
	}}
	l.Apply(&a)
	l.Apply(&b)
	for _, option := range []struct {
		name  string
		given bool
	}{
		{"TTL", a.TTL == b.TTL}, {"StaleWhileRevalidate", a.StaleWhileRevalidate == b.StaleWhileRevalidate},
		{"StaleIfError", a.StaleIfError == b.StaleIfError}, {"SoftTimeout", a.SoftTimeout == b.SoftTimeout},
		{"Jitter", a.Jitter == b.Jitter}, {"EarlyRefresh", a.Beta == b.Beta}, {"CacheErrors", a.ErrorTTL == b.ErrorTTL},
		{"MaxAge", a.maxAge == b.maxAge}, {"MaxBatch", a.MaxBatch == b.MaxBatch}, {"CacheMissing", a.MissingTTL == b.MissingTTL},
		{"CacheIf", isNil(a.Keep) == isNil(b.Keep)}, {"Clone", isNil(a.Clone) == isNil(b.Clone)},
		{"KeyFunc", isNil(a.KeyFunc) == isNil(b.KeyFunc)}, {"Tags", len(a.Tags) == len(b.Tags)},
		{"InheritTTL", a.InheritTTL == b.InheritTTL},
		{"Name", a.Name != ""}, {"SharedName", a.SharedName},
	} {
		if option.given {
			names = append(names, option.name)
		}
	}
	return names
}

func isNil(f any) bool { return f == nil }
