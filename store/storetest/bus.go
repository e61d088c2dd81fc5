package storetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/store"
)

// RunBus checks implementations of [store.Bus] against its contract. newBuses makes buses as n
// processes would have them: what is published on one reaches those who have subscribed at
// each. They are others in each case. It may skip or fail the subtest it is given, and clean
// up through it; cases run in parallel.
//
// Since a bus may lose messages, what has to arrive is published again until it does, for ten seconds.
// What a bus does when its connection is lost is not checked, nor that a subscription leaves
// no goroutine behind: an implementation tests those itself.
func RunBus(t *testing.T, newBuses func(t *testing.T, n int) []store.Bus) {
	t.Helper()
	for _, c := range busCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newBuses(t, 2))
		})
	}
}

type busCase struct {
	name     string
	contract string // see testCase
	check    func(*busEnv)
}

func (c busCase) run(t testing.TB, buses []store.Bus) {
	t.Helper()
	if len(buses) != 2 || buses[0] == nil || buses[1] == nil {
		t.Fatalf("newBuses(t, 2) returned %v; it must return two buses", buses)
	}
	c.check(&busEnv{env{t: t, ctx: t.Context(), contract: c.contract}, buses[0], buses[1]})
}

// busEnv is what a case works with: the buses of two processes.
type busEnv struct {
	env
	here, there store.Bus
}

var busCases = []busCase{
	{
		name:     "received",
		contract: "what is published must be received, as it was, by everybody who has subscribed, in the process of its sender too",
		check: func(e *busEnv) {
			first, second, own := e.subscribe(e.there), e.subscribe(e.there), e.subscribe(e.here)
			for _, message := range []string{"m", "memo1 with spaces ~!\"'%{}\\", strings.Repeat("0123456789", store.MaxMessage/10)} {
				e.publishUntil(message, func() bool { return first.got(message) && second.got(message) && own.got(message) })
			}
		},
	},
	{
		name:     "nobody",
		contract: "a message that nobody has subscribed to must be no error",
		check: func(e *busEnv) {
			if err := e.here.Publish(e.ctx, []byte("m")); err != nil {
				e.errorf("Publish without a subscription = %v, want nil", err)
			}
		},
	},
	{
		name:     "kept",
		contract: "Publish must neither modify the message nor retain it when it has returned",
		check: func(e *busEnv) {
			in := e.subscribe(e.there)
			message := []byte("first")
			e.eventually("the message is received", func() bool {
				copy(message, "first")
				if err := e.here.Publish(e.ctx, message); err != nil {
					e.fatalf("Publish = %v, want nil", err)
				}
				if !bytes.Equal(message, []byte("first")) {
					e.fatalf("Publish made %q of the message", message)
				}
				copy(message, "other")
				return in.got("first")
			})
			e.publishUntil("last", func() bool { return in.got("last") })
			if in.got("other") {
				e.errorf("received what the message was changed to after Publish had returned")
			}
		},
	},
	{
		name:     "ended",
		contract: "a subscription must end with its context, and leave others alone",
		check: func(e *busEnv) {
			ctx, cancel := context.WithCancel(e.ctx)
			var ended inbox
			if err := e.there.Subscribe(ctx, ended.receive); err != nil {
				e.fatalf("Subscribe = %v, want nil", err)
			}
			other := e.subscribe(e.there)
			e.publishUntil("before", func() bool { return ended.got("before") && other.got("before") })
			cancel()
			n := 0
			e.eventually("the subscription has ended", func() bool {
				n++
				message := fmt.Sprint("after ", n)
				e.publishUntil(message, func() bool { return other.got(message) })
				return !ended.got(message)
			})
		},
	},
	{
		name:     "context",
		contract: "both methods must return soon after their context has ended, and Subscribe with an error",
		check: func(e *busEnv) {
			ctx, cancel := context.WithCancel(e.ctx)
			cancel()
			begun := time.Now()
			var in inbox
			if err := e.here.Subscribe(ctx, in.receive); err == nil {
				e.errorf("Subscribe with a context that has ended = nil, want an error")
			}
			_ = e.here.Publish(ctx, []byte("m"))
			if took := time.Since(begun); took > 10*time.Second {
				e.errorf("with a context that has ended it took %v", took)
			}
		},
	},
	{
		name:     "concurrent",
		contract: "both methods must be safe for concurrent use",
		check: func(e *busEnv) {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					in := e.subscribe(e.there)
					message := fmt.Sprint("from ", i)
					e.publishUntil(message, func() bool { return in.got(message) })
				})
			}
			wg.Wait()
		},
	},
}

// An inbox is what a subscription has received.
type inbox struct {
	mu       sync.Mutex
	messages map[string]bool
}

func (in *inbox) receive(message []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.messages == nil {
		in.messages = map[string]bool{}
	}
	in.messages[string(message)] = true
}

func (in *inbox) got(message string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.messages[message]
}

// subscribe returns an inbox that is subscribed until the end of the case.
func (e *busEnv) subscribe(b store.Bus) *inbox {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.ctx))
	e.t.Cleanup(cancel)
	in := new(inbox)
	if err := b.Subscribe(ctx, in.receive); err != nil {
		e.errorf("Subscribe = %v, want nil", err)
	}
	return in
}

// publishUntil publishes message here until done returns true.
func (e *busEnv) publishUntil(message string, done func() bool) {
	e.t.Helper()
	for start, tries := time.Now(), 0; ; tries++ {
		if tries%50 == 0 { // twenty times a second
			if err := e.here.Publish(e.ctx, []byte(message)); err != nil {
				e.errorf("Publish of %s = %v, want nil", brief(message), err)
				return
			}
		}
		if done() {
			return
		}
		if time.Since(start) > 10*time.Second {
			e.errorf("%s has not arrived", brief(message))
			return
		}
		time.Sleep(time.Millisecond)
	}
}
