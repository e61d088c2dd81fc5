package memo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/shared"
)

// Wrap returns fn, remembered: a function of the same type that runs fn once for
// each argument and then returns the result for as long as it is fresh.
// Concurrent calls with equal arguments share one execution. Wrap(fn, opts...)
// is [New](fn, opts...).Call; New says more.
func Wrap[A, R any](fn func(context.Context, A) (R, error), opts ...Option) func(context.Context, A) (R, error) {
	return New(fn, opts...).Call
}

// Wrap0 is [Wrap] for a function without an argument, which has a single result.
func Wrap0[R any](fn func(context.Context) (R, error), opts ...Option) func(context.Context) (R, error) {
	notNil(fn == nil, "Wrap0")
	f := build(function.FuncName(fn), func(ctx context.Context, _ struct{}) (R, error) { return fn(ctx) }, opts)
	return func(ctx context.Context) (R, error) { return f.Call(ctx, struct{}{}) }
}

// Wrap2 is [Wrap] for a function of two arguments, which together are the key.
// [KeyFunc] cannot be given; New with a struct for the arguments takes one.
func Wrap2[A, B, R any](fn func(context.Context, A, B) (R, error), opts ...Option) func(context.Context, A, B) (R, error) {
	notNil(fn == nil, "Wrap2")
	f := build(function.FuncName(fn), func(ctx context.Context, p pair[A, B]) (R, error) { return fn(ctx, p.first, p.second) }, opts)
	return func(ctx context.Context, a A, b B) (R, error) { return f.Call(ctx, pair[A, B]{a, b}) }
}

// Wrap3 is [Wrap] for a function of three arguments, which together are the key.
// [KeyFunc] cannot be given; New with a struct for the arguments takes one.
func Wrap3[A, B, C, R any](fn func(context.Context, A, B, C) (R, error), opts ...Option) func(context.Context, A, B, C) (R, error) {
	notNil(fn == nil, "Wrap3")
	f := build(function.FuncName(fn), func(ctx context.Context, t triple[A, B, C]) (R, error) { return fn(ctx, t.first, t.second, t.third) }, opts)
	return func(ctx context.Context, a A, b B, c C) (R, error) { return f.Call(ctx, triple[A, B, C]{a, b, c}) }
}

// Pure is [Wrap] for a function that needs no context and cannot fail. Its
// results stay in this process: Pure panics when given [Store], and does not
// use a default one.
//
// fn runs in the goroutine of the call that executes, unless that is a refresh in the
// background or [SoftTimeout] may end the wait for it; what [runtime.Goexit] ends is that
// goroutine. [LoadTimeout] does not apply, since fn has no context to be told by. Nor is a
// fn found out that calls its memoized self with its own argument: it waits for
// ever, where without memo it would run for ever. An argument that has no key
// (see [KeyError]) is not remembered: fn is run.
func Pure[A, R any](fn func(A) R, opts ...Option) func(A) R {
	notNil(fn == nil, "Pure")
	if function.Resolve(listOf(opts)).Store != nil {
		panic("memo: Pure(" + function.FuncName(fn) + ") was given a Store, but a pure function's results stay in the process; use Wrap, or leave Store out")
	}
	f := build(function.FuncName(fn), func(_ context.Context, a A) (R, error) { return fn(a), nil }, append(slices.Clone(opts), Store(nil), LoadTimeout(0)))
	f.core.Inline = true
	return func(a A) R {
		r, err := f.Call(context.Background(), a)
		if err == nil {
			return r
		}
		if unkeyed := new(*KeyError); errors.As(err, unkeyed) {
			return fn(a)
		}
		panic(err) // ErrGoexit: fn has no errors of its own
	}
}

type pair[A, B any] struct {
	first  A
	second B
}

type triple[A, B, C any] struct {
	first  A
	second B
	third  C
}

func (pair[A, B]) Several()      {}
func (triple[A, B, C]) Several() {}

func notNil(isNil bool, name string) {
	if isNil {
		panic("memo: " + name + "(nil): there is no function to remember; give one")
	}
}

// A Func is a memoized function together with its cache: for whoever wants not
// only to call it but also to look inside, prime, refresh or invalidate.
//
// All methods are safe for concurrent use. A Func needs no Close: it owns no
// goroutine, only executions that end by themselves.
type Func[A, R any] struct {
	core     *engine.Cache // function's
	function *function.Function
	fn       func(context.Context, A) (R, error)
	plan     *keys.Plan       // how an argument becomes a key
	keyFunc  func(A) string   // in place of plan, if not nil
	copier   *keys.Copier     // of A; nil where nothing has to be copied
	calls    function.Options // what With was given
	policy   atomic.Pointer[function.Policy]
}

// New makes a memoized function of fn.
//
// Two calls are the same call when their arguments are deeply equal by value, or
// as [KeyFunc] says. A result is fresh for [TTL]; what happens after that, and
// how much is held, is said by the other options. Results are shared between
// callers, who must treat them as read-only unless [Clone] is given.
//
// An execution of fn has a goroutine of its own. It runs under the values of the
// context of the call that caused it, but not under its cancellation: every
// caller waits under their own context and may leave alone, and the execution
// is cancelled when the last one has left, or after [LoadTimeout]. fn gets a copy of
// what the key covers of the argument, since it may read that when the call has
// returned and its caller changes it; pointers lead to copies. Errors of fn
// reach the callers as they are. A panic of fn reaches every caller as a panic
// with a *[PanicError].
//
// A result that can be used only once is nothing to share: a reader, a channel, an
// iterator, a context, the rows of a query, a transaction, or what has one of these in
// an element or in a field that callers see. New refuses such an R unless Clone is
// given; the fields of types with a lock, and unexported ones of types with methods,
// are not looked at, since clients and pools are results like any other. Where R hides
// it in an interface, it is found when fn returns it: the caller that executed gets it,
// nothing keeps it, the others execute for themselves, and it is logged once.
//
// New panics with a sentence that says what to change when fn is nil, when A
// cannot be a key, when R can be used only once, when options were given for other
// types than A and R, or
// when there is a shared store without a [Name], with the name of another
// function, or with a codec that would lose a part of R.
func New[A, R any](fn func(context.Context, A) (R, error), opts ...Option) *Func[A, R] {
	notNil(fn == nil, "New")
	return build(function.FuncName(fn), fn, opts)
}

// build makes the Func of fn, which is nil for a Batch. name is the runtime's name of the
// user's function.
func build[A, R any](name string, fn func(context.Context, A) (R, error), opts []Option) *Func[A, R] {
	own := listOf(opts)
	f := &Func[A, R]{function: function.New(name, own, function.SignatureOf[A, R]()), fn: fn}
	f.core = f.function.Cache
	s := f.function.Settings(nil)
	if f.keyFunc = function.Typed[func(A) string]("KeyFunc", f.core.Label, s.KeyFunc); f.keyFunc == nil {
		var err error
		if f.plan, err = keys.For(reflect.TypeFor[A]()); err != nil {
			panic(f.function.Refusal(err))
		}
	}
	f.copier = keys.CopierOf(reflect.TypeFor[A](), f.keyFunc != nil)
	f.function.Made = function.WhereMade()
	f.core.Batched = fn == nil
	f.function.Register(&s) // the last thing that may fail: a New that panics has no name
	f.function.Enlist()
	return f
}

// Call returns fn's result for a: a remembered one if it is fresh, or one that
// the stale windows allow; otherwise that of an execution, which it starts or
// joins.
//
// If ctx ends first, Call returns ctx.Err(). A fresh result is returned whatever
// the state of ctx. Besides fn's own errors it can return *[KeyError],
// [ErrRecursive], [ErrGoexit] and, when fn outlasts its [LoadTimeout], an error
// that matches [context.DeadlineExceeded].
func (f *Func[A, R]) Call(ctx context.Context, a A) (R, error) {
	if p := f.policy.Load(); p != nil && p.Direct && function.MarksOf(ctx) == nil {
		var buf keys.Buffer
		if key, buffer, err := f.key(&buf, &a); err == nil {
			e := f.core.Hit(key)
			keys.Release(buffer)
			if e != nil {
				return *(*R)(e.Value), e.Err()
			}
		}
	}
	return f.call(ctx, a)
}

// call is Call where a look at the entry alone does not do.
func (f *Func[A, R]) call(ctx context.Context, a A) (R, error) {
	p := f.settled().Under(ctx)
	if p.Off(ctx) {
		return f.bypass(ctx, p, a)
	}
	var buf keys.Buffer
	key, buffer, err := f.key(&buf, &a)
	if err != nil {
		return zero[R](), err
	}
	defer keys.Release(buffer)
	e, v := f.core.Look(ctx, &p.Config, key)
	if v == fresh.Fresh || v == fresh.BackingOff {
		return f.unwrap(ctx, p, e, false)
	}
	ctx = p.Lend(ctx)
	if v.Answers() {
		f.core.RefreshInBackground(ctx, &p.Config, e, f.execution(a))
		return f.unwrap(ctx, p, e, false)
	}
	return f.finish(ctx, p, f.core.Load(ctx, &p.Config, f.execution(a).look(strings.Clone(key), e, v)), true)
}

// Refresh runs fn for a now, whatever is held, keeps the result as Call does and
// returns it. If fn fails, Refresh returns its error and what is held stays.
//
// An execution that is already under way began too early to count. Refresh waits
// for its end first, so that there is one at a time; concurrent Refreshes that
// wait for the same one share the next.
func (f *Func[A, R]) Refresh(ctx context.Context, a A) (R, error) {
	p := f.settled()
	if p.Off(ctx) {
		return f.bypass(ctx, p, a)
	}
	key, err := f.ownKey(&a)
	if err != nil {
		return zero[R](), err
	}
	return f.finish(ctx, p, f.core.Refresh(p.Lend(ctx), &p.Config, f.execution(a).look(key, nil, fresh.Unusable)), true)
}

// A job is a call of fn.
type job[A, R any] struct {
	f     *Func[A, R]
	a     A
	owned bool // a is a copy

	search engine.Search // of the call, where it needs one
}

// look returns the call's search for a result under key, which has found e.
func (j *job[A, R]) look(key string, e *entry.Entry, v fresh.Verdict) *engine.Search {
	return j.search.Begin(key, j, e, v)
}

// execution is not inlined, so that a is moved to the heap where fn is to be run
// and not where a result is merely looked up.
//
//go:noinline
func (f *Func[A, R]) execution(a A) *job[A, R] { return &job[A, R]{f: f, a: a} }

func (j *job[A, R]) Own(key string) {
	if !j.owned {
		j.owned = true
		j.f.own(&j.a, key)
	}
}

func (j *job[A, R]) Run(ctx context.Context) (any, error) {
	r, err := j.f.fn(ctx, j.a)
	return &r, err
}

func (j *job[A, R]) Abstain() {}

func (j *job[A, R]) Counted() bool { return false }

func (j *job[A, R]) AppendArgs(b []byte, key string) []byte { return j.f.appendArgs(b, key, &j.a) }

// appendArgs appends the last part of the shared key of a, whose canonical form is key.
func (f *Func[A, R]) appendArgs(b []byte, key string, a *A) []byte {
	if f.keyFunc != nil {
		return keys.AppendText(b, key)
	}
	return f.plan.AppendArgs(b, key, unsafe.Pointer(a))
}

// bypass runs fn in the caller's goroutine. What fn says about its result has no
// result to apply to, but its tags are still those of what it returns.
func (f *Func[A, R]) bypass(ctx context.Context, p *function.Policy, a A) (R, error) {
	return runBypassing(ctx, f.core, p, func(ctx context.Context) (R, error) { return f.fn(ctx, a) })
}

// finish returns what a call came back with; waited says that it was no mere hit.
func (f *Func[A, R]) finish(ctx context.Context, p *function.Policy, out engine.Outcome, waited bool) (R, error) {
	switch {
	case out.Panicked != nil:
		panic((*PanicError)(out.Panicked).asRaised())
	case out.Err != nil:
		return zero[R](), out.Err
	case out.Entry.Value == nil:
		return zero[R](), out.Entry.Err()
	}
	return f.unwrap(ctx, p, out.Entry, waited)
}

// unwrap returns the result that e holds to a call under ctx; waited as for finish.
func (f *Func[A, R]) unwrap(ctx context.Context, p *function.Policy, e *entry.Entry, waited bool) (R, error) {
	r := *(*R)(e.Value)
	if p.Clone == nil || !e.Kept() {
		return r, e.Err()
	}
	clone := p.Clone.(func(R) R)
	if !waited && !f.core.Copying.Look(ctx) {
		return clone(r), e.Err()
	}
	r, err := cloned(ctx, f.core, e.Key, clone, r)
	if err == nil {
		err = e.Err()
	}
	return r, err
}

// cloned makes a copy of a result of key, by clone, in a call under ctx. It returns
// ErrRecursive if the call was made by what makes a copy of the same result.
func cloned[R any](ctx context.Context, c *engine.Cache, key string, clone func(R) R, r R) (R, error) {
	done, err := c.Copying.Note(ctx, key)
	if err != nil {
		return zero[R](), err
	}
	defer done()
	return clone(r), nil
}

func zero[R any]() (r R) { return r }

// With returns a Func for the same cache under another policy: opts are laid over
// what the function has, for the calls made through the returned Func only. To
// make one is cheap enough to do for a single call:
//
//	f.With(memo.TTL(time.Second)).Call(ctx, a)
//
// With panics when an option was given for another type than R.
func (f *Func[A, R]) With(opts ...CallOption) *Func[A, R] {
	w := &Func[A, R]{core: f.core, function: f.function, fn: f.fn, plan: f.plan, keyFunc: f.keyFunc, copier: f.copier}
	w.calls = slices.Clip(f.calls)
	for _, o := range opts {
		w.calls = append(w.calls, o)
	}
	if f.policy.Load() != nil {
		w.settled()
	} else {
		f.function.Check(w.calls)
	}
	return w
}

// settled returns the policy of the calls through f.
func (f *Func[A, R]) settled() *function.Policy {
	if p := f.policy.Load(); p != nil && p.Current() {
		return p
	}
	f.function.Settle()
	p := f.function.Policy
	if len(f.calls) > 0 {
		p = f.function.Derive(f.calls)
	}
	f.policy.Store(p)
	return p
}

// Peek returns what is held for a, without running fn, counting a hit or
// refreshing anything. It returns [ErrMiss] when nothing is held, or nothing
// that the freshness and the stale windows allow to be used. For a remembered
// error it returns that error.
func (f *Func[A, R]) Peek(ctx context.Context, a A) (Entry[R], error) {
	p := f.settled().Under(ctx)
	var buf keys.Buffer
	key, buffer, err := f.key(&buf, &a)
	if err != nil {
		return Entry[R]{}, err
	}
	defer keys.Release(buffer)
	if p.Off(ctx) {
		return Entry[R]{}, ErrMiss
	}
	e, v := f.core.Find(&p.Config, key, clock.Precise())
	if v == fresh.Unverified || v == fresh.Unusable && f.core.Shared != nil {
		e, v = f.core.Peek(ctx, &p.Config, f.execution(a).look(strings.Clone(key), e, v))
	}
	if v == fresh.Unusable || v == fresh.Unverified {
		return Entry[R]{}, ErrMiss
	}
	e.Propagate(ctx)
	r, err := f.unwrap(ctx, p, e, false)
	stale := v != fresh.Fresh && v != fresh.Early && clock.Now() >= e.Fresh
	return entryOf(e, r, stale), err
}

// Set keeps r for a, as if fn had just returned it. An execution for a that is
// under way is older than r: those who wait for it get its result, and nobody
// else does.
//
// [CacheIf] is not asked. With a TTL of zero, r is not kept, but what was held
// is dropped. An r that holds something which can be used only once (see [New]) is
// an error, and what was held stays. In a shared store Set reaches the same as
// [Func.Invalidate]: other releases execute for themselves.
func (f *Func[A, R]) Set(ctx context.Context, a A, r R) error {
	p := f.settled()
	key, err := f.ownKey(&a)
	if err != nil || p.Off(ctx) {
		return err
	}
	if p.Clone != nil {
		if r, err = cloned(ctx, f.core, key, p.Clone.(func(R) R), r); err != nil {
			return err
		}
	}
	if err := f.core.UsedUp(&p.Config, &r); err != nil {
		return fmt.Errorf("memo: %s: Set: %w", f.core.Label, err)
	}
	if p.Off(ctx) {
		return nil
	}
	return function.Told(ctx, f.core.Put(p.Lend(ctx), &p.Config, key, f.execution(a), &r))
}

// Invalidate drops what is held for args. After it has returned, no call that
// begins later returns a result whose execution began before it. An execution
// that is under way is not stopped: those who wait for it get its result, nobody
// else does, and it is not kept.
//
// In a shared store it reaches every function of the name, in every process and
// release, whatever its [Version], its results' shape and its group. It takes two
// round trips, however many args there are. Where another release in use writes
// arguments in another way (A has other fields, or a [KeyFunc] came or went), its
// keys cannot be told: then the whole function is cleared, and the other release
// sees that as it sees [Func.Clear].
//
// A store that cannot be told within [StoreTimeout] yields an error, and is told as
// soon as it can be; until then this process does not read those keys from it.
//
// An argument that has no key yields a *[KeyError]; the others are invalidated
// all the same.
func (f *Func[A, R]) Invalidate(ctx context.Context, args ...A) error {
	return f.change(ctx, args, f.core.Invalidate)
}

// Expire ends the freshness of what is held for args, now, in every process: it counts as past
// its TTL, and is used as long as [StaleWhileRevalidate] and [StaleIfError] allow. What has no
// stale window is invalidated.
//
// An execution that is under way began before, and its result counts as invalidated, as
// [Func.Invalidate] says. So nothing that was made before Expire is fresh after it has
// returned.
//
// What Invalidate says of shared stores and of errors holds for Expire. It takes three round
// trips, and what it could not tell a store is invalidated instead. A result with a TTL of
// [Forever] is of use from then on for the longest stale window that f has.
func (f *Func[A, R]) Expire(ctx context.Context, args ...A) error {
	return f.change(ctx, args, f.core.Expire)
}

// change has what is held for args changed, by the engine, which takes their keys.
func (f *Func[A, R]) change(ctx context.Context, args []A, how func(context.Context, *entry.Config, []string, []string) error) error {
	p := f.settled()
	var keys, sharedKeys []string
	var errs []error
	for i := range args {
		key, err := f.ownKey(&args[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		keys = append(keys, key)
		if f.core.Shared != nil {
			sharedKeys = append(sharedKeys, f.core.SharedKey(key, f.execution(args[i])))
		}
	}
	return function.Told(ctx, errors.Join(append(errs, how(p.Lend(ctx), &p.Config, keys, sharedKeys))...))
}

// Clear drops everything that is held, with the guarantee of [Func.Invalidate]
// for every argument. It takes the same time however much is held.
//
// In a process without a shared store it returns nil.
func (f *Func[A, R]) Clear(ctx context.Context) error {
	p := f.settled()
	return function.Told(ctx, f.core.Clear(p.Lend(ctx), &p.Config))
}

// Key returns the key of a as a shared store sees it, for people who look into
// one:
//
//	prefix:name:version:epoch:args
//
// It is at most 250 bytes of printable ASCII without spaces. The arguments are
// legible where they are short and printable, and "#" with a SHA-256 in
// hexadecimal where they are not. The epochs themselves are in what is stored;
// in their place stands whose they are: "@" and the names of the groups that the
// function is in, or "-" outside of all groups.
//
// The error is a *[KeyError].
func (f *Func[A, R]) Key(a A) (string, error) {
	p := f.settled()
	key, err := f.ownKey(&a)
	if err != nil {
		return "", err
	}
	head := keys.Head(keys.Prefix(p.Prefix), f.core.Label, f.function.Version(&p.Settings), f.core.ScopeText())
	return shared.SharedKey(head, key, f.execution(a)), nil
}

// Stats returns the function's counters.
func (f *Func[A, R]) Stats() Stats {
	f.settled()
	return Stats(f.core.Stats())
}

// key returns the canonical form of a. text may lie in a's own memory, in buf, or
// in a larger buffer; it is valid until that is released.
func (f *Func[A, R]) key(buf *keys.Buffer, a *A) (text string, buffer []byte, err error) {
	switch {
	case f.keyFunc != nil:
		return f.keyFunc(*a), nil, nil
	case f.plan.Block > 0:
		return unsafe.String((*byte)(unsafe.Pointer(a)), f.plan.Block), nil, nil
	case f.plan.Op == keys.OpString: // alone, a string needs no length
		return *(*string)(unsafe.Pointer(a)), nil, nil
	}
	b, err := keys.Append(buf.Open(), f.plan, unsafe.Pointer(a), 0)
	if err != nil {
		keys.Release(b)
		return "", nil, keyError(f.function, err)
	}
	return unsafe.String(unsafe.SliceData(b), len(b)), b, nil
}

// ownKey returns the key of a in memory of its own.
func (f *Func[A, R]) ownKey(a *A) (string, error) {
	var buf keys.Buffer
	text, buffer, err := f.key(&buf, a)
	if err != nil {
		return "", err
	}
	defer keys.Release(buffer)
	return strings.Clone(text), nil
}

// own makes *a, a shallow copy of an argument whose canonical form is key, one that
// shares nothing with it.
func (f *Func[A, R]) own(a *A, key string) {
	if f.plan != nil && f.plan.Op == keys.OpString { // key is a copy already
		*(*string)(unsafe.Pointer(a)) = key
		return
	}
	f.copier.Own(unsafe.Pointer(a))
}
