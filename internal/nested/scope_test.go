package nested

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func scopeOf(ctx context.Context) *Scope { return &Scope{Frame: Frame{Values: ctx}} }

// over notes when an execution was given up.
type over chan time.Time

func (o over) GiveUp() { o <- time.Now() }

type keyOfTest struct{}

func TestWhatIsMadeOfAScopeEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, leave := context.WithCancelCause(context.WithValue(t.Context(), keyOfTest{}, 7))
		s := scopeOf(caller)
		child, cancel := context.WithCancel(s)
		defer cancel()
		alone, cancelAlone := context.WithCancel(s)
		called, stopped := 0, context.AfterFunc(s, func() { t.Error("it was called all the same") })
		context.AfterFunc(s, func() { called++ })
		if cancelAlone(); alone.Err() == nil || child.Err() != nil || len(s.after) != 3 {
			t.Errorf("ended: %v, beside it: %v; %d of three more are there", alone.Err(), child.Err(), len(s.after))
		}
		if !stopped() {
			t.Error("there was nothing to stop")
		}
		leave(errors.New("the caller's"))
		if s.Err() != nil || child.Err() != nil || context.Cause(s) != nil || child.Value(keyOfTest{}) != 7 {
			t.Errorf("when the caller has left: %v, %v, cause %v", s.Err(), child.Err(), context.Cause(s))
		}
		s.Limit(time.Second, time.Second, make(over, 1))
		at, limited := child.Deadline()
		if left := time.Until(at); !limited || left != time.Second {
			t.Errorf("the deadline is in %v", left)
		}
		<-s.Done()
		synctest.Wait()
		for _, ctx := range []context.Context{s, child} {
			<-ctx.Done()
			if ctx.Err() != context.DeadlineExceeded || context.Cause(ctx) != context.DeadlineExceeded {
				t.Errorf("it ended with %v, for %v", ctx.Err(), context.Cause(ctx))
			}
		}
		s.End(context.Canceled)
		s.Lift()
		late := make(chan int)
		context.AfterFunc(s, func() { close(late) })
		<-late
		if s.Err() != context.DeadlineExceeded || called != 1 {
			t.Errorf("ended twice: %v; called %d times", s.Err(), called)
		}
	})
}

func TestWhoOutlastsTheGraceIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, lift := range []time.Duration{0, time.Second, 1500 * time.Millisecond, time.Hour} {
			s, o := scopeOf(t.Context()), make(over, 2)
			began := time.Now()
			s.Limit(time.Second, time.Second, o)
			time.Sleep(lift - time.Nanosecond)
			s.Lift()
			time.Sleep(time.Hour)
			if ended := s.Err() != nil; ended != (lift > time.Second) {
				t.Errorf("lifted after %v: %v", lift, s.Err())
			}
			if lift < time.Hour && len(o) != 0 || lift == time.Hour && (len(o) != 1 || (<-o).Sub(began) != 2*time.Second) {
				t.Errorf("lifted after %v, it was given up %d times", lift, len(o))
			}
		}
	})
}

// One that has fired may be on its way to end who has it by then. So nobody has it.
func TestATimerThatHasFiredIsNotUsedAgain(t *testing.T) {
	s, o := scopeOf(t.Context()), make(over, 1)
	s.Limit(time.Millisecond, time.Millisecond, o)
	fired := s.timer
	<-o
	s.Lift()
	for free := timers.Get(); free != nil; free = timers.Get() {
		if free == fired {
			t.Error("it is free to be used")
		}
	}
	s = scopeOf(t.Context())
	s.Limit(time.Hour, time.Hour, o)
	s.Lift() // so that there is one that nobody uses
	s = scopeOf(t.Context())
	s.Limit(time.Millisecond, time.Hour, o)
	if <-s.Done(); s.Err() != context.DeadlineExceeded {
		t.Errorf("a timer that was used before has ended it with %v", s.Err())
	}
	s.Lift()
}
