package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/store"
)

// A wire joins the buses of a case. It is the reference, as far as its fields are nil.
type wire struct {
	mu        sync.Mutex
	listeners []*listener

	publish   func(ctx context.Context, message []byte) error // before a message is sent
	subscribe func(ctx context.Context) error
	deliver   func(l *listener, message []byte, all []*listener) // in the place of l.receive
}

type listener struct {
	at      *end
	ctx     context.Context
	receive func([]byte)
}

// An end is a bus of one process.
type end struct{ *wire }

func (b *end) Publish(ctx context.Context, message []byte) error {
	if b.publish != nil {
		if err := b.publish(ctx, message); err != nil {
			return err
		}
	}
	b.mu.Lock()
	listeners := b.listeners
	b.mu.Unlock()
	for _, l := range listeners {
		switch {
		case b.deliver != nil:
			b.deliver(l, message, listeners)
		case l.ctx.Err() == nil:
			l.receive(bytes.Clone(message))
		}
	}
	return nil
}

func (b *end) Subscribe(ctx context.Context, receive func([]byte)) error {
	subscribe := context.Context.Err
	if b.subscribe != nil {
		subscribe = b.subscribe
	}
	if err := subscribe(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listeners = append(b.listeners, &listener{b, ctx, receive})
	return nil
}

func (b *wire) ends() []store.Bus { return []store.Bus{&end{b}, &end{b}} }

func TestRunBusFindsNothingWrongWithTheReference(t *testing.T) {
	RunBus(t, func(*testing.T, int) []store.Bus { return new(wire).ends() })
}

// live delivers to the subscriptions that have not ended.
func live(deliver func(l *listener, message []byte)) *wire {
	return &wire{deliver: func(l *listener, message []byte, _ []*listener) {
		if l.ctx.Err() == nil {
			deliver(l, message)
		}
	}}
}

var brokenBuses = []struct {
	breaks   string
	new      func() *wire
	caughtBy []string
}{
	{"delivers nothing", func() *wire { return live(func(*listener, []byte) {}) }, []string{"received", "kept", "ended", "concurrent"}},
	{"cuts messages off", func() *wire {
		return live(func(l *listener, m []byte) { l.receive(m[:min(len(m), 4096)]) })
	}, []string{"received"}},
	{"ends messages at a space", func() *wire {
		return live(func(l *listener, m []byte) { m, _, _ = bytes.Cut(m, []byte(" ")); l.receive(m) })
	}, []string{"received"}},
	{"has one subscription at a time", func() *wire {
		return &wire{deliver: func(l *listener, m []byte, all []*listener) {
			if l.ctx.Err() == nil && l == all[len(all)-1] {
				l.receive(m)
			}
		}}
	}, []string{"received"}},
	{"needs somebody who listens", func() *wire {
		w := new(wire)
		w.publish = func(context.Context, []byte) error {
			if len(w.listeners) == 0 {
				return errors.New("nobody")
			}
			return nil
		}
		return w
	}, []string{"nobody"}},
	{"keeps messages", func() *wire {
		var late [][]byte
		return live(func(l *listener, m []byte) {
			l.receive(bytes.Clone(m))
			for _, m := range late {
				l.receive(bytes.Clone(m))
			}
			late = append(late, m)
		})
	}, []string{"kept"}},
	{"changes messages", func() *wire {
		return live(func(l *listener, m []byte) { l.receive(bytes.Clone(m)); m[0] = '!' })
	}, []string{"kept"}},
	{"ends no subscription", func() *wire {
		return &wire{deliver: func(l *listener, m []byte, _ []*listener) { l.receive(bytes.Clone(m)) }}
	}, []string{"ended"}},
	{"ends all subscriptions with one", func() *wire {
		return &wire{deliver: func(l *listener, m []byte, all []*listener) {
			for _, any := range all {
				if any.ctx.Err() != nil {
					return
				}
			}
			l.receive(bytes.Clone(m))
		}}
	}, []string{"ended"}},
	{"subscribes without a context", func() *wire {
		return &wire{subscribe: func(context.Context) error { return nil }}
	}, []string{"context"}},
	{"knows no context", func() *wire {
		return &wire{publish: func(context.Context, []byte) error { time.Sleep(time.Minute); return nil }}
	}, []string{"context"}},
	{"takes no subscription", func() *wire {
		return &wire{subscribe: func(context.Context) error { return errors.New("none") }}
	}, []string{"received", "concurrent"}},
}

func TestRunBusReportsBusesThatBreakTheContract(t *testing.T) {
	caught := map[string]bool{}
	for _, b := range brokenBuses {
		t.Run(b.breaks, func(t *testing.T) {
			for _, name := range b.caughtBy {
				caught[name] = true
				for _, c := range busCases {
					if c.name == name && !failsWith(t, c, b.new().ends()) {
						t.Errorf("case %q passes with a bus that %s", name, b.breaks)
					}
				}
			}
		})
	}
	for _, c := range busCases {
		if !caught[c.name] {
			t.Errorf("case %q fails with none of the broken buses; add one that it is there to find", c.name)
		}
	}
}

// failsWith reports whether the case fails, in a bubble.
func failsWith(t *testing.T, c busCase, buses []store.Bus) (failed bool) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.run(r, buses)
		}()
		<-done
		r.mu.Lock()
		defer r.mu.Unlock()
		failed = len(r.messages) > 0
	})
	return failed
}
