package memo

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/hints"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/store"
)

func init() {
	hints.Of = hintOf
	hints.Bypassed = bypassed
	hints.Log = func(f any) *slog.Logger { return f.(settler).settle().Log() }
	hints.LocalBytes = func(f any) int64 {
		if p := f.(settler).settle(); !p.noLocal {
			return p.bytes
		}
		return 0
	}
	hints.NotesOf = func(f any) hints.Notes {
		p := f.(settler).settle()
		if p.store == nil {
			return nil
		}
		r := engine.KeyspaceOf(p.store, p.prefix)
		return &notes{realm: r, key: r.EpochKey("notes", p.name, ""), limit: p.StoreTimeout}
	}
	hints.JoinsDefault = func(g any) { g.(*Group).makeLone() }
	hints.Settle = func(f any) { f.(settler).settle() }
	hints.Forget = func(f any, key string) { f.(settler).forget(key) }
	hints.Given = func(opts any) []string { return opts.(Options).given() }
	hints.IsShared = func(f any) bool { return f.(settler).settle().store != nil }
}

// A settler is a Func of any type.
type settler interface {
	settle() *policy
	forget(key string)
}

// hintOf returns what fn has said so far about the result of the execution that
// ctx belongs to.
func hintOf(ctx context.Context) (h hints.Hint) {
	h.TTL, h.HasTTL, h.NoStore = nested.Said(ctx)
	return h
}

// notes is what a package keeps beside a function's results; see hints.Notes.
type notes struct {
	realm *fleet.Keyspace
	key   string
	limit time.Duration
}

func (n *notes) Get(ctx context.Context) ([]byte, error) {
	values, err := n.realm.Get(ctx, storeclient.DeadlineIn(n.limit), []string{n.key})
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

func (n *notes) Add(ctx context.Context, value []byte) error {
	return n.realm.Do(ctx, n.limit, func(ctx context.Context) error {
		return n.realm.Store.Add(ctx, n.key, value, hints.NotesLife)
	})
}

func (n *notes) Swap(ctx context.Context, old store.Token, value []byte) error {
	return n.realm.Do(ctx, n.limit, func(ctx context.Context) error {
		return n.realm.Store.Swap(ctx, n.key, old, value, hints.NotesLife)
	})
}

func (n *notes) Delete(ctx context.Context) error {
	return n.realm.Do(ctx, n.limit, func(ctx context.Context) error { return n.realm.Store.Delete(ctx, n.key) })
}

// forget drops what f holds under key in this process.
func (f *Func[A, R]) forget(key string) {
	f.settle()
	f.core.ForgetKey(key)
}

// given returns the names of those options among o that say which results are kept, for how
// long, and under which name; see hints.Given.
func (o Options) given() (names []string) {
	// What the two agree on at the end was given: before that they differ in everything.
	a := settings{maxBatch: -1, Config: engine.Config{
		Policy:      fresh.Policy{TTL: -1, StaleWhileRevalidate: -1, StaleIfError: -1, Jitter: -1, Beta: -1},
		SoftTimeout: -1, ErrorTTL: -1, MissingTTL: -1,
	}}
	b := settings{maxBatch: -2, keep: true, clone: true, keyFunc: true, Config: engine.Config{
		Policy:      fresh.Policy{TTL: -2, StaleWhileRevalidate: -2, StaleIfError: -2, Jitter: -2, Beta: -2},
		SoftTimeout: -2, ErrorTTL: -2, MissingTTL: -2, InheritTTL: true, Tags: []string{""},
	}}
	o.apply(&a)
	o.apply(&b)
	for _, option := range []struct {
		name  string
		given bool
	}{
		{"TTL", a.TTL == b.TTL}, {"StaleWhileRevalidate", a.StaleWhileRevalidate == b.StaleWhileRevalidate},
		{"StaleIfError", a.StaleIfError == b.StaleIfError}, {"SoftTimeout", a.SoftTimeout == b.SoftTimeout},
		{"Jitter", a.Jitter == b.Jitter}, {"EarlyRefresh", a.Beta == b.Beta}, {"CacheErrors", a.ErrorTTL == b.ErrorTTL},
		{"MaxBatch", a.maxBatch == b.maxBatch}, {"CacheMissing", a.MissingTTL == b.MissingTTL},
		{"CacheIf", isNil(a.keep) == isNil(b.keep)}, {"Clone", isNil(a.clone) == isNil(b.clone)},
		{"KeyFunc", isNil(a.keyFunc) == isNil(b.keyFunc)}, {"Tags", len(a.Tags) == len(b.Tags)},
		{"InheritTTL", a.InheritTTL == b.InheritTTL},
		{"Name", a.name != ""}, {"SharedName", a.sharedName},
	} {
		if option.given {
			names = append(names, option.name)
		}
	}
	return names
}

func isNil(f any) bool { return f == nil }
