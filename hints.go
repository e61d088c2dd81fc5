package memo

import (
	"github.com/seed-0226adef/memo/internal/function"

	"context"
	"log/slog"
	"time"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/hints"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/storeclient"
	"github.com/seed-0226adef/memo/store"
)

func init() {
	hints.Of = hintOf
	hints.Bypassed = function.Bypassed
	hints.Log = func(f any) *slog.Logger { return f.(settler).settled().Log() }
	hints.LocalBytes = func(f any) int64 {
		if p := f.(settler).settled(); !p.NoLocal {
			return p.Bytes
		}
		return 0
	}
	hints.NotesOf = func(f any) hints.Notes {
		p := f.(settler).settled()
		if p.Store == nil {
			return nil
		}
		r := engine.KeyspaceOf(p.Store, p.Prefix)
		return &notes{realm: r, key: r.EpochKey("notes", p.Name, ""), limit: p.StoreTimeout}
	}
	hints.JoinsDefault = func(g any) { g.(*Group).inner.MakeLone() }
	hints.Settle = func(f any) { f.(settler).settled() }
	hints.Forget = func(f any, key string) { f.(settler).forget(key) }
	hints.Given = func(opts any) []string { return listOf(opts.(Options)).Given() }
	hints.IsShared = func(f any) bool { return f.(settler).settled().Store != nil }
}

// A settler is a Func of any type.
type settler interface {
	settled() *function.Policy
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
	f.settled()
	f.core.ForgetKey(key)
}
