package memo

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/internal/nested"
	"github.com/seed-0226adef/memo/store"
)

// An Option sets one thing about a memoized function and leaves everything else
// as it was. Options may be given, from the weakest to the strongest, to
// [SetDefault], [NewGroup] and [New] with its relatives; those that are also a
// [CallOption] may be given to [Func.With], which is stronger still. Within one
// list the later option wins.
//
// Constructors of options panic when a number is out of its range, with a
// sentence that gives the range.
type Option interface{ function.Option }

// A CallOption is an Option that may differ from call to call: it may be given
// to [Func.With] as well.
type CallOption interface {
	Option
	function.CallOption
}

// Options is a list of options that is itself an option, so that a team can name
// its policies:
//
//	var reports = memo.Options{memo.TTL(time.Hour), memo.StaleIfError(24 * time.Hour)}
//
// Its elements take effect where the list stands.
type Options []Option

// Apply is what makes it an option.
func (o Options) Apply(s *function.Settings) { listOf(o).Apply(s) }

// listOf returns the options in opts, those of lists among them too, in a list of its
// own: they are read again later, and a list may be appended to meanwhile.
func listOf[O Option](opts []O) function.Options {
	flat := make(function.Options, 0, len(opts))
	for _, o := range opts {
		if within, ok := any(o).(Options); ok {
			flat = append(flat, listOf(within)...)
		} else {
			flat = append(flat, o)
		}
	}
	return flat
}

type option func(*function.Settings)

func (o option) Apply(s *function.Settings) { o(s) }

type callOption func(*function.Settings)

func (o callOption) Apply(s *function.Settings) { o(s) }
func (callOption) PerCall(*function.Settings)   {}

// notNegative panics unless d is zero or more.
func notNegative(name string, d time.Duration) {
	if d < 0 {
		panic(fmt.Sprintf("memo: %s(%v): the duration must not be negative", name, d))
	}
}

// Forever is the duration that, as a [TTL] or by [SetTTL], keeps a result fresh until
// it is invalidated or evicted.
const Forever time.Duration = math.MaxInt64

// TTL sets how long a result is fresh, counted from the moment fn returned. The
// default is one minute.
//
//   - Zero keeps nothing, not even what was held before: it is older. Concurrent
//     calls still share one execution.
//   - [Forever] never expires; a negative d panics.
//   - Stores with a coarser clock round up: memcached and DynamoDB to a second.
//   - fn may set another one for a single result with [SetTTL].
//   - In [Func.With] it is also the oldest result that these calls accept as
//     fresh, whoever stored it.
//
// TTL may be given to [SetDefault], [NewGroup], [New] and [Func.With]; the last
// one wins.
func TTL(d time.Duration) CallOption {
	notNegative("TTL", d)
	return callOption(func(s *function.Settings) { s.TTL = d })
}

// Jitter shortens each TTL by a random part of up to f, so that results which
// were stored together do not expire together: with Jitter(0.1) a TTL of one
// minute lasts between 54 and 60 seconds. f ranges from 0, the default, to 1;
// anything else panics. [Forever] stays for ever.
//
// It may be given at every level.
func Jitter(f float64) CallOption {
	if !(f >= 0 && f <= 1) {
		panic(fmt.Sprintf("memo: Jitter(%v): the fraction must be between 0 and 1", f))
	}
	return callOption(func(s *function.Settings) { s.Jitter = f })
}

// StaleWhileRevalidate lets a call return the old result at once for d after its
// TTL, while one execution in the background replaces it (RFC 5861, section 3).
// The default, zero, lets no call do so; a negative d panics.
//
//   - A refresh that fails leaves the old result in place. From the second
//     failure in a row on, the next attempt waits: 250 ms, doubling to 30 s.
//   - The refresh runs under the values of the context of the call that caused
//     it, without its cancellation, bounded by [LoadTimeout].
//   - Both stale windows begin when the TTL ends; the longer one is how long an
//     old result is held.
//
// It may be given at every level; in [Func.With] it can shorten the window for
// reading, but not revive what was not held that long.
func StaleWhileRevalidate(d time.Duration) CallOption {
	notNegative("StaleWhileRevalidate", d)
	return callOption(func(s *function.Settings) { s.StaleWhileRevalidate = d })
}

// StaleIfError lets a call return the old result for d after its TTL when fn
// returns an error (RFC 5861, section 4). The default, zero, passes every
// error on; a negative d panics.
//
//   - Within [StaleWhileRevalidate]'s window no call waits for fn, so this
//     matters after that.
//   - From the second failure in a row on, calls return the old result without
//     running fn for a while: 250 ms, doubling to 30 s.
//   - A panic of fn is not an error: it reaches the caller.
//
// It may be given at every level; in [Func.With] it can shorten the window for
// reading, but not revive what was not held that long.
func StaleIfError(d time.Duration) CallOption {
	notNegative("StaleIfError", d)
	return callOption(func(s *function.Settings) { s.StaleIfError = d })
}

// EarlyRefresh refreshes a result in the background before it expires, with a
// probability that grows as expiry comes near and that begins earlier for a fn
// that takes longer (XFetch: Vattani, Chierichetti and Lowenstein, "Optimal
// Probabilistic Cache Stampede Prevention", VLDB 2015). The paper's optimum is
// a beta of 1; more refreshes earlier. Zero, the default, is off; a negative or
// infinite beta panics.
//
// It may be given at every level.
func EarlyRefresh(beta float64) CallOption {
	if !(beta >= 0) || math.IsInf(beta, 1) {
		panic(fmt.Sprintf("memo: EarlyRefresh(%v): beta must be zero (off) or a positive number; 1 is the usual choice", beta))
	}
	return callOption(func(s *function.Settings) { s.Beta = beta })
}

// SoftTimeout bounds how long a call with an old result in hand waits for fn:
// after d it returns the old one, if its window has not ended meanwhile, and fn
// goes on in the background and its result is kept. Zero, the default, waits for
// as long as it takes; a negative d panics.
//
// There is an old result only within a stale window, and within that of
// [StaleWhileRevalidate] no call waits for fn at all: SoftTimeout goes together
// with [StaleIfError].
//
// It may be given at every level.
func SoftTimeout(d time.Duration) CallOption {
	notNegative("SoftTimeout", d)
	return callOption(func(s *function.Settings) { s.SoftTimeout = d })
}

// LoadTimeout bounds one execution of fn: its context ends after d. The default
// is 30 seconds; zero sets no bound, and a negative d panics.
//
// A fn that goes on regardless of its context is given up shortly after d: its
// callers get an error that matches [context.DeadlineExceeded], its result is
// kept nowhere, and the next call runs fn anew.
//
// It may be given at every level.
func LoadTimeout(d time.Duration) CallOption {
	notNegative("LoadTimeout", d)
	return callOption(func(s *function.Settings) { s.LoadTimeout = d })
}

// ContextFrom sets which values are seen by what may outlive a call: an execution, a
// refresh in the background, and operations of a shared store that nobody waits for
// any longer. f gets the call's context and returns one with these values. The default,
// which a nil f restores, is the call's context itself.
//
// It is for contexts that their owner uses again when the call has returned, as web
// frameworks do with those that they pool: read later, such a context has another
// request's values, and reading it is a race. f takes what is needed while it is
// there:
//
//		memo.ContextFrom(func(ctx context.Context) context.Context {
//			return context.WithValue(context.Background(), tenantKey{}, ctx.Value(tenantKey{}))
//		})
//
//	  - f runs in the caller's goroutine, before the call returns, and only for calls
//	    that no held result answers. It may be called by several goroutines at once.
//	  - Only the values of what it returns count, not its end; nil has no values.
//	  - That a call is made within another execution is known all the same: tags go up
//	    and [ErrRecursive] is found whatever f leaves out.
//	  - With [Disabled] and [WithBypass] fn runs under the call's own context.
//
// It may be given at every level; the last one wins.
func ContextFrom(f func(context.Context) context.Context) CallOption {
	return callOption(func(s *function.Settings) { s.ContextFrom = f })
}

// CacheErrors remembers errors of fn for which match returns true for d, in this
// process only, and returns them to calls with the same key without running
// fn. By default none is remembered. A nil match stands for every error; a
// zero d remembers nothing, and a negative one panics.
//
//   - Where [StaleIfError] still holds an old result, callers get that instead.
//   - What fn returned when its callers had left, or after [LoadTimeout], is not
//     remembered.
//   - match runs once an execution, which waits for it: a call that match makes of the
//     function with the same argument gets [ErrRecursive], as one that fn makes does.
//
// It may be given at every level.
func CacheErrors(d time.Duration, match func(error) bool) CallOption {
	notNegative("CacheErrors", d)
	if match == nil {
		match = func(error) bool { return true }
	}
	return callOption(func(s *function.Settings) { s.ErrorTTL, s.ErrorMatch = d, match })
}

// CacheIf decides which results are kept: those for which keep returns true. The
// default keeps what came without an error. A result that is not kept still
// goes to everyone who waited for it; if it came without an error, what was held
// before is dropped, being older.
//
// If keep accepts a result that came with an error, both are remembered, in
// this process only, as any other result is. It is not asked about an error
// that came when the execution's context had ended: that says nothing about
// the argument. A nil keep restores the default.
//
// The execution waits for keep: a call that keep makes, in its own goroutine, of the
// function with the same argument gets [ErrRecursive], as one that fn makes does.
//
// R must be the function's result type: New and With panic otherwise.
//
// It may be given at every level.
func CacheIf[R any](keep func(R, error) bool) CallOption {
	if keep == nil {
		return callOption(func(s *function.Settings) { s.Keep = nil })
	}
	return callOption(func(s *function.Settings) { s.Keep = keep })
}

// Codec sets how results are written to a shared store; the default is
// [codec.JSON]. What is stored says with which codec it was written, so
// readers need not agree. A nil c panics.
//
// It may be given at every level. Without a shared store it does nothing.
func Codec(c codec.Codec) CallOption {
	if c == nil {
		panic("memo: Codec(nil): give one, such as codec.JSON")
	}
	return callOption(func(s *function.Settings) { s.Codec = c })
}

// Store sets the tier that a fleet shares. The default is none; a nil s, at a
// stronger level, takes the function out again. A function with a shared store
// needs a [Name], and a result type of which its codec loses nothing.
//
//   - A call that finds nothing usable in this process asks s; a result there is
//     as good as one of this process, and is kept here for [LocalTTL] at most.
//   - If there is none, one process of the fleet executes fn and stores the
//     result, for its TTL and the stale windows; the others wait for it.
//   - Invalidate, Clear and InvalidateTags hold for all processes: those of this
//     one when they have returned, for others within [LocalTTL] and one second
//     at most.
//   - A store that is slow, full, down or holds garbage never fails a call. It
//     delays one by no more than [StoreTimeout]; when three operations in a row
//     have failed it is left alone until it answers again. Errors that concern
//     one key ([store.ErrRefused]), or writes only ([store.ErrReadOnly]), do not count.
//
// Errors that [CacheErrors] or [CacheIf] remember stay in the process.
//
// s must be safe for concurrent use, and is not closed. Functions whose Store is
// the same value share its look-ups and its state.
//
// It may be given to [SetDefault], [NewGroup] and [New].
func Store(s store.Store) Option {
	return option(func(o *function.Settings) { o.Store = s })
}

// Bus has the processes that share a [Store] tell each other which results they have changed,
// so that copies elsewhere are dropped within milliseconds: for a store that cannot notify, such
// as memcached or DynamoDB. The default is none. A nil b, or one that == cannot compare, panics.
//
// A bus is a hint and lengthens nothing: while it fails, [LocalTTL] and the second of Clear and
// InvalidateTags bound what others see. One that fails delays no call. What a function is given
// goes for all functions with its Store and [Prefix]. A function that is given a Bus and has no
// Store panics at its first use; one of a group or of SetDefault does nothing there.
//
// It may be given to [SetDefault], [NewGroup] and [New].
func Bus(b store.Bus) Option { return function.Bus(b) }

// Local bounds the function's in-process tier by the number of results. The
// default is 10,000. n below one panics: NoLocal is how to hold none.
//
// Which results stay is decided by W-TinyLFU, by how often and how recently each
// was asked for. The bound may be passed by a few for a moment.
//
// It may be given to [SetDefault], [NewGroup] and [New]; the later of Local,
// [LocalBytes] and [NoLocal] wins.
func Local(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("memo: Local(%d): the number of entries must be at least 1; NoLocal() holds none", n))
	}
	return option(func(s *function.Settings) { s.Entries, s.Bytes, s.NoLocal = n, 0, false })
}

// LocalBytes bounds the function's in-process tier by the memory that it takes of the
// heap, in bytes, to within a quarter. n below one panics.
//
// A result weighs its key, its value and some 450 bytes for being held, each as the
// allocator rounds it. The value is weighed once, when it is stored. Those of type
// []byte and string are weighed exactly, others by an estimate:
//
//   - the value's own memory and that of whatever its exported fields, elements and
//     pointers lead to, for up to 1,000 parts; the elements of a slice or map that are
//     left then count like those before them;
//   - unexported fields count without what they lead to, and what is reached twice
//     counts twice;
//   - fields beside a sync.Mutex or sync.RWMutex are looked at under that lock, which
//     is not waited for. If it is taken, or the lock is of another kind, they count
//     without what they lead to.
//
// It may be given to [SetDefault], [NewGroup] and [New]; the later of [Local],
// LocalBytes and [NoLocal] wins.
func LocalBytes(n int64) Option {
	if n < 1 {
		panic(fmt.Sprintf("memo: LocalBytes(%d): the size must be at least 1; NoLocal() holds nothing", n))
	}
	return option(func(s *function.Settings) { s.Bytes, s.NoLocal = n, false })
}

// NoLocal holds no results in this process. Concurrent calls with one key still
// share one execution.
//
// It may be given to [SetDefault], [NewGroup] and [New]; the later of [Local],
// [LocalBytes] and NoLocal wins.
func NoLocal() Option {
	return option(func(s *function.Settings) { s.NoLocal = true })
}

// StoreTimeout bounds what a call waits for the shared store. The default is 250 ms;
// zero sets no bound but that of the call's context, and a negative d panics.
// Without a shared store it does nothing.
//
// With zero, what a call has asked goes on when the call has left, until the
// store's client returns, and others' look-ups may have to wait behind it: give
// that client timeouts of its own.
//
//   - A call whose look-up and lease fail or take longer goes on without the
//     store: it executes fn, and its result is kept in this process.
//   - A call whose result takes longer to store, before and after the execution
//     taken together, does not wait for that. The result is stored all the same, each
//     operation within d, however many are before it; the end of the call's context or
//     of [LoadTimeout] does not stop that. Results that nobody waits for any more take
//     up to 128 MiB for each store; what comes beyond that is not stored.
//   - The writes of a big batch wait for one another, sixteen being sent at a time.
//     While each ends within a thirty-second part of d that may take longer than d,
//     but not eight times as long.
//   - A result that a store in order does not hold in the end is logged, the first at
//     once and then one a minute.
//   - Invalidate, Clear and InvalidateTags that could not reach the store in
//     time, all their steps taken together, return an error, and are repeated in
//     the background.
//
// It may be given at every level.
func StoreTimeout(d time.Duration) CallOption {
	notNegative("StoreTimeout", d)
	return callOption(func(s *function.Settings) { s.StoreTimeout = d })
}

// LocalTTL sets the longest that this process trusts its own copy of a result
// that lives in a shared store, without asking the store again. The default is
// 10 s with a store that notifies of changes and 1 s with one that cannot; zero
// asks every time, and a negative d panics. Without a shared store it does
// nothing.
//
//   - While a store that notifies has lost its connection, every call asks.
//   - Results that could not be stored are kept in the process for LocalTTL.
//   - A copy that is older is not used for [StaleIfError] either, while the
//     store cannot be asked.
//   - Clear and InvalidateTags of other processes are seen within one second,
//     however long LocalTTL is.
//
// It may be given at every level.
func LocalTTL(d time.Duration) CallOption {
	notNegative("LocalTTL", d)
	return callOption(func(s *function.Settings) { s.LocalTTL = d })
}

// MaxAge lets calls use no result that is older than d, whatever its TTL and the stale windows
// allow: executed longer ago than that, here or in another process. Older ones are executed
// anew; they stay for others. It is for the call that has to know more exactly:
//
//	balance.With(memo.MaxAge(time.Second)).Call(ctx, account)
//
// Zero is for what the store has confirmed now, whatever its age: neither a copy in this
// process is used nor an epoch that was read before, so that what another process has
// invalidated is not returned, notification or not. Without a shared store it executes.
//
// A negative d panics. It may be given at every level, but is meant for [Func.With]; for all
// functions that one request goes through there is [WithMaxAge], and the smaller of the two
// counts.
func MaxAge(d time.Duration) CallOption {
	notNegative("MaxAge", d)
	return function.MaxAge(d)
}

// MaxBatch bounds how many keys a [Batch] gives to one execution of fn: more are
// split, and executed concurrently, each part under a context with a
// [LoadTimeout] of its own. By default there is no bound; n below one panics. It
// does nothing for other functions.
//
// With [Disabled] and [WithBypass] the parts are executed one after the other, under the
// context of the call.
//
// It may be given to [SetDefault], [NewGroup] and [NewBatch].
func MaxBatch(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("memo: MaxBatch(%d): the number of keys must be at least 1; leave it out for no bound", n))
	}
	return option(func(s *function.Settings) { s.MaxBatch = n })
}

// CacheMissing remembers for d that fn of a [Batch] left a key out, so that the key
// is not asked for again. By default it is; zero restores that, and a negative
// d panics. What is remembered is shared, invalidated and tagged as values are,
// but has no stale windows. It does nothing for other functions.
//
// It may be given at every level, and to [NewBatch].
func CacheMissing(d time.Duration) CallOption {
	notNegative("CacheMissing", d)
	return callOption(func(s *function.Settings) { s.MissingTTL = d })
}

// Clone gives every caller a copy of its own, made by clone. By default callers
// share one result and must treat it as read-only. [Func.Set] keeps a copy of
// what it was given. A nil clone restores the default.
//
// What came with an error is not copied, unless [CacheIf] accepted it. A clone that
// calls the function for the very result that it copies would do so for ever, and gets
// [ErrRecursive], if not at the first such call then after some thousand.
//
// R must be the function's result type: New and With panic otherwise. It may be
// given at every level.
func Clone[R any](clone func(R) R) CallOption {
	if clone == nil {
		return callOption(func(s *function.Settings) { s.Clone = nil })
	}
	return callOption(func(s *function.Settings) { s.Clone = clone })
}

// InheritTTL lets a result live no longer than the memoized results it was made
// from are fresh, if on is true: those that fn got by calling other memoized
// functions with its own context. Its stale windows end then too. The default is
// false: only tags are taken over. See [Detached] for opting out of both.
//
// It may be given at every level; the last one wins.
func InheritTTL(on bool) CallOption {
	return callOption(func(s *function.Settings) {
		if on {
			nested.Inheritors.Store(true)
		}
		s.InheritTTL = on
	})
}

// Disabled makes the function behave as if it were not memoized, if off is true: calls
// run fn in the caller's goroutine under the caller's context, and neither look up nor
// join nor keep anything; [Func.Peek] finds nothing, [Func.Set] keeps nothing. With false
// it takes a weaker level's Disabled back. Invalidate and Clear always work.
//
// [WithBypass] does the same for whatever is called under one context.
//
// A SetDefault that gives it, or takes it back, takes effect at once, also for functions
// that have been used: no call that begins later returns what is held.
//
// It may be given at every level.
func Disabled(off bool) CallOption {
	return function.Disabled(off)
}

// Observe hands every event of the function to o; see [Event]. The default is
// none. A hit that is observed costs what o costs.
//
//   - Observers add up: each is told once, the weakest level's first. One that is
//     given again is not told twice, if it can be compared.
//   - A nil o removes all those that were given before it.
//
// It may be given at every level. Invalidations and Clear are told to the
// function's own observers, not to those of [Func.With].
func Observe(o Observer) CallOption {
	if o == nil {
		return callOption(func(s *function.Settings) { s.Observers = nil })
	}
	return callOption(func(s *function.Settings) { s.Observers = function.AddObserver(s.Observers, observerOf(o)) })
}

// Logger sets where memo reports what no caller sees, such as a background
// refresh that failed. The default is [slog.Default] at the time of the
// report. A nil l restores it.
//
// It may be given to [SetDefault], [NewGroup] and [New].
func Logger(l *slog.Logger) Option {
	return option(func(s *function.Settings) { s.Logger = l })
}
