package memo

import (
	"context"
	"log/slog"

	"github.com/seed-0226adef/memo/internal/hints"
)

func init() {
	hints.Of = hintOf
	hints.Log = func(f any) *slog.Logger { return f.(settler).settle().log() }
	hints.LocalBytes = func(f any) int64 {
		if p := f.(settler).settle(); !p.noLocal {
			return p.bytes
		}
		return 0
	}
	hints.IsShared = func(f any) bool { return f.(settler).settle().store != nil }
}

// A settler is a Func of any type.
type settler interface{ settle() *policy }

// hintOf returns what fn has said so far about the result of the execution that
// ctx belongs to.
func hintOf(ctx context.Context) (said hints.Hint) {
	frameOf(ctx).update(func(h *hint) {
		said = hints.Hint{TTL: h.ttl, HasTTL: h.hasTTL, NoStore: h.noStore}
	})
	return said
}
