package faultstore

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Fault is done to a call. It may take its time, panic, or return the error that the
// call is to return; nil lets it go on.
type Fault func(ctx context.Context, c Call) error

// Fail makes calls return err.
func Fail(err error) Fault {
	return func(context.Context, Call) error { return err }
}

// Panic makes calls panic with v.
func Panic(v any) Fault {
	return func(context.Context, Call) error { panic(v) }
}

// Delay holds calls up for d, or until their context ends, whose error they then return.
func Delay(d time.Duration) Fault {
	return func(ctx context.Context, _ Call) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stall holds calls up for d, whatever becomes of their context.
func Stall(d time.Duration) Fault {
	return func(context.Context, Call) error {
		time.Sleep(d)
		return nil
	}
}

// Hang holds calls up until their context ends, whose error they return.
func Hang(ctx context.Context, _ Call) error {
	<-ctx.Done()
	return ctx.Err()
}

// Keys does f to those calls only that have part in one of their keys.
func Keys(part string, f Fault) Fault {
	return func(ctx context.Context, c Call) error {
		if !c.Has(part) {
			return nil
		}
		return f(ctx, c)
	}
}

// First does f to the first n calls only.
func First(n int64, f Fault) Fault {
	var calls atomic.Int64
	return func(ctx context.Context, c Call) error {
		if calls.Add(1) > n {
			return nil
		}
		return f(ctx, c)
	}
}

// A Gate holds calls up until it is opened, whatever becomes of their context.
// [Gate.Wait] is the fault.
type Gate struct {
	reached, opened chan struct{}
	once            sync.Once   // closes reached
	open            atomic.Bool // so that calls from outside of the gate's bubble go through
}

// NewGate returns a gate that is closed.
func NewGate() *Gate { return &Gate{reached: make(chan struct{}), opened: make(chan struct{})} }

// Wait is a fault that holds a call up.
func (g *Gate) Wait(context.Context, Call) error {
	g.once.Do(func() { close(g.reached) })
	if g.open.Load() {
		return nil
	}
	<-g.opened
	return nil
}

// Reached is closed when the first call is held up.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Open lets all calls go on, also those to come. It may be called once.
func (g *Gate) Open() {
	g.open.Store(true)
	close(g.opened)
}

// A Log notes the keys of calls. Its zero value is an empty one; [Log.Note] is the fault.
type Log struct {
	mu   sync.Mutex
	keys []string // guarded by mu
}

// Note is a fault that notes the keys of a call.
func (l *Log) Note(_ context.Context, c Call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = append(l.keys, c.Keys...)
	return nil
}

// Keys returns the keys so far, in order.
func (l *Log) Keys() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.keys)
}
