package shared

import (
	"context"
	"time"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/nested"
)

// Bypass begins the execution of a call that bypasses the cache, and returns the context
// for fn. What fn says about its result goes nowhere, but its tags are handed on to the
// execution around the call, as those of any result are. ended ends it, with the error
// that it came to.
func (f *Function) Bypass(ctx context.Context, p *entry.Config) (inner context.Context, ended func(err error)) {
	around := nested.Of(ctx)
	own := &nested.Frame{Space: f.Space, Hint: nested.NewHint()}
	if around != nil {
		own.Execution = around.Execution
	}
	nested.Executing.Add(1)
	began := time.Now()
	return nested.With(ctx, own), func(err error) {
		nested.Executing.Add(-1)
		h := own.Seal()
		h.Tags.Add(p.AllTags(f.Space, nil)...)
		around.MergeFrom(h)
		f.CountExecution(ctx, p, "", time.Since(began), err)
	}
}
