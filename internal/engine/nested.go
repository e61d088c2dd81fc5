package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/fleet"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/store"
)

// A Frame is where a running execution collects what fn says about its result,
// and what the results it is made from bring with them. fn's context carries
// it; for an execution with callers who may leave, it is the root of that
// context: it has the values of the context that it was made from, but not
// its end.
type Frame struct {
	Values context.Context // what the values come from
	Flight *Flight         // the execution, for finding cycles; nil for a bypass
	Space  *Namespace      // of the function, in which AddTags's tags have their meaning

	forwards *Frame       // to which everything goes that would be collected; nil for none
	clones   atomic.Int32 // how many copies of held results were made for it, up to clonesNoted

	mu     sync.Mutex // fn may use several goroutines
	sealed bool       // guarded by mu; nothing is collected any more, or ever by a frame of Detached's
	Hint   Hint       // guarded by mu until sealed, immutable from then on
}

// A Hint is what an execution says about its result.
type Hint struct {
	Ttl     time.Duration // SetTTL's, if hasTTL
	HasTTL  bool
	NoStore bool
	tags    tagSet          // AddTags's, and the inner results'
	added   tagSet          // AddTags's
	epochs  inheritedEpochs // of the inner results' tags
	Fresh   int64           // until when the least fresh of the inner results is fresh
}

// A tagSet holds tags in the order in which they were first added.
type tagSet struct {
	list  []scopedTag            // only ever appended to
	index map[scopedTag]struct{} // what list holds, once that is long
}

// inheritedEpochs are the epochs, in shared stores, of tags that were taken over from
// inner results.
type inheritedEpochs struct {
	dependencies []fleet.Dependency
	by           map[fleet.EpochAt]store.Token
	unverifiable bool  // two results have different epochs of one tag: one of them is old
	partial      bool  // a result did not know the epochs of all its tags
	until        int64 // if loose or not complete, until when all of these results are trusted

	awaited []*epochsToCome // the results that did not know them yet
}

// incomplete reports whether epochs are missing.
func (t *inheritedEpochs) incomplete() bool { return t.partial || len(t.awaited) > 0 }

// addFrom takes over what e, a result with tags or without, has of epochs.
func (t *inheritedEpochs) addFrom(e *Entry) {
	t.unverifiable = t.unverifiable || e.unverifiable
	t.add(e.Dependencies)
	switch {
	case !e.incomplete:
	case len(e.awaited) > 0:
		t.await(e.awaited, e.trusted)
	default:
		t.markPartial(e.trusted)
	}
}

// await notes results that are not complete, and that are trusted until then.
func (t *inheritedEpochs) await(results []*epochsToCome, until int64) {
	if !t.incomplete() || until < t.until {
		t.until = until
	}
	t.awaited = append(t.awaited, results...)
}

// markPartial notes that epochs are missing, in results that are trusted until then.
func (t *inheritedEpochs) markPartial(until int64) {
	if !t.incomplete() || until < t.until {
		t.until = until
	}
	t.partial = true
}

// trusted returns until when what was made of the results may be used without asking
// a store.
func (t *inheritedEpochs) trusted() int64 {
	if t.incomplete() {
		return t.until
	}
	return clock.Forever
}

func (t *inheritedEpochs) add(fences []fleet.Dependency) {
	for _, f := range fences {
		if !f.Tag {
			continue
		}
		at := fleet.EpochAt{Keyspace: f.Keyspace, Key: f.Key}
		epoch, again := t.by[at]
		if again {
			t.unverifiable = t.unverifiable || epoch != f.Epoch
			continue
		}
		if t.by == nil {
			t.by = map[fleet.EpochAt]store.Token{}
		}
		t.by[at] = f.Epoch
		t.dependencies = append(t.dependencies, f)
	}
}

// fewTags is how many tags are faster to go through than to index.
const fewTags = 16

func (s *tagSet) add(tags ...scopedTag) {
	for _, t := range tags {
		if s.has(t) {
			continue
		}
		s.list = append(s.list, t)
		switch {
		case s.index != nil:
			s.index[t] = struct{}{}
		case len(s.list) > fewTags:
			s.index = make(map[scopedTag]struct{}, 2*len(s.list))
			for _, t := range s.list {
				s.index[t] = struct{}{}
			}
		}
	}
}

func (s *tagSet) has(t scopedTag) bool {
	if s.index == nil {
		return slices.Contains(s.list, t)
	}
	_, ok := s.index[t]
	return ok
}

// lifetime returns what the policy, and fn itself by its hints, say about a
// result.
func (p *Config) lifetime(h *Hint) fresh.Lifetime {
	l := fresh.Lifetime{TTL: p.TTL, Jitter: p.Jitter, Stale: p.Stale(), Inherit: clock.Forever}
	if h.HasTTL {
		l.TTL = h.Ttl
	}
	if p.InheritTTL {
		l.Inherit = h.Fresh
	}
	return l
}

type frameKey struct{}

// Executing counts the executions under way in the process. While there are
// none, no context has a frame that collects anything, and a hit need not look.
var Executing atomic.Int64

// Inheritors is set once any function was given InheritTTL: from then on the
// freshness of every hit matters to whoever made it.
var Inheritors atomic.Bool

// FrameOf returns the frame of the innermost execution that ctx belongs to.
func FrameOf(ctx context.Context) *Frame {
	f, _ := ctx.Value(frameKey{}).(*Frame)
	if f == nil && Executing.Load() != 0 {
		if request := RequestContext(ctx); request != nil {
			f, _ = request.Value(frameKey{}).(*Frame)
		}
	}
	return f
}

// hintPlaces are the calls whose hints reached no execution, by program counter.
var hintPlaces sync.Map

// hinted returns the frame that a hint given with ctx is for. If there is none though
// executions are under way, ctx is probably not what fn was given: that is logged, once
// for each place in the program.
func hinted(ctx context.Context, what string) *Frame {
	f := FrameOf(ctx)
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

// tagsSoFar returns the tags that were collected until now.
func (f *Frame) tagsSoFar() []scopedTag {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Hint.tags.list
}

// Seal ends the collection and returns what it came to.
func (f *Frame) Seal() *Hint {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sealed = true
	return &f.Hint
}

// merge tells the execution around a call, if there is one, what the call's
// result brings with it.
func (f *Frame) merge(e *Entry) {
	f.Update(func(h *Hint) {
		h.tags.add(e.Tags...)
		h.Fresh = min(h.Fresh, e.Fresh)
		h.epochs.addFrom(e)
	})
}

// MergeFrom takes over what another execution has collected.
func (f *Frame) MergeFrom(from *Hint) {
	f.Update(func(h *Hint) {
		h.tags.add(from.tags.list...)
		h.added.add(from.added.list...)
		h.Fresh = min(h.Fresh, from.Fresh)
		h.epochs.add(from.epochs.dependencies)
		h.epochs.unverifiable = h.epochs.unverifiable || from.epochs.unverifiable
		if from.epochs.partial {
			h.epochs.markPartial(from.epochs.until)
		}
		if len(from.epochs.awaited) > 0 {
			h.epochs.await(from.epochs.awaited, from.epochs.until)
		}
	})
}

// Bypass begins the execution of a call that bypasses the cache, and returns the context
// for fn. What fn says about its result goes nowhere, but its tags are handed on to the
// execution around the call, as those of any result are. ended ends it, with the error
// that it came to.
func (c *Cache) Bypass(ctx context.Context, p *Config) (inner context.Context, ended func(err error)) {
	around := FrameOf(ctx)
	own := &Frame{Space: c.Space, Hint: Hint{Fresh: clock.Forever}}
	if around != nil {
		own.Flight = around.Flight
	}
	Executing.Add(1)
	began := time.Now()
	return context.WithValue(ctx, frameKey{}, own), func(err error) {
		Executing.Add(-1)
		h := own.Seal()
		h.tags.add(p.allTags(c.Space, nil)...)
		around.MergeFrom(h)
		c.CountExecution(ctx, p, "", time.Since(began), err)
	}
}

// SetTTL, noStore, addTags and independent are memo.SetTTL, NoStore, AddTags and Detached.
func SetTTL(ctx context.Context, d time.Duration) {
	hinted(ctx, "SetTTL").Update(func(h *Hint) { h.Ttl, h.HasTTL = max(d, 0), true })
}

func NoStore(ctx context.Context) {
	hinted(ctx, "NoStore").Update(func(h *Hint) { h.NoStore = true })
}

func AddTags(ctx context.Context, t []string) {
	f := hinted(ctx, "AddTags")
	f.Update(func(h *Hint) {
		for _, name := range t {
			h.tags.add(scopedTag{f.Space, name})
			h.added.add(scopedTag{f.Space, name})
		}
	})
}

func Independent(ctx context.Context) context.Context {
	f := FrameOf(ctx)
	if f == nil {
		return ctx
	}
	return context.WithValue(ctx, frameKey{}, &Frame{Flight: f.Flight, sealed: true})
}

// Said returns what fn has said so far about the result of the execution that ctx belongs
// to: by SetTTL, if hasTTL, and by NoStore.
func Said(ctx context.Context) (ttl time.Duration, hasTTL, noStore bool) {
	FrameOf(ctx).Update(func(h *Hint) { ttl, hasTTL, noStore = h.Ttl, h.HasTTL, h.NoStore })
	return ttl, hasTTL, noStore
}
