package nested

import (
	"context"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
)

// A Scope is the context that an execution runs under. It has the values of its Frame, and
// ends when its owner says so or its limit has passed. It is a part of the execution's own
// memory, and it makes a channel only if fn asks for one, and takes a timer from those that
// others have left: most functions return before they need either.
type Scope struct {
	Frame

	ends  sync.Mutex
	done  chan struct{}        // guarded by ends; nil until somebody asks for it
	err   error                // guarded by ends
	limit time.Time            // guarded by ends; zero for none
	timer *timer               // guarded by ends; of limit
	after map[*func()]struct{} // guarded by ends; what contexts that were made of it want to be called
}

// An Overdue is told when an execution has outlasted its limit and what was granted beyond.
type Overdue interface{ GiveUp() }

// End ends the context. Only the first call does anything.
func (s *Scope) End(err error) {
	s.ends.Lock()
	if s.err != nil {
		s.ends.Unlock()
		return
	}
	s.err = err
	if s.done != nil {
		close(s.done)
	}
	after := s.after
	s.after = nil
	s.ends.Unlock()
	for f := range after {
		(*f)()
	}
}

func (s *Scope) Deadline() (deadline time.Time, ok bool) {
	s.ends.Lock()
	defer s.ends.Unlock()
	return s.limit, !s.limit.IsZero()
}

func (s *Scope) Done() <-chan struct{} {
	s.ends.Lock()
	defer s.ends.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.err != nil {
			close(s.done)
		}
	}
	return s.done
}

func (s *Scope) Err() error {
	s.ends.Lock()
	defer s.ends.Unlock()
	return s.err
}

// Value does not find what package context looks for to tell the cause of an end: that would
// be the caller's.
func (s *Scope) Value(key any) any {
	if key == causeKey {
		return nil
	}
	return s.Frame.Value(key)
}

func (s *Scope) String() string { return "memo.execution" }

// AfterFunc has f called when s ends, unless stop is called before. Package context uses it for
// the contexts that are made of s, instead of a goroutine for each, with functions that are
// quick: f is called by who ends s.
func (s *Scope) AfterFunc(f func()) (stop func() bool) {
	s.ends.Lock()
	defer s.ends.Unlock()
	if s.err != nil {
		go f()
		return func() bool { return false }
	}
	if s.after == nil {
		s.after = map[*func()]struct{}{}
	}
	s.after[&f] = struct{}{}
	return func() bool {
		s.ends.Lock()
		defer s.ends.Unlock()
		_, waits := s.after[&f]
		delete(s.after, &f)
		return waits
	}
}

// causeKey is what package context asks a context for that may know the cause of its end.
var causeKey = func() any {
	var asked keyOf
	context.Cause(&asked)
	return asked.key
}()

// A keyOf is a context that notes the key of the value that it was asked for.
type keyOf struct {
	context.Context
	key any
}

func (k *keyOf) Value(key any) any {
	k.key = key
	return nil
}

func (k *keyOf) Err() error { return context.Canceled }

// Limit has s end d from now. If Lift was not called then, after grace more, over is told.
// Nobody calls Lift before Limit has returned.
func (s *Scope) Limit(d, grace time.Duration, over Overdue) {
	now := time.Now()
	t := timerAt(now)
	s.ends.Lock()
	s.limit, s.timer = now.Add(d), t
	s.ends.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of, t.over, t.grace = s, over, grace
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.fire)
	} else {
		t.timer.Reset(d)
	}
}

// Lift takes the limit away: fn has returned.
func (s *Scope) Lift() {
	s.ends.Lock()
	t := s.timer
	s.timer = nil
	s.ends.Unlock()
	if t == nil {
		return
	}
	stopped := t.timer.Stop()
	t.mu.Lock()
	t.of, t.over, t.late = nil, nil, false
	t.mu.Unlock()
	if stopped && !t.bubbled { // otherwise it fires yet, or has
		timers.Put(t)
	}
}

// A timer is of one Scope at a time.
type timer struct {
	timer   *time.Timer // set before it is of one
	bubbled bool        // it was made in a bubble of synctest, and is good nowhere else

	mu    sync.Mutex
	of    *Scope        // guarded by mu; nil when the limit is lifted
	over  Overdue       // guarded by mu
	grace time.Duration // guarded by mu
	late  bool          // guarded by mu; the limit has passed, and the grace runs
}

// timers are those that nobody uses.
var timers sync.Pool

// timerAt returns a timer that is free, or a new one.
func timerAt(now time.Time) *timer {
	if clock.Bubbled(now) {
		return &timer{bubbled: true}
	}
	if t, ok := timers.Get().(*timer); ok {
		return t
	}
	return new(timer)
}

func (t *timer) fire() {
	t.mu.Lock()
	s, over, late := t.of, t.over, t.late
	if s != nil && !late {
		t.late = true
		t.timer.Reset(t.grace)
	}
	t.mu.Unlock()
	switch {
	case s == nil:
	case late:
		over.GiveUp()
	default:
		s.End(context.DeadlineExceeded)
	}
}
