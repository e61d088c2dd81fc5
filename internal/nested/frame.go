// Package nested is what executions of memoized functions that call one another have to do
// with one another: a result that is made from others depends on what those depend on, and
// an execution must not wait for itself.
//
//   - A Frame is what fn's context carries of its execution, and a Scope that context.
//   - A Hint is what fn says about its result, and what inner results bring with them.
//   - An Origin is what a result depends on: tags, and the epochs of tags in stores.
//   - An Unsettled is an origin that is going to be known.
//   - A Callback is a run of a function of the user that gets no context.
//
// The package knows contexts, tags and epochs. It knows neither the functions nor their
// results.
package nested

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/tags"
)

// A Frame is where a running execution collects what fn says about its result,
// and what the results it is made from bring with them. fn's context carries
// it; for an execution with callers who may leave, that context is a Scope: it has
// the values of the context that it was made from, but not its end.
type Frame struct {
	Values    context.Context // what the values come from
	Execution *Execution      // which it belongs to, for finding cycles; nil for a bypass
	Space     *tags.Namespace // of the function, in which AddTags's tags have their meaning

	forwards *Frame       // to which everything goes that would be collected; nil for none
	clones   atomic.Int32 // how many copies of held results were made for it, up to clonesNoted

	mu     sync.Mutex // fn may use several goroutines
	sealed bool       // guarded by mu; nothing is collected any more, or ever by a frame of Detached's
	Hint   Hint       // guarded by mu until sealed, immutable from then on
}

// A Hint is what an execution says about its result.
type Hint struct {
	TTL     time.Duration // SetTTL's, if HasTTL
	HasTTL  bool
	NoStore bool
	Tags    tags.Set // AddTags's, and the inner results'
	Added   tags.Set // AddTags's
	Epochs  Epochs   // of the inner results' tags
	Fresh   int64    // until when the least fresh of the inner results is fresh
}

// NewHint returns the hint of an execution that has said nothing yet.
func NewHint() Hint { return Hint{Fresh: clock.Forever} }

type frameKey struct{}

// Executing counts the executions under way in the process. While there are
// none, no context has a frame that collects anything, and a hit need not look.
var Executing atomic.Int64

// Inheritors is set once any function was given InheritTTL: from then on the
// freshness of every hit matters to the execution that it is made by.
var Inheritors atomic.Bool

// Of returns the frame of the innermost execution that ctx belongs to, or nil.
func Of(ctx context.Context) *Frame {
	f, _ := ctx.Value(frameKey{}).(*Frame)
	if f == nil && Executing.Load() != 0 {
		if request := RequestContext(ctx); request != nil {
			f, _ = request.Value(frameKey{}).(*Frame)
		}
	}
	return f
}

// With returns a copy of ctx that belongs to the execution of f.
func With(ctx context.Context, f *Frame) context.Context {
	return context.WithValue(ctx, frameKey{}, f)
}

func (f *Frame) Deadline() (deadline time.Time, ok bool) { return }
func (f *Frame) Done() <-chan struct{}                   { return nil }
func (f *Frame) Err() error                              { return nil }

func (f *Frame) Value(key any) any {
	if key == (frameKey{}) {
		return f
	}
	return f.Values.Value(key)
}

// Update runs change on what was collected, if the execution still goes on. f may
// be nil.
func (f *Frame) Update(change func(*Hint)) {
	if f == nil {
		return
	}
	if f.forwards != nil {
		f.forwards.Update(change)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.sealed {
		change(&f.Hint)
	}
}

// Tags returns the tags that were collected until now.
func (f *Frame) Tags() []tags.Tag {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Hint.Tags.List
}

// Seal ends the collection and returns what it came to.
func (f *Frame) Seal() *Hint {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sealed = true
	return &f.Hint
}

// Merge tells the execution what a result that it has got brings with it: its origin, and
// until when it is fresh. f may be nil.
func (f *Frame) Merge(o *Origin, fresh int64) {
	f.Update(func(h *Hint) {
		h.Tags.Add(o.Tags...)
		h.Fresh = min(h.Fresh, fresh)
		h.Epochs.addFrom(o)
	})
}

// MergeFrom takes over what another execution has collected. f may be nil.
func (f *Frame) MergeFrom(from *Hint) {
	f.Update(func(h *Hint) {
		h.Tags.Add(from.Tags.List...)
		h.Added.Add(from.Added.List...)
		h.Fresh = min(h.Fresh, from.Fresh)
		h.Epochs.merge(&from.Epochs)
	})
}

// Clones reports whether the copy of a held result that is made for the execution is one
// of its first few; see Copying. f may be nil.
func (f *Frame) Clones(few int32) bool {
	return f != nil && f.clones.Load() < few && f.clones.Add(1) <= few
}

// SetTTL, NoStore, AddTags and Independent are memo.SetTTL, NoStore, AddTags and Detached.
func SetTTL(ctx context.Context, d time.Duration) {
	hinted(ctx, "SetTTL").Update(func(h *Hint) { h.TTL, h.HasTTL = max(d, 0), true })
}

func NoStore(ctx context.Context) {
	hinted(ctx, "NoStore").Update(func(h *Hint) { h.NoStore = true })
}

func AddTags(ctx context.Context, names []string) {
	f := hinted(ctx, "AddTags")
	f.Update(func(h *Hint) {
		for _, name := range names {
			h.Tags.Add(tags.Tag{Space: f.Space, Name: name})
			h.Added.Add(tags.Tag{Space: f.Space, Name: name})
		}
	})
}

func Independent(ctx context.Context) context.Context {
	f := Of(ctx)
	if f == nil {
		return ctx
	}
	return With(ctx, &Frame{Execution: f.Execution, sealed: true})
}

// Said returns what fn has said so far about the result of the execution that ctx belongs
// to, by SetTTL and NoStore.
func Said(ctx context.Context) (said Hint) {
	Of(ctx).Update(func(h *Hint) { said = Hint{TTL: h.TTL, HasTTL: h.HasTTL, NoStore: h.NoStore} })
	return said
}

// hintPlaces are the calls whose hints reached no execution, by program counter.
var hintPlaces sync.Map

// ForgetHints makes this a program in which no hint has been lost yet. It is for memo's own
// tests.
func ForgetHints() { hintPlaces.Clear() }

// hinted returns the frame that a hint given with ctx is for. If there is none though
// executions are under way, ctx is probably not what fn was given: that is logged, once
// for each place in the program.
func hinted(ctx context.Context, what string) *Frame {
	f := Of(ctx)
	if f != nil || Executing.Load() == 0 {
		return f
	}
	var pc [1]uintptr
	runtime.Callers(4, pc[:])
	if _, told := hintPlaces.LoadOrStore(pc[0], true); !told {
		at, _ := runtime.CallersFrames(pc[:]).Next()
		slog.Warn("memo: "+what+" did nothing: its context belongs to no execution; pass the context that fn was given",
			"place", fmt.Sprintf("%s:%d", at.File, at.Line))
	}
	return nil
}
