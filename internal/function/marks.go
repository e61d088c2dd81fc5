package function

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/nested"
)

// Marks are what a context says of the calls under it.
type Marks struct {
	bypass bool
	maxAge *time.Duration // nil if it says nothing of that

	since    *moment        // when the last of its tokens was seen first; nil without one
	collects []*atomic.Bool // set when a store was told of a change
}

// marking is set once there is any context with marks. Until then no call looks for them.
var marking atomic.Bool

type marksKey struct{}

// MarksOf returns what ctx, or the request that it is of, says; nil if nothing.
func MarksOf(ctx context.Context) *Marks {
	if !marking.Load() {
		return nil
	}
	if m, ok := ctx.Value(marksKey{}).(*Marks); ok {
		return m
	}
	if request := nested.RequestContext(ctx); request != nil {
		m, _ := request.Value(marksKey{}).(*Marks)
		return m
	}
	return nil
}

// mark returns a copy of ctx that also says what set sets.
func mark(ctx context.Context, set func(*Marks)) context.Context {
	m := new(Marks)
	if before := MarksOf(ctx); before != nil {
		*m = *before
	}
	set(m)
	marking.Store(true)
	return context.WithValue(ctx, marksKey{}, m)
}

// WithBypass is memo.WithBypass.
func WithBypass(ctx context.Context) context.Context {
	return mark(ctx, func(m *Marks) { m.bypass = true })
}

// Bypassed reports whether ctx is one of WithBypass, or made from one.
func Bypassed(ctx context.Context) bool {
	m := MarksOf(ctx)
	return m != nil && m.bypass
}

// WithMaxAge is memo.WithMaxAge.
func WithMaxAge(ctx context.Context, d time.Duration) context.Context {
	return mark(ctx, func(m *Marks) {
		if m.maxAge != nil {
			d = min(d, *m.maxAge)
		}
		m.maxAge = &d
	})
}
