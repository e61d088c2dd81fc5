package function

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0226adef/memo/internal/busclient"
	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/internal/storeclient"
)

// drainEvery is how often Drain looks.
const drainEvery = 5 * time.Millisecond

// Drain is memo.Drain.
func Drain(ctx context.Context) error {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		running := nested.Executing.Load()
		publishing := max(engine.UnderWay.Load()-running, 0)
		pending, operations, untold := fleet.Pending(), storeclient.Operations.Load(), busclient.Queued.Load()
		if running+publishing+int64(pending)+operations+untold == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("memo: Drain: %d executions, %d results on their way to a store, %d invalidations that a store has not been told, %d operations of stores, and %d changes that a bus has not published are left: %w",
				running, publishing, pending, operations, untold, ctx.Err())
		}
	}
}
