package nested

import (
	"context"
	"sync/atomic"
	"time"
)

// Together returns the context under which fn runs for several executions at once, whose
// contexts these are, and its frame. It has the values of the first one's, and ends when all
// of them have ended, or after limit, which zero does not set. Until cancel is called the
// executions wait for the first of them, so that fn is found out when it waits for any.
func Together(executions []context.Context, limit time.Duration) (ctx context.Context, frame *Frame, cancel func()) {
	first := Of(executions[0])
	frame = &Frame{Values: first.Values, Execution: first.Execution, Space: first.Space, Hint: NewHint()}
	ctx, end := Within(frame, limit)
	var left atomic.Int64
	left.Store(int64(len(executions)))
	for _, execution := range executions {
		context.AfterFunc(execution, func() {
			if left.Add(-1) == 0 {
				end()
			}
		})
	}
	var forget []func()
	for _, execution := range executions[1:] {
		if f, err := Await(Of(execution), first.Execution); err == nil {
			forget = append(forget, f)
		}
	}
	return ctx, frame, func() {
		for _, f := range forget {
			f()
		}
		end()
	}
}

// Within returns a context that ends after limit, which zero does not set.
func Within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// TakeOver makes what was said of several executions at once what is said of this one.
func (f *Frame) TakeOver(h *Hint) {
	f.MergeFrom(h)
	f.Update(func(own *Hint) { own.TTL, own.HasTTL, own.NoStore = h.TTL, h.HasTTL, h.NoStore })
}
