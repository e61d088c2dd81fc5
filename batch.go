package memo

import (
	"context"
	"errors"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/seed-0226adef/memo/internal/batch"
	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/function"
)

// A Batch is a memoized function of many keys at once, together with its cache.
// What it holds for one key serves every call that names the key, in whatever
// company; only the keys that nothing is held for are given to fn.
//
// All methods are safe for concurrent use. Like a [Func], a Batch needs no Close.
type Batch[K comparable, V any] struct {
	one    *Func[K, V] // whose fn is nil
	source *batch.Source[K, V]
}

// NewBatch makes a memoized function of fn, which returns the values of the keys
// that it is given. The options are those of [New], with K as the argument and V
// as the result, and [MaxBatch] and [CacheMissing].
//
//   - Each key has a result, a freshness and an execution of its own: concurrent
//     calls, in the process and in the fleet, never have fn run twice for one
//     key at a time.
//   - Those keys of one call that have to be executed go to fn together, each
//     once, in the order of the call as far as it has one.
//   - A key that fn leaves out has no value, and is asked for again by the next
//     call unless CacheMissing says otherwise.
//   - What fn returns together with an error counts: the error is that of the
//     keys which are not in the map.
//   - What fn says about its result, by [SetTTL], [NoStore] or [AddTags], holds
//     for all values that it returns.
//
// The slice and what the keys lead to are copies, as the argument of New's fn is. fn
// must neither modify nor retain the slice. NewBatch panics as New does.
func NewBatch[K comparable, V any](fn func(context.Context, []K) (map[K]V, error), opts ...Option) *Batch[K, V] {
	notNil(fn == nil, "NewBatch")
	one := build[K, V](function.FuncName(fn), nil, opts)
	return &Batch[K, V]{one, &batch.Source[K, V]{Fn: fn, Cache: one.core, Own: one.own, AppendArgs: one.appendArgs}}
}

// Call returns the values of keys: remembered ones as far as they may be used,
// otherwise those of an execution of fn, which it starts or joins. Keys without a
// value are not in the map. The order of keys does not matter, nor does naming one
// twice.
//
// The map is the caller's and is never nil. With an error it holds the values
// that could be had. The error is fn's own if there was one; several, of
// different executions, come joined. If ctx ends first it is ctx.Err().
func (b *Batch[K, V]) Call(ctx context.Context, keys []K) (map[K]V, error) {
	c := &batchCall[K, V]{batch: b, policy: b.one.settled().Under(ctx), found: make(map[K]V, len(keys))}
	if c.policy.Off(ctx) {
		return c.bypass(ctx, keys)
	}
	c.want(keys)
	c.lookHere(ctx)
	if len(c.open) == 0 && len(c.old) == 0 {
		return c.found, c.err()
	}
	ctx = c.policy.Lend(ctx)
	c.lookThere(ctx)
	c.refresh(ctx)
	c.execute(ctx)
	return c.found, c.err()
}

// With returns a Batch for the same cache under another policy, as [Func.With]
// does.
func (b *Batch[K, V]) With(opts ...CallOption) *Batch[K, V] {
	return &Batch[K, V]{b.one.With(opts...), b.source}
}

// Peek returns what is held for key, as [Func.Peek] does. It returns [ErrMiss] also
// for a key that is remembered to have no value.
func (b *Batch[K, V]) Peek(ctx context.Context, key K) (Entry[V], error) {
	e, err := b.one.Peek(ctx, key)
	if err == entry.ErrAbsent {
		return Entry[V]{}, ErrMiss
	}
	return e, err
}

// Set keeps v for key, as [Func.Set] does.
func (b *Batch[K, V]) Set(ctx context.Context, key K, v V) error { return b.one.Set(ctx, key, v) }

// Invalidate drops what is held for keys, as [Func.Invalidate] does.
func (b *Batch[K, V]) Invalidate(ctx context.Context, keys ...K) error {
	return b.one.Invalidate(ctx, keys...)
}

// Expire ends the freshness of what is held for keys, as [Func.Expire] does.
func (b *Batch[K, V]) Expire(ctx context.Context, keys ...K) error { return b.one.Expire(ctx, keys...) }

// Clear drops everything that is held, as [Func.Clear] does.
func (b *Batch[K, V]) Clear(ctx context.Context) error { return b.one.Clear(ctx) }

// Key returns the key of a result as a shared store sees it, as [Func.Key] does.
func (b *Batch[K, V]) Key(key K) (string, error) { return b.one.Key(key) }

// Stats returns the counters. Executions counts the times that fn was run; all
// others but Failures and ExecutionTime count keys.
func (b *Batch[K, V]) Stats() Stats { return b.one.Stats() }

// A batchCall is one call of Batch.Call.
type batchCall[K comparable, V any] struct {
	batch  *Batch[K, V]
	policy *function.Policy
	open   []*wanted[K, V] // the keys that have no answer yet
	old    []*wanted[K, V] // those whose answer is to be refreshed in the background
	found  map[K]V
	errs   []error
}

// A wanted is a key that a call asks for.
type wanted[K comparable, V any] struct {
	key    K
	job    *batch.Job[K, V]
	search *engine.Search
}

// want makes every key an open one, once.
func (c *batchCall[K, V]) want(keys []K) {
	asked := make(map[K]bool, len(keys))
	for _, key := range keys {
		if asked[key] {
			continue
		}
		asked[key] = true
		text, err := c.batch.one.ownKey(&key)
		if err != nil {
			c.errs = append(c.errs, err)
			continue
		}
		job := batch.NewJob(c.batch.source, c.policy, key)
		c.open = append(c.open, &wanted[K, V]{key, job, job.Search.Begin(text, job, nil, fresh.Unusable)})
	}
}

// searches returns those of the open keys.
func (c *batchCall[K, V]) searches() []*engine.Search {
	all := make([]*engine.Search, len(c.open))
	for i, w := range c.open {
		all[i] = w.search
	}
	return all
}

// lookHere answers what this process has.
func (c *batchCall[K, V]) lookHere(ctx context.Context) {
	c.batch.one.core.LookHere(ctx, &c.policy.Config, c.searches()...)
	c.answer(ctx)
}

// lookThere answers what the store has, in one round trip for all keys that
// nobody is executing or looking for.
func (c *batchCall[K, V]) lookThere(ctx context.Context) {
	if c.batch.one.core.Shared != nil {
		c.batch.one.core.LookThere(ctx, &c.policy.Config, c.searches()...)
		c.answer(ctx)
	}
}

// answer takes what was found for the answer where that is one.
func (c *batchCall[K, V]) answer(ctx context.Context) {
	c.open = slices.DeleteFunc(c.open, func(w *wanted[K, V]) bool {
		v := w.search.Verdict
		if !v.Answers() {
			return false
		}
		c.take(ctx, w.key, engine.Outcome{Entry: w.search.Entry}, false)
		if v == fresh.Early || v == fresh.Revalidate {
			c.old = append(c.old, w)
		}
		return true
	})
}

// take notes what a key came to; waited as for finish.
func (c *batchCall[K, V]) take(ctx context.Context, key K, out engine.Outcome, waited bool) {
	v, err := c.batch.one.finish(ctx, c.policy, out, waited)
	switch {
	case err == nil:
		c.found[key] = v
	case err != entry.ErrAbsent:
		c.errs = append(c.errs, err)
	}
}

// refresh begins an execution of those results that are to be refreshed.
func (c *batchCall[K, V]) refresh(ctx context.Context) {
	run := batch.NewRun(c.batch.source, c.policy, len(c.old))
	left := len(c.old)
	defer func() { run.GoWithout(left) }() // a Keyer that panics does not hold up the others
	for _, w := range c.old {
		w.job.In = run
		if !c.batch.one.core.RefreshInBackground(ctx, &c.policy.Config, w.search.Entry, w.job) {
			w.job.Abstain()
		}
		left--
	}
}

// execute answers the open keys by executing fn, or by waiting for those who do.
func (c *batchCall[K, V]) execute(ctx context.Context) {
	run := batch.NewRun(c.batch.source, c.policy, len(c.open))
	outs := make([]engine.Outcome, len(c.open))
	var wg sync.WaitGroup
	for i, w := range c.open {
		w.job.In = run
		wg.Go(func() {
			defer func() {
				w.job.Abstain()
				if v := recover(); v != nil { // of an Observer or a Keyer: the caller's to deal with
					outs[i].Panicked = &entry.PanicError{Value: v, Stack: debug.Stack()}
				}
			}()
			outs[i] = c.batch.one.core.Load(ctx, &c.policy.Config, w.search)
		})
	}
	wg.Wait()
	for i, w := range c.open {
		c.take(ctx, w.key, outs[i], true)
	}
}

// err returns the errors of the call, each once.
func (c *batchCall[K, V]) err() error {
	var once []error
	for _, err := range c.errs {
		if !slices.ContainsFunc(once, func(other error) bool { return sameError(err, other) }) {
			once = append(once, err)
		}
	}
	if len(once) == 1 {
		return once[0]
	}
	return errors.Join(once...)
}

func sameError(a, b error) bool {
	if reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() {
		return a == b
	}
	return reflect.DeepEqual(a, b)
}

// bypass runs fn in the caller's goroutine and touches no cache.
func (c *batchCall[K, V]) bypass(ctx context.Context, keys []K) (map[K]V, error) {
	c.want(keys)
	for some := range batch.Chunks(c.policy, len(c.open)) {
		part := make([]K, 0, some[1]-some[0])
		for _, w := range c.open[some[0]:some[1]] {
			part = append(part, w.key)
		}
		values, err := runBypassing(ctx, c.batch.one.core, c.policy, func(ctx context.Context) (map[K]V, error) { return c.batch.source.Fn(ctx, part) })
		for _, key := range part {
			if v, ok := values[key]; ok {
				c.found[key] = v
			}
		}
		if err != nil {
			c.errs = append(c.errs, err)
		}
	}
	return c.found, c.err()
}
