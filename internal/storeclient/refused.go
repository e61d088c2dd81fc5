package storeclient

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/store"
)

// refusedWrites logs that a store refuses writes while it answers reads
// ([store.ErrReadOnly]). Such a store goes on being read, as what is in it is as good as
// ever, so nothing else would tell that results do not reach it any more.
type refusedWrites struct {
	logged atomic.Int64 // when that was last logged; 0 for never
}

// refusedWritesEvery is how often it is logged while it lasts.
const refusedWritesEvery = time.Minute

// note logs err if that is the reason.
func (w *refusedWrites) note(c *Client, err error) {
	if !errors.Is(err, store.ErrReadOnly) {
		return
	}
	t, last := clock.Now(), w.logged.Load()
	if last != 0 && t-last < int64(refusedWritesEvery) || !w.logged.CompareAndSwap(last, t) {
		return
	}
	c.Logger().Warn("memo: a store refuses writes; its functions go on reading it, and keep what they make in this process",
		"store", c.Kind(), "error", err)
}
