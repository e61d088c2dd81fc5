package httpcache

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
// carries that out; see run.
type records struct {
	function *function.Function
	group    *function.Group // the function's alone
	settled  atomic.Pointer[function.Policy]
}

// newRecords returns records under these options, in a group that is within groups.
func newRecords(groups, opts function.Options) *records {
	group := function.NewGroup("httpcache", groups)
	group.MakeLone()
	f := function.New("httpcache", append(opts, inGroup{group}), function.SignatureOf[string, *record]())
	f.Made = function.WhereMade()
	s := f.Settings(nil)
	f.Register(&s) // the last thing that may fail
	f.Enlist()
	return &records{function: f, group: group}
}

// inGroup makes a function one of a group.
type inGroup struct{ group *function.Group }

// Apply implements [function.Option].
func (g inGroup) Apply(s *function.Settings) { s.Group = g.group }

// policy returns the policy, which is settled when records are first used: memo's defaults
// may still change before.
func (rs *records) policy() *function.Policy {
	if p := rs.settled.Load(); p != nil {
		return p
	}
	rs.function.Settle()
	rs.settled.Store(rs.function.Policy)
	return rs.function.Policy
}

func (rs *records) log() *slog.Logger { return rs.policy().Log() }

// isShared reports whether other processes share what is stored. A record that no run
// stands for is not stored then: only what a run brings is kept from being stored when
// another process has purged it meanwhile.
func (rs *records) isShared() bool { return rs.policy().Store != nil }

// localBytes returns how many bytes are held in this process; zero if that is not bounded
// in bytes.
func (rs *records) localBytes() int64 {
	if p := rs.policy(); !p.NoLocal {
		return p.Bytes
	}
	return 0
}

func (rs *records) stats() entry.Stats {
	rs.policy()
	return rs.function.Stats()
}

// peek returns the record under key, or nil. key need not outlive the call.
func (rs *records) peek(ctx context.Context, key string) *record {
	p, c := rs.policy(), rs.function.Cache
	if p.Off(ctx) {
		return nil
	}
	e, v := c.Find(&p.Config, key, clock.Precise())
	if v == fresh.Unverified || v == fresh.Unusable && c.Shared != nil {
		e, v = c.Peek(ctx, &p.Config, new(engine.Search).Begin(strings.Clone(key), engine.Bare{}, e, v))
	}
	if v == fresh.Unusable || v == fresh.Unverified || e.Err != nil {
		return nil
	}
	e.Propagate(ctx)
	return *e.Value.(**record)
}

// A keeping is for how long a record is kept, and by which tags it is found.
type keeping struct {
	ttl  time.Duration
	tags []string
}

// Apply implements [function.Option].
func (k keeping) Apply(s *function.Settings) {
	s.TTL, s.Tags = k.ttl, append(s.Tags[:len(s.Tags):len(s.Tags)], k.tags...)
}

// put puts a record under a key. That it may come too late, when an invalidation has meant
// it, is up to the caller.
func (rs *records) put(ctx context.Context, key string, rec *record, k keeping) {
	if rs.policy().Off(ctx) {
		return
	}
	p := rs.function.Derive(function.Options{k})
	if err := rs.function.Put(p.Lend(ctx), &p.Config, key, engine.Bare{}, &rec); err != nil {
		rs.log().Warn("memo: httpcache: a response could not be stored", "error", err)
	}
}

// drop drops what is held under keys, in the store too, and has nobody wait any more for
// what is on its way there.
func (rs *records) drop(ctx context.Context, keys ...string) error {
	p, c := rs.policy(), rs.function.Cache
	var shared []string
	if c.Shared != nil {
		for _, key := range keys {
			shared = append(shared, c.SharedKey(key, engine.Bare{}))
		}
	}
	return c.Invalidate(p.Lend(ctx), &p.Config, keys, shared)
}

// forget drops what this process holds under a key. A store keeps what it has.
func (rs *records) forget(key string) {
	rs.policy()
	rs.function.ForgetKey(key)
}

func (rs *records) clear(ctx context.Context) error {
	p := rs.policy()
	return rs.function.Clear(p.Lend(ctx), &p.Config)
}

func (rs *records) invalidateTags(ctx context.Context, tags []string) error {
	rs.policy() // the group may be in the default one
	return rs.group.InvalidateTags(ctx, tags)
}

// A run is one execution of a handler or a round trip, for everyone who waits for it. Whoever
// has it carries it out, in the goroutine that serves the request: that is where net/http
// wants handlers to write, flush, hijack and panic. Others do not wait for the end of a
// response that nobody can share: the run ends when that is known.
type run struct {
	lead    *engine.Lead
	records *records
	key     string
	ended   atomic.Bool
}

// An outcome is what a run came back with.
type outcome struct {
	rec *record
	keeping
	err error

	// variant, if not nil, is stored under a key of its own: rec is the index that
	// makes it known.
	variant    *record
	variantKey string

	// of, if not nil, is the record that rec is a newer state of: the same body,
	// validated. It has to be held still, and hands its tags on.
	of *record
}

var (
	errRetry = errors.New("memo: httpcache: the run did not come to an end")
	errPass  = errors.New("memo: httpcache: the response is not for sharing")
	errStale = errors.New("memo: httpcache: the origin failed, and a stale response may take its place")

	// errOverdue is no outcome, but why a request waits no longer.
	errOverdue = errors.New("memo: httpcache: another request's run takes too long to wait for it")
)

// begin returns a run for a record under key, which the caller carries out; or else the record
// that is there, or that somebody else's run has brought, or why there is none.
func (rs *records) begin(ctx context.Context, key string, t engine.Terms) (r *run, rec *record, err error) {
	p := rs.policy()
	if p.Off(ctx) {
		return nil, nil, errPass
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: httpcache: an observer panicked: %v", v)
		}
	}()
	lead, out := rs.function.Begin(p.Lend(ctx), &p.Config, key, t)
	switch {
	case lead != nil:
		return &run{lead: lead, records: rs, key: key}, nil, nil
	case errors.Is(out.Err, engine.ErrBusy):
		return nil, nil, errPass
	case errors.Is(out.Err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, nil, errOverdue
	case out.Err != nil:
		return nil, nil, out.Err
	case out.Entry.Err != nil:
		return nil, nil, out.Entry.Err
	}
	return nil, *out.Entry.Value.(**record), nil
}

// another returns the terms of who needs another response than the one at hand, if there is
// one.
func another(old *record) (t engine.Terms) {
	if t.Patience = -1; old != nil {
		t.Serves = func(v any) bool { return (*v.(**record)).Made != old.Made }
	}
	return t
}

// context returns what the run is carried out under. Others may wait for it as long as it has
// not ended.
func (r *run) context() context.Context { return r.lead.Context() }

// end ends the run for everyone who waits for it. Only the first call counts. r may be nil.
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
func (r *run) end(o outcome) {
	if r == nil || r.ended.Swap(true) {
		return
	}
	ctx := r.lead.Context()
	if o.err == nil && o.of != nil {
		if held := r.records.peek(ctx, r.key); held == nil || held.Made != o.of.Made {
			o.err = errPass
		}
	}
	if o.err != nil {
		r.lead.Fail(o.err)
		return
	}
	if o.variant != nil {
		r.records.put(ctx, o.variantKey, o.variant, o.keeping)
		o.ttl = max(o.ttl, indexLife)
	}
	rec := o.rec // what is held must not hold the rest of o
	r.lead.Finish(&rec, o.ttl, o.tags)
}

// indexLife is how long an index is held at least. It holds no response, and
// without it those that it leads to cannot be found.
const indexLife = 7 * 24 * time.Hour

// openIndex makes an index for a resource before anything is known of it: one, for
// all who ask at once.
func (rs *records) openIndex(ctx context.Context, resource string) *record {
	run, index, err := rs.begin(ctx, resource, another(nil))
	switch {
	case run != nil:
		index = newIndex(nil)
		run.end(outcome{rec: index, keeping: keeping{ttl: indexLife}})
	case err != nil || index.Kind != anIndex:
		index = newIndex(nil)
		rs.put(ctx, resource, index, keeping{ttl: indexLife})
	}
	return index
}
