package memo

import (
	"context"

	"github.com/seed-0226adef/memo/internal/hints"
)

func init() { hints.Of = hintOf }

// hintOf returns what fn has said so far about the result of the execution that
// ctx belongs to.
func hintOf(ctx context.Context) (said hints.Hint) {
	frameOf(ctx).update(func(h *hint) {
		said = hints.Hint{TTL: h.ttl, HasTTL: h.hasTTL, NoStore: h.noStore}
	})
	return said
}
