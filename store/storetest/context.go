package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/seed-0226adef/memo/store"
)

var contextCases = []testCase{
	{
		name:     "canceled",
		contract: "with a context that is done, every method must return an error that wraps the context's, and do nothing",
		check: func(e *env) {
			ctx, cancel := context.WithCancelCause(e.ctx)
			cancel(errors.New("the reason"))
			e.doneContext(ctx, context.Canceled)
		},
	},
	{
		name:     "deadline passed",
		contract: "with a context whose deadline has passed, every method must return an error that wraps the context's, and do nothing",
		check: func(e *env) {
			ctx, cancel := context.WithDeadline(e.ctx, time.Now().Add(-time.Hour))
			defer cancel()
			e.doneContext(ctx, context.DeadlineExceeded)
		},
	},
	{
		name:     "outlived",
		contract: "what was written must outlive the context that it was written with",
		check: func(e *env) {
			ctx, cancel := context.WithCancel(e.ctx)
			_, value := newValue("")
			err := e.s.Set(ctx, "k", value, 0)
			cancel()
			if err != nil {
				e.fatalf("Set = %v, want nil", err)
			}
			e.outlast(0)
			e.want("k", value)
		},
	},
}

// doneContext checks every method with ctx, which is done with the error want.
func (e *env) doneContext(ctx context.Context, want error) {
	token, value := newValue("old")
	_, next := newValue("next")
	e.set("there", value, 0)

	_, err := e.s.Get(ctx, "there")
	e.wantErr("Get of a present key", err, want)
	_, err = e.s.Get(ctx, "absent")
	e.wantErr("Get of an absent key", err, want)
	e.wantErr("Set", e.s.Set(ctx, "there", next, 0), want)
	e.wantErr("Add to an absent key", e.s.Add(ctx, "absent", next, 0), want)
	e.wantErr("Add to a present key", e.s.Add(ctx, "there", next, 0), want)
	e.wantErr("Swap", e.s.Swap(ctx, "there", token, next, 0), want)
	e.wantErr("Delete", e.s.Delete(ctx, "there"), want)
	_, err = store.GetMulti(ctx, e.s, []string{"there"})
	e.wantErr("GetMulti", err, want)
	e.wantErr("Ping", store.Ping(ctx, e.s), want)
	e.wantErr("Set with a negative ttl", e.s.Set(ctx, "there", next, -1), want)

	e.want("there", value)
	e.wantAbsent("absent")
}
