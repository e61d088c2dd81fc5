package memo

import (
	"context"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo/internal/engine"
	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/nested"
)

// A batchRun gathers those keys of one call whose executions this process is to
// make, and gives them to fn together. Every key has a flight of its own, which
// may turn out to have nothing to execute: another call, or another process, was
// faster. The run begins when that is decided for all.
type batchRun[K comparable, V any] struct {
	batch  *Batch[K, V]
	policy *function.Policy

	mu    sync.Mutex
	open  int           // guarded by mu; jobs of which it is not decided whether they take part
	seats []*seat[K, V] // guarded by mu until open is zero
}

// A seat is a key that takes part in a run.
type seat[K comparable, V any] struct {
	key      K
	ctx      context.Context // of its flight
	done     chan struct{}   // closed when the fields below are set
	value    V
	err      error
	panicked *entry.PanicError
}

func newRun[K comparable, V any](b *Batch[K, V], p *function.Policy, jobs int) *batchRun[K, V] {
	return &batchRun[K, V]{batch: b, policy: p, open: jobs}
}

// decide notes that one more job takes part with a seat, or does not take part.
func (r *batchRun[K, V]) decide(s *seat[K, V]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s != nil {
		r.seats = append(r.seats, s)
	}
	if r.open--; r.open > 0 {
		return
	}
	for some := range chunks(r.policy, len(r.seats)) {
		go r.execute(r.seats[some[0]:some[1]])
	}
}

// chunks yields the bounds of the parts into which MaxBatch cuts n keys.
func chunks(p *function.Policy, n int) iter.Seq[[2]int] {
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
func (r *batchRun[K, V]) execute(seats []*seat[K, V]) {
	keys := make([]K, len(seats))
	for i, s := range seats {
		keys[i] = s.key
	}
	flights := make([]context.Context, len(seats))
	for i, s := range seats {
		flights[i] = s.ctx
	}
	ctx, frame, cancel := nested.Together(flights, r.policy.LoadTimeout)
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
	values, err = r.batch.fn(ctx, keys)
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

func (r *batchRun[K, V]) count(ctx context.Context, took time.Duration, err error) {
	c := r.batch.one.core
	defer c.Survive(&r.policy.Config)
	c.CountExecution(ctx, &r.policy.Config, "", took, err)
}

// A batchJob is the execution of one key of a batch.
type batchJob[K comparable, V any] struct {
	batch   *Batch[K, V]
	policy  *function.Policy
	in      *batchRun[K, V] // the run that it is to take part in
	decided atomic.Bool     // whether it does so
	key     K
	owned   bool // key is a copy
	search  engine.Search
}

func (j *batchJob[K, V]) Own(key string) {
	if !j.owned {
		j.owned = true
		j.batch.one.own(&j.key, key)
	}
}

// Run takes part in the call's run or, if that has begun without it, in one of its
// own.
func (j *batchJob[K, V]) Run(ctx context.Context) (any, error) {
	s := &seat[K, V]{key: j.key, ctx: ctx, done: make(chan struct{})}
	in := j.in
	if j.decided.Swap(true) {
		in = newRun(j.batch, j.policy, 1)
	}
	in.decide(s)
	<-s.done // also when ctx ends: what fn returns all the same counts, and LoadTimeout is the flight's to mind
	if s.panicked != nil {
		panic(entry.BatchPanic{PanicError: s.panicked})
	}
	return &s.value, s.err
}

func (j *batchJob[K, V]) Abstain() {
	if !j.decided.Swap(true) {
		j.in.decide(nil)
	}
}

// Counted reports that the run counts its executions itself.
func (j *batchJob[K, V]) Counted() bool { return true }

func (j *batchJob[K, V]) AppendArgs(b []byte, key string) []byte {
	if j.batch.one.keyFunc != nil {
		return keys.AppendText(b, key)
	}
	return j.batch.one.plan.AppendArgs(b, key, unsafe.Pointer(&j.key))
}
