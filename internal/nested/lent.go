package nested

import "context"

// A lentContext is a call's context for what may outlive the call: executions, and
// operations of a store that nobody waits for any longer. Its values are those that
// ContextFrom chose in the caller's goroutine, for the owner of the call's context may
// use that again for something else as soon as the call has returned. Its end is the
// call's, and is looked at only while the call waits.
type lentContext struct {
	context.Context                 // the caller's
	values          context.Context // ContextFrom's
	around          *Frame          // of the execution that makes the call, whatever ContextFrom makes of that
}

// Lend returns the context for what a call may leave behind, with the values that from, a
// function of ContextFrom, chooses; all if it is nil. It also says whose the call is if
// that is not in ctx, since a callback made it.
func Lend(ctx context.Context, from func(context.Context) context.Context) context.Context {
	if _, done := ctx.(*lentContext); done {
		return ctx
	}
	caller := callingBack()
	if from == nil && caller == nil {
		return ctx
	}
	l := &lentContext{Context: ctx, values: ctx, around: Of(ctx)}
	if caller != nil {
		l.around = &Frame{Execution: caller, forwards: l.around, sealed: true}
	}
	if from != nil {
		if l.values = from(ctx); l.values == nil {
			l.values = context.Background()
		}
	}
	return l
}

// Value returns the value of ContextFrom's context. No other execution is found by it
// than the one around the call.
func (l *lentContext) Value(key any) any {
	if key == (frameKey{}) {
		return l.around
	}
	return l.values.Value(key)
}
