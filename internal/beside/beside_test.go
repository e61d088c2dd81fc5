package beside_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/internal/beside"
	"github.com/seed-0226adef/memo/store"
)

// What a call leaves behind would be found here.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errCall = errors.New("of the call")

// contexts can end or not, and do not end here.
func contexts(t *testing.T) map[string]context.Context {
	return map[string]context.Context{"can end": t.Context(), "cannot end": context.Background()}
}

func TestDoReturnsWhatTheCallDoes(t *testing.T) {
	for name, ctx := range contexts(t) {
		value, err := beside.Do(ctx, func() (string, error) { return "value", errCall })
		if value != "value" || err != errCall {
			t.Errorf("%s: Do = %q, %v, want both of what the call returns", name, value, err)
		}
		if err := beside.Err(ctx, func() error { return errCall }); err != errCall {
			t.Errorf("%s: Err = %v, want what the call returns", name, err)
		}
	}
}

func TestCallIsNotMadeUnderAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := beside.Err(ctx, func() error { t.Error("the call was made"); return nil })
	if err != context.Canceled {
		t.Errorf("Err = %v, want %v", err, context.Canceled)
	}
}

func TestDoReturnsWhenTheContextEndsAndTheCallGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start, ended := time.Now(), false
		value, err := beside.Do(ctx, func() (string, error) {
			time.Sleep(time.Minute)
			ended = true
			return "late", nil
		})
		if value != "" || err != context.DeadlineExceeded {
			t.Errorf("Do = %q, %v, want nothing and %v", value, err, context.DeadlineExceeded)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Do took %v, want the second that the context has", took)
		}
		time.Sleep(time.Minute)
		synctest.Wait() // a goroutine that stayed would fail the bubble
		if !ended {
			t.Error("the call has not gone on to its end")
		}
	})
}

// Of two that are ready select picks any, so it takes some attempts to see.
func TestOutcomeIsWorthMoreThanTheEndOfTheContext(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			value, err := beside.Do(ended{ctx}, func() (string, error) { return "value", nil })
			if value != "value" || err != nil {
				t.Fatalf("Do = %q, %v, want the value", value, err)
			}
		})
	}
}

// An ended context has ended as soon as somebody waits for it, and everything that
// can run has run by then.
type ended struct{ context.Context }

func (e ended) Done() <-chan struct{} {
	synctest.Wait()
	done := make(chan struct{})
	close(done)
	return done
}

func TestContextThatCannotEndCostsNoGoroutine(t *testing.T) {
	var inside string
	_ = beside.Err(context.Background(), func() error {
		stack := make([]byte, 1<<16)
		inside = string(stack[:runtime.Stack(stack, false)])
		return nil
	})
	if !strings.Contains(inside, "TestContextThatCannotEndCostsNoGoroutine(") {
		t.Errorf("the call was made in another goroutine:\n%s", inside)
	}
}

func TestPanicOfTheCallIsAnError(t *testing.T) {
	for name, ctx := range contexts(t) {
		_, err := beside.Do(ctx, func() (string, error) { panic("makeslice: len out of range") })
		if err == nil || err.Error() != "the client panicked: makeslice: len out of range" {
			t.Errorf("%s: Do = %v, want the panic as an error", name, err)
		}
	}
}

func TestPanicThatNobodyWaitsForEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := beside.Err(ctx, func() error {
			time.Sleep(time.Minute)
			panic("late")
		})
		if err != context.DeadlineExceeded {
			t.Errorf("Err = %v, want %v", err, context.DeadlineExceeded)
		}
		time.Sleep(time.Minute)
	})
}

func TestFailedSaysWhoseErrorItIs(t *testing.T) {
	open := context.Background()
	canceled, cancel := context.WithCancel(open)
	cancel()
	overdue, cancelOverdue := context.WithDeadline(open, time.Now().Add(-time.Hour))
	defer cancelOverdue()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want string
		is   error // or nil
	}{
		{"nothing", canceled, nil, "", nil},
		{"an answer", canceled, store.ErrNotFound, store.ErrNotFound.Error(), store.ErrNotFound},
		{"another answer", canceled, store.ErrExists, store.ErrExists.Error(), store.ErrExists},
		{"a third answer", canceled, store.ErrConflict, store.ErrConflict.Error(), store.ErrConflict},
		{"the client's", open, errCall, "memo: x: get: of the call", errCall},
		{"the context's", canceled, context.Canceled, "memo: x: get: context canceled", context.Canceled},
		{"the client's at the end", canceled, errCall, "memo: x: get: of the call: context canceled", context.Canceled},
		{"the client's after the deadline", overdue, errCall, "memo: x: get: of the call: context deadline exceeded", context.DeadlineExceeded},
		{"the client's at the deadline", unnoticed{overdue}, errCall, "memo: x: get: of the call: context deadline exceeded", context.DeadlineExceeded},
	} {
		got := beside.Failed(test.ctx, "x", "get", test.err)
		switch {
		case test.want == "" && got != nil:
			t.Errorf("%s: Failed = %v, want nil", test.name, got)
		case test.want != "" && (got == nil || got.Error() != test.want || !errors.Is(got, test.is)):
			t.Errorf("%s: Failed = %v, want %q", test.name, got, test.want)
		}
	}
}

// An unnoticed context has not heard yet that its deadline has passed.
type unnoticed struct{ context.Context }

func (unnoticed) Err() error { return nil }
