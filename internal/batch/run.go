// Package batch makes the executions of one call of a batch together: the keys that this
// process is to execute go to fn in as few calls as there may be.
//
// It knows fn and the keys of one call. It must not know how results are looked up, or what
// becomes of them. A [Source] is fn, a [Run] the keys that go to it together, a [Job] the
// execution of one of them.
package batch

import (
	"context"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/internal/nested"
)

// A Source is the function of a batch, and what the executions of its keys need of it.
type Source[K comparable, V any] struct {
	Fn    func(context.Context, []K) (map[K]V, error)
	Cache *engine.Cache
	// Own makes a key, a shallow copy of what the caller gave, one that shares nothing with
	// that. text is its canonical form.
	Own func(key *K, text string)
	// AppendArgs is that of an engine.Execution of key.
	AppendArgs func(b []byte, text string, key *K) []byte
}

// A Run gathers those keys of one call whose executions this process is to
// make, and gives them to fn together. Every key has an execution of its own, which
// may turn out to have nothing to execute: another call, or another process, was
// faster. The run begins when that is decided for all.
type Run[K comparable, V any] struct {
	source *Source[K, V]
	policy *function.Policy

	mu    sync.Mutex
	open  int           // guarded by mu; jobs of which it is not decided whether they take part
	seats []*seat[K, V] // guarded by mu until open is zero
}

// A seat is a key that takes part in a run.
type seat[K comparable, V any] struct {
	key      K
	ctx      context.Context // of its execution
	done     chan struct{}   // closed when the fields below are set
	value    V
	err      error
	panicked *entry.PanicError
}

// NewRun makes a run in which that many jobs may take part.
func NewRun[K comparable, V any](s *Source[K, V], p *function.Policy, jobs int) *Run[K, V] {
	return &Run[K, V]{source: s, policy: p, open: jobs}
}

// GoWithout notes that so many of the jobs will not take part.
func (r *Run[K, V]) GoWithout(jobs int) {
	for range jobs {
		r.decide(nil)
	}
}

// decide notes that one more job takes part with a seat, or does not take part.
func (r *Run[K, V]) decide(s *seat[K, V]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s != nil {
		r.seats = append(r.seats, s)
	}
	if r.open--; r.open > 0 {
		return
	}
	for some := range Chunks(r.policy, len(r.seats)) {
		go r.execute(r.seats[some[0]:some[1]])
	}
}

// Chunks yields the bounds of the parts into which MaxBatch cuts n keys.
func Chunks(p *function.Policy, n int) iter.Seq[[2]int] {
	return func(yield func([2]int) bool) {
		size := n
		if p.MaxBatch > 0 {
			size = min(n, p.MaxBatch)
		}
		for from := 0; from < n; from += size {
			if !yield([2]int{from, min(from+size, n)}) {
				return
			}
		}
	}
}

// execute runs fn for some keys, however it ends.
func (r *Run[K, V]) execute(seats []*seat[K, V]) {
	keys := make([]K, len(seats))
	for i, s := range seats {
		keys[i] = s.key
	}
	contexts := make([]context.Context, len(seats))
	for i, s := range seats {
		contexts[i] = s.ctx
	}
	ctx, frame, cancel := nested.Together(contexts, r.policy.LoadTimeout)
	began := time.Now()
	var values map[K]V
	var panicked *entry.PanicError
	err := engine.ErrGoexit // unless fn returns or panics
	nested.Executing.Add(1)
	defer func() {
		if v := recover(); v != nil {
			panicked = &entry.PanicError{Value: v, Stack: debug.Stack()}
			err = panicked
		}
		nested.Executing.Add(-1)
		cancel()
		r.count(frame, time.Since(began), err)
		h := frame.Seal()
		for _, s := range seats {
			nested.Of(s.ctx).TakeOver(h)
			s.take(values, err, panicked)
		}
	}()
	values, err = r.source.Fn(ctx, keys)
}

// take hands on what fn came back with for the seat's key.
func (s *seat[K, V]) take(values map[K]V, err error, panicked *entry.PanicError) {
	defer close(s.done)
	v, ok := values[s.key]
	switch {
	case panicked != nil:
		s.panicked = panicked
	case ok:
		s.value = v
	case err != nil:
		s.err = err
	default:
		s.err = entry.ErrAbsent
	}
}

func (r *Run[K, V]) count(ctx context.Context, took time.Duration, err error) {
	c := r.source.Cache
	defer c.Survive(&r.policy.Config)
	c.CountExecution(ctx, &r.policy.Config, "", took, err)
}

// A Job is the execution of one key of a batch.
type Job[K comparable, V any] struct {
	In     *Run[K, V] // the run that it is to take part in; set before the execution is begun
	Search engine.Search

	source  *Source[K, V]
	policy  *function.Policy
	decided atomic.Bool // whether it takes part
	key     K
	owned   bool // key is a copy
}

// NewJob makes the job of key, under p.
func NewJob[K comparable, V any](s *Source[K, V], p *function.Policy, key K) *Job[K, V] {
	return &Job[K, V]{source: s, policy: p, key: key}
}

// Own is that of [engine.Execution].
func (j *Job[K, V]) Own(key string) {
	if !j.owned {
		j.owned = true
		j.source.Own(&j.key, key)
	}
}

// Run takes part in the call's run or, if that has begun without it, in one of its
// own.
func (j *Job[K, V]) Run(ctx context.Context) (any, error) {
	s := &seat[K, V]{key: j.key, ctx: ctx, done: make(chan struct{})}
	in := j.In
	if j.decided.Swap(true) {
		in = NewRun(j.source, j.policy, 1)
	}
	in.decide(s)
	<-s.done // also when ctx ends: what fn returns all the same counts, and LoadTimeout is the execution's to mind
	if s.panicked != nil {
		panic(entry.BatchPanic{PanicError: s.panicked})
	}
	return &s.value, s.err
}

// Abstain says that the job does not take part, unless that is decided already.
func (j *Job[K, V]) Abstain() {
	if !j.decided.Swap(true) {
		j.In.decide(nil)
	}
}

// Counted reports that the run counts its executions itself.
func (j *Job[K, V]) Counted() bool { return true }

// AppendArgs is that of [engine.Execution].
func (j *Job[K, V]) AppendArgs(b []byte, key string) []byte {
	return j.source.AppendArgs(b, key, &j.key)
}
