package memo

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/hints"
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
	hints.Policies = func(opts any) []string { return opts.(Options).policies() }
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
	h.TTL, h.HasTTL, h.NoStore = engine.Said(ctx)
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

// policies returns the names of the options that say which results are kept, and for how
// long; see hints.Policies.
func (o Options) policies() (names []string) {
	s := settings{maxBatch: -1, Config: engine.Config{
		Policy:      fresh.Policy{TTL: -1, StaleWhileRevalidate: -1, StaleIfError: -1, Jitter: -1, Beta: -1},
		SoftTimeout: -1, ErrorTTL: -1, MissingTTL: -1,
	}}
	o.apply(&s)
	for _, option := range []struct {
		name  string
		given bool
	}{
		{"TTL", s.TTL != -1}, {"StaleWhileRevalidate", s.StaleWhileRevalidate != -1}, {"StaleIfError", s.StaleIfError != -1},
		{"SoftTimeout", s.SoftTimeout != -1}, {"Jitter", s.Jitter != -1}, {"EarlyRefresh", s.Beta != -1},
		{"CacheErrors", s.ErrorTTL != -1}, {"MaxBatch", s.maxBatch != -1}, {"CacheMissing", s.MissingTTL != -1},
		{"CacheIf", s.keep != nil}, {"Clone", s.clone != nil}, {"KeyFunc", s.keyFunc != nil},
		{"Tags", len(s.Tags) > 0}, {"InheritTTL", s.InheritTTL},
	} {
		if option.given {
			names = append(names, option.name)
		}
	}
	return names
}
