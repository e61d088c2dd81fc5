package stored

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/function"
)

// Records are held under keys, in this process and perhaps in a store: as results of a
// memoized function that is never called, for whoever needs a record that is not there
// carries that out; see Run.
type Records struct {
	function *function.Function
	group    *function.Group // the function's alone
	settled  atomic.Pointer[function.Policy]
}

// NewRecords returns records under these options, in a group that is within groups.
func NewRecords(groups, opts function.Options) *Records {
	group := function.NewGroup("httpcache", groups)
	group.MakeLone()
	f := function.New("httpcache", append(opts, inGroup{group}), function.SignatureOf[string, *Record]())
	f.Made = function.WhereMade()
	s := f.Settings(nil)
	f.Register(&s) // the last thing that may fail
	f.Enlist()
	return &Records{function: f, group: group}
}

// inGroup makes a function one of a group.
type inGroup struct{ group *function.Group }

// Apply implements [function.Option].
func (g inGroup) Apply(s *function.Settings) { s.Group = g.group }

// policy returns the policy, which is settled when records are first used: memo's defaults
// may still change before.
func (rs *Records) policy() *function.Policy {
	if p := rs.settled.Load(); p != nil && p.Current() {
		return p
	}
	rs.function.Settle()
	rs.settled.Store(rs.function.Policy)
	return rs.function.Policy
}

func (rs *Records) Log() *slog.Logger { return rs.policy().Log() }

// IsShared reports whether other processes share what is stored. A record that no run
// stands for is not stored then: only what a run brings is kept from being stored when
// another process has purged it meanwhile.
func (rs *Records) IsShared() bool { return rs.policy().Store != nil }

// LocalBytes returns how many bytes are held in this process; zero if that is not bounded
// in bytes.
func (rs *Records) LocalBytes() int64 {
	if p := rs.policy(); !p.NoLocal {
		return p.Bytes
	}
	return 0
}

func (rs *Records) Stats() entry.Stats {
	rs.policy()
	return rs.function.Stats()
}

// Peek returns the record under key, or nil. key need not outlive the call.
func (rs *Records) Peek(ctx context.Context, key string) *Record {
	p, c := rs.policy().UnderToken(ctx), rs.function.Cache
	if p.Off(ctx) {
		return nil
	}
	e, v := c.Find(&p.Config, key, clock.Precise())
	if v == fresh.Unverified || v == fresh.Unusable && c.Shared != nil {
		e, v = c.Peek(ctx, &p.Config, new(engine.Search).Begin(strings.Clone(key), engine.Bare{}, e, v))
	}
	if v == fresh.Unusable || v == fresh.Unverified || e.Err() != nil {
		return nil
	}
	e.Propagate(ctx)
	return rs.recordOf(e)
}

// recordOf returns the record that e is of, which knows its tags then.
func (rs *Records) recordOf(e *entry.Entry) *Record {
	rec := *(**Record)(e.Value)
	all := e.Tags()
	if len(all) == 0 || rec.Kind != Response {
		return rec
	}
	if d := rec.Derived(); d.tags.Load() == nil {
		var names []string
		for _, t := range all {
			if t.Space == rs.function.Cache.Space {
				names = append(names, t.Name)
			}
		}
		d.tags.Store(&names)
	}
	return rec
}

// A Keeping is for how long a record is kept, and by which tags it is found.
type Keeping struct {
	Ttl  time.Duration
	Tags []string
}

// Apply implements [function.Option].
func (k Keeping) Apply(s *function.Settings) {
	s.TTL, s.Tags = k.Ttl, append(s.Tags[:len(s.Tags):len(s.Tags)], k.Tags...)
}

// Put puts a record under a key. That it may come too late, when an invalidation has meant
// it, is up to the caller.
func (rs *Records) Put(ctx context.Context, key string, rec *Record, k Keeping) {
	if rs.policy().Off(ctx) {
		return
	}
	p := rs.function.Derive(function.Options{k})
	if err := rs.function.Put(p.Lend(ctx), &p.Config, key, engine.Bare{}, &rec); err != nil {
		rs.Log().Warn("memo: httpcache: a response could not be stored", "error", err)
	}
}

// Drop drops what is held under keys, in the store too, and has nobody wait any more for
// what is on its way there.
func (rs *Records) Drop(ctx context.Context, keys ...string) error {
	p, c := rs.policy(), rs.function.Cache
	var shared []string
	if c.Shared != nil {
		for _, key := range keys {
			shared = append(shared, c.SharedKey(key, engine.Bare{}))
		}
	}
	return c.Invalidate(p.Lend(ctx), &p.Config, keys, shared)
}

// Forget drops what this process holds under a key. A store keeps what it has.
func (rs *Records) Forget(key string) {
	rs.policy()
	rs.function.ForgetKey(key)
}

func (rs *Records) Clear(ctx context.Context) error {
	p := rs.policy()
	return rs.function.Clear(p.Lend(ctx), &p.Config)
}

func (rs *Records) InvalidateTags(ctx context.Context, tags []string) error {
	rs.policy() // the group may be in the default one
	return rs.group.InvalidateTags(ctx, tags)
}

// A Run is one execution of a handler or a round trip, for everyone who waits for it. Whoever
// has it carries it out, in the goroutine that serves the request: that is where net/http
// wants handlers to write, flush, hijack and panic. Others do not wait for the end of a
// response that nobody can share: the run ends when that is known.
type Run struct {
	lead    *engine.Lead
	records *Records
	key     string
	ended   atomic.Bool
}

// An Outcome is what a run came back with.
type Outcome struct {
	Rec *Record
	Keeping
	Err error

	// Variant, if not nil, is stored under a key of its own: rec is the index that
	// makes it known.
	Variant    *Record
	VariantKey string

	// Of, if not nil, is the record that rec is a newer state of: the same body,
	// validated. It has to be held still, and hands its tags on.
	Of *Record
}

var (
	ErrRetry = errors.New("memo: httpcache: the run did not come to an end")
	ErrPass  = errors.New("memo: httpcache: the response is not for sharing")
	ErrStale = errors.New("memo: httpcache: the origin failed, and a stale response may take its place")

	// ErrOverdue is no outcome, but why a request waits no longer.
	ErrOverdue = errors.New("memo: httpcache: another request's run takes too long to wait for it")
)

// Begin returns a run for a record under key, which the caller carries out; or else the record
// that is there, or that somebody else's run has brought, or why there is none.
func (rs *Records) Begin(ctx context.Context, key string, t engine.Terms) (r *Run, rec *Record, err error) {
	p := rs.policy().UnderToken(ctx)
	if p.Off(ctx) {
		return nil, nil, ErrPass
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: httpcache: an observer panicked: %v", v)
		}
	}()
	lead, out := rs.function.Begin(p.Lend(ctx), &p.Config, key, t)
	switch {
	case lead != nil:
		return &Run{lead: lead, records: rs, key: key}, nil, nil
	case errors.Is(out.Err, engine.ErrBusy):
		return nil, nil, ErrPass
	case errors.Is(out.Err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, nil, ErrOverdue
	case out.Err != nil:
		return nil, nil, out.Err
	case out.Entry.Err() != nil:
		return nil, nil, out.Entry.Err()
	}
	return nil, rs.recordOf(out.Entry), nil
}

// another returns the terms of who needs another response than the one at hand, if there is
// one.
func AnotherThan(old *Record) (t engine.Terms) {
	if t.Patience = -1; old != nil {
		t.Serves = func(e *entry.Entry) bool { return (*(**Record)(e.Value)).Made != old.Made }
	}
	return t
}

// Context returns what the run is carried out under. Others may wait for it as long as it has
// not ended.
func (r *Run) Context() context.Context { return r.lead.Context() }

// End ends the run for everyone who waits for it. Only the first call counts. r may be nil.
//
// When it returns, what was brought is stored, or cannot be: so the client, who gets the end
// of the response only after that, finds it.
//
// The body of a record that was validated is older than the run. If it has been invalidated
// meanwhile, by whatever way, it is not held any more, and its newer state is not stored.
// Looking at it hands its tags, those of other functions included, on to the run.
//
// The variant is stored first, where nobody finds it yet: its key has the random number of
// an index that is published afterwards, unless an invalidation has come in between.
func (r *Run) End(o Outcome) {
	if r == nil || r.ended.Swap(true) {
		return
	}
	ctx := r.lead.Context()
	if o.Err == nil && o.Of != nil {
		if held := r.records.Peek(ctx, r.key); held == nil || held.Made != o.Of.Made {
			o.Err = ErrPass
		}
	}
	if o.Err != nil {
		r.lead.Fail(o.Err)
		return
	}
	if o.Variant != nil {
		r.records.Put(ctx, o.VariantKey, o.Variant, o.Keeping)
		o.Ttl = max(o.Ttl, IndexLife)
	}
	rec := o.Rec // what is held must not hold the rest of o
	r.lead.Finish(&rec, o.Ttl, o.Tags)
}

// IndexLife is how long an index is held at least. It holds no response, and
// without it those that it leads to cannot be found.
const IndexLife = 7 * 24 * time.Hour

// OpenIndex makes an index for a resource before anything is known of it: one, for
// all who ask at once.
func (rs *Records) OpenIndex(ctx context.Context, resource string) *Record {
	run, index, err := rs.Begin(ctx, resource, AnotherThan(nil))
	switch {
	case run != nil:
		index = NewIndex(nil)
		run.End(Outcome{Rec: index, Keeping: Keeping{Ttl: IndexLife}})
	case err != nil || index.Kind != Index:
		index = NewIndex(nil)
		rs.Put(ctx, resource, index, Keeping{Ttl: IndexLife})
	}
	return index
}
