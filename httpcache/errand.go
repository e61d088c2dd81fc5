package httpcache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/hints"
)

// An errand is the argument of the cache's memoized function: the key of a record
// and, where there is none to be had, how to get one.
type errand struct {
	key string
	run *run
}

// A run is one execution of a handler or a round trip, seen from both sides. memo
// says whether there is to be one, and gives it its context; the goroutine that
// serves the request carries it out, because that is where net/http wants
// handlers to write, flush, hijack and panic. The two meet here.
//
// The serving goroutine calls [Cache.join], which asks memo from a goroutine of
// its own. Either memo has an answer, or it runs the function, which hands the
// lead back and waits for what the run lands with. It does not wait for the end
// of a response that nobody can share: the run lands when that is known.
type run struct {
	state     atomic.Int32
	lead      chan context.Context // what to run under; holds at most one
	landed    chan landing         // holds at most one
	down      atomic.Bool          // landed has been used
	ended     chan answer          // what memo had in the end; holds at most one
	abstained chan struct{}        // memo waits for somebody else; nil for who waits, too
}

const (
	idle      = iota
	taken     // memo has handed over the lead
	abandoned // nobody is there to take it
)

// A landing is what a run came back with.
type landing struct {
	rec  *record
	keep time.Duration
	tags []string
	err  error

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

	// errOverdue is no landing, but why a request waits no longer.
	errOverdue = errors.New("memo: httpcache: another request's run takes too long to wait for it")
)

// isOutcome reports whether an error is one of those that runs land with, which
// are no trouble.
func isOutcome(err error) bool {
	return errors.Is(err, errRetry) || errors.Is(err, errPass) || errors.Is(err, errStale)
}

func newRun() *run {
	return &run{lead: make(chan context.Context, 1), landed: make(chan landing, 1), ended: make(chan answer, 1)}
}

// land ends the run for everyone who waits for it. Only the first call counts. r
// may be nil.
func (r *run) land(l landing) {
	if r != nil && !r.down.Swap(true) {
		r.landed <- l
	}
}

// outlast waits, when the run has landed, until memo has stored what it brought.
// Then the client, who gets the end of the response only after that, finds it.
func (r *run) outlast() { <-r.ended }

// execute is the memoized function.
func (c *Cache) execute(ctx context.Context, e errand) (*record, error) {
	if e.run == nil || !e.run.state.CompareAndSwap(idle, taken) {
		return nil, errRetry
	}
	e.run.lead <- ctx
	select {
	case l := <-e.run.landed:
		return c.keep(ctx, e.key, l)
	case <-ctx.Done():
	}
	select {
	case l := <-e.run.landed: // the last client left with the last byte
		return c.keep(ctx, e.key, l)
	default:
		return nil, ctx.Err()
	}
}

// keep says for how long what a run landed with is held, and by which tags it is
// found. ctx is the execution's own.
//
// The body of a record that was validated is older than the execution. If it has
// been invalidated meanwhile, by whatever way, memo does not hold it any more,
// and its newer state is not stored. Looking at it hands its tags, those of other
// functions included, on to the execution.
//
// The variant is stored first, where nobody finds it yet: its key has the random
// number of an index that memo publishes afterwards, unless an invalidation has
// come in between.
func (c *Cache) keep(ctx context.Context, key string, l landing) (*record, error) {
	if l.err != nil {
		return nil, l.err
	}
	if l.of != nil {
		if held := c.peek(ctx, key); held == nil || held.Made != l.of.Made {
			return nil, errPass
		}
	}
	if l.variant != nil {
		c.store(ctx, l.variantKey, l.variant, l.keep, l.tags)
		l.keep = max(l.keep, indexLife)
	}
	memo.SetTTL(ctx, l.keep)
	memo.AddTags(ctx, l.tags...)
	return l.rec, nil
}

// store puts a record under a key. That it may come too late, when an invalidation
// has meant it, is up to the caller.
func (c *Cache) store(ctx context.Context, key string, rec *record, keep time.Duration, tags []string) {
	f := c.fn.With(memo.TTL(keep), memo.Tags(tags...))
	if err := f.Set(ctx, errand{key: key}, rec); err != nil {
		c.log().Warn("memo: httpcache: a response could not be stored", "error", err)
	}
}

// indexLife is how long an index is held at least. It holds no response, and
// without it those that it leads to cannot be found.
const indexLife = 7 * 24 * time.Hour

// Abstain is called by memo when it waits for somebody else's execution.
func (e errand) Abstain() {
	if e.run != nil && e.run.abstained != nil {
		select {
		case e.run.abstained <- struct{}{}:
		default:
		}
	}
}

// An answer is what a call of the memoized function came back with.
type answer struct {
	rec *record
	err error
}

// join asks memo for the record under key, not older than the one at hand if
// there is one. It returns the context that the caller is to carry out the run
// under, or the answer that somebody else's run had, or memo itself. One that is to
// run alone waits for nobody, and nobody waits longer than limit, if that is not
// negative.
func (c *Cache) join(ctx context.Context, key string, old *record, alone bool, limit time.Duration) (lead context.Context, r *run, ans answer) {
	made := newRun()
	if alone {
		made.abstained = make(chan struct{}, 1)
	}
	ctx, leave := context.WithCancel(ctx)
	go func() {
		defer leave()
		rec, err := c.call(ctx, errand{key, made}, old)
		made.ended <- answer{rec, err}
	}()
	var overdue <-chan time.Time
	if limit >= 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		overdue = timer.C
	}
	select {
	case lead = <-made.lead:
		return lead, made, answer{}
	case <-overdue:
		ans = answer{err: errOverdue}
	case <-made.abstained: // another process is at it
		ans = answer{err: errPass}
	case ans = <-made.ended:
		made.ended <- ans
	}
	if made.state.CompareAndSwap(idle, abandoned) {
		leave()
		return nil, nil, ans
	}
	lead = <-made.lead // memo made this the leader, and the caller's context ended or its limit was over
	if lead.Err() != nil {
		made.land(landing{err: errRetry})
		return nil, nil, ans
	}
	return lead, made, answer{}
}

// call is Func.Call, which takes only what is newer than old. A panic, which can
// only be an observer's, becomes an error.
func (c *Cache) call(ctx context.Context, e errand, old *record) (rec *record, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memo: httpcache: an observer panicked: %v", v)
		}
	}()
	if old == nil {
		return c.fn.Call(ctx, e)
	}
	// The old record was stored when it was made, or just after. A newer one has
	// been stored since, and is younger than this.
	age := max(time.Since(time.Unix(0, old.Made))-time.Millisecond, time.Nanosecond)
	rec, err = c.fn.With(memo.TTL(age)).Call(ctx, e)
	if rec == old {
		rec, err = c.fn.With(memo.TTL(time.Nanosecond)).Call(ctx, e)
	}
	return rec, err
}

// follow returns a context for carrying out a run: it has the values of lead, and
// ends when lead does, until release is called. From then on it ends with client,
// which is the context of the request, and so not with the run: a middleware that has
// kept the handler's request goes on using it.
func follow(lead, client context.Context) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(lead))
	stop := context.AfterFunc(lead, cancel)
	return ctx, func() {
		if stop() {
			context.AfterFunc(client, cancel)
		}
	}
}

// hintOf returns what a handler has said by memo.SetTTL and memo.NoStore.
func hintOf(ctx context.Context) hints.Hint { return hints.Of(ctx) }
