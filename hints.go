package memo

import (
	"github.com/seed-0226adef/memo/internal/function"

	"context"
	"log/slog"

	"github.com/seed-0226adef/memo/internal/hints"
	"github.com/seed-0226adef/memo/internal/nested"
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
		if n := f.(settler).settled().Notes(); n != nil {
			return n
		}
		return nil
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

// forget drops what f holds under key in this process.
func (f *Func[A, R]) forget(key string) {
	f.settled()
	f.core.ForgetKey(key)
}
