package memotest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/memotest"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A store that is down is no reason for a call to fail.
func ExampleFaulty() {
	s := memotest.Faulty(memstore.New(nil))
	greeting := memo.New(func(_ context.Context, name string) (string, error) {
		return "Hello, " + name, nil
	}, memo.Name("greeting"), memo.Store(s))

	s.Fail(errors.New("connection refused"))
	fmt.Println(greeting.Call(context.Background(), "Ada"))
	// Output: Hello, Ada <nil>
}

func ExampleReset() {
	_ = func(t *testing.T) { // as a test
		memotest.Reset(t)
		doubled.Call(t.Context(), 21)
		doubled.Call(t.Context(), 21)
		memotest.WantExecutions(t, doubled, 1)
		memotest.WantHits(t, doubled, 1)
	}
}

func ExampleFleet() {
	_ = func(t *testing.T) { // as a test
		fleet := memotest.Fleet(t, 2, memstore.New(nil))
		double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
		here := memo.New(double, memo.Name("double"), memo.Store(fleet[0]))
		there := memo.New(double, memo.Name("double"), memo.Store(fleet[1]))
		here.Call(t.Context(), 21)
		there.Call(t.Context(), 21)
		memotest.WantExecutions(t, there, 0) // the other process has executed it
	}
}
