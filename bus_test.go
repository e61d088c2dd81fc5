package memo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A hub is a bus of tests: it hands each message to everybody who listens, its sender
// included, before Publish returns.
type hub struct {
	mu        sync.Mutex
	listeners map[*func([]byte)]bool
	published []string                    // every message so far
	fails     func(context.Context) error // what becomes of Publish and Subscribe; nil for nothing
}

func (h *hub) fail(ctx context.Context) error {
	h.mu.Lock()
	fails := h.fails
	h.mu.Unlock()
	if fails == nil {
		return nil
	}
	return fails(ctx)
}

func (h *hub) failWith(fails func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = fails
}

func (h *hub) Publish(ctx context.Context, message []byte) error {
	if err := h.fail(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	h.published = append(h.published, string(message))
	h.mu.Unlock()
	h.send(message)
	return nil
}

// send has everybody receive message.
func (h *hub) send(message []byte) {
	h.mu.Lock()
	var all []*func([]byte)
	for l := range h.listeners {
		all = append(all, l)
	}
	h.mu.Unlock()
	for _, receive := range all {
		(*receive)(message)
	}
}

func (h *hub) Subscribe(ctx context.Context, receive func([]byte)) error {
	if err := h.fail(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners == nil {
		h.listeners = map[*func([]byte)]bool{}
	}
	h.listeners[&receive] = true
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, &receive)
	})
	return nil
}

func (h *hub) listening() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.listeners)
}

// messages returns what was published since the last time.
func (h *hub) messages() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.published
	h.published = nil
	return all
}

// onBus is two processes that share a store and a bus. Both functions return version.
type onBus struct {
	t           *testing.T
	hub         *hub
	version     atomic.Int64
	stores      [2]*faultstore.Store // here and there
	groups      [2]*memo.Group
	here, there *memo.Func[string, int64]
	refuse      atomic.Bool // the next results are not to be kept
}

func newOnBus(t *testing.T, opts ...memo.Option) *onBus {
	p := &onBus{t: t, hub: new(hub)}
	read := func(ctx context.Context, _ string) (int64, error) {
		if p.refuse.Load() {
			memo.NoStore(ctx)
		}
		memo.AddTags(ctx, "added")
		return p.version.Load(), nil
	}
	s := memstore.New(nil)
	var funcs [2]*memo.Func[string, int64]
	for i := range funcs {
		p.stores[i] = faultstore.New(s)
		p.groups[i] = memo.NewGroup("g", append(memo.Options{memo.Store(p.stores[i]), memo.Bus(p.hub), memo.TTL(time.Hour),
			memo.StaleWhileRevalidate(time.Hour), memo.LocalTTL(time.Hour), quietly}, opts...))
		funcs[i] = memo.New(read, p.groups[i], memo.Name("read"))
	}
	p.here, p.there = funcs[0], funcs[1]
	for range 2 { // the first copy is from before the subscription
		p.want(p.here, 0)
		p.want(p.there, 0)
	}
	return p
}

// want calls f, and lets what that has begun in the background come to an end.
func (p *onBus) want(f *memo.Func[string, int64], want int64) {
	p.t.Helper()
	if got, err := f.Call(p.t.Context(), "x"); got != want || err != nil {
		p.t.Errorf("got %d, %v, want %d", got, err, want)
	}
	synctest.Wait()
}

// wantCopy checks that a call of f is answered from this process.
func (p *onBus) wantCopy(f *memo.Func[string, int64], want int64) {
	p.t.Helper()
	before := f.Stats().Hits
	if p.want(f, want); f.Stats().Hits != before+1 {
		p.t.Error("it was no hit in this process")
	}
}

// Of the change there, time does not tell, since none passes: neither LocalTTL, nor that of
// an epoch.
func TestBusDropsCopiesOfWhatOtherProcessesChange(t *testing.T) {
	for name, change := range map[string]func(p *onBus) error{
		"Invalidate":  func(p *onBus) error { return p.there.Invalidate(p.t.Context(), "x") },
		"Clear":       func(p *onBus) error { return p.there.Clear(p.t.Context()) },
		"group Clear": func(p *onBus) error { return p.groups[1].Clear(p.t.Context()) },
		"a tag":       func(p *onBus) error { return p.groups[1].InvalidateTags(p.t.Context(), "added") },
		"Set":         func(p *onBus) error { return p.there.Set(p.t.Context(), "x", 1) },
		"Refresh": func(p *onBus) error {
			_, err := p.there.Refresh(p.t.Context(), "x")
			return err
		},
		"a Refresh whose result is not kept": func(p *onBus) error {
			p.refuse.Store(true)
			_, err := p.there.Refresh(p.t.Context(), "x")
			return err
		},
		"a Refresh of what the store has lost": func(p *onBus) error {
			key, err := p.there.Key("x")
			if err == nil {
				err = p.stores[1].Delete(p.t.Context(), key)
			}
			if err == nil {
				_, err = p.there.Refresh(p.t.Context(), "x")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newOnBus(t)
				p.version.Store(1)
				p.wantCopy(p.here, 0)
				if err := change(p); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				p.want(p.here, 1)
			})
		})
	}
}

// Without a bus the other process would return its own old result, and refresh that.
func TestBusDropsCopiesOfWhatOtherProcessesRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOnBus(t, memo.TTL(time.Second))
		time.Sleep(2 * time.Second)
		p.version.Store(1)
		p.want(p.there, 0) // and is refreshed in the background
		p.want(p.here, 1)
	})
}

// What has expired may be returned while it is refreshed.
func TestBusTellsOfWhatHasExpired(t *testing.T) {
	for name, change := range map[string]func(p *onBus) error{
		"Expire":       func(p *onBus) error { return p.there.Expire(p.t.Context(), "x") },
		"group Expire": func(p *onBus) error { return p.groups[1].Expire(p.t.Context()) },
		"a tag":        func(p *onBus) error { return p.groups[1].ExpireTags(p.t.Context(), "added") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newOnBus(t)
				p.version.Store(1)
				p.wantCopy(p.here, 0)
				if err := change(p); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				p.want(p.here, 0)
				p.want(p.here, 1)
			})
		})
	}
}

func TestBusTellsOfInvalidationsThatReachTheStoreLate(t *testing.T) {
	for name, change := range map[string]func(p *onBus) error{
		"Invalidate": func(p *onBus) error { return p.there.Invalidate(p.t.Context(), "x") },
		"Clear":      func(p *onBus) error { return p.there.Clear(p.t.Context()) },
		"a tag":      func(p *onBus) error { return p.groups[1].InvalidateTags(p.t.Context(), "added") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newOnBus(t)
				p.version.Store(1)
				mend := p.stores[1].Down(errDown)
				if err := change(p); err == nil {
					t.Fatal("the invalidation has reached a store that is down")
				}
				synctest.Wait()
				if got := p.hub.messages(); len(got) > 0 {
					t.Errorf("published before the store knew: %q", got)
				}
				mend()
				time.Sleep(5 * time.Second) // in which the store is told
				drainBuses(t)
				synctest.Wait()
				if len(p.hub.messages()) == 0 {
					t.Error("nothing was published when the store knew")
				}
				p.want(p.here, 1)
			})
		})
	}
}

// An execution knows the group's counter before it begins. Of one that was read before the tag
// was invalidated its result, which gets the tag at its end, would not be stored.
func TestBusTellsOfTheCounterOfTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOnBus(t)
		if err := p.groups[1].InvalidateTags(t.Context(), "added"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.want(p.here, 0)
		before := p.there.Stats().Executions
		if p.want(p.there, 0); p.there.Stats().Executions != before {
			t.Error("the result was not stored")
		}
	})
}

func TestFirstResultsAreNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOnBus(t)
		if got := p.hub.messages(); len(got) > 0 {
			t.Errorf("published: %q", got)
		}
	})
}

func TestOwnMessagesLeaveOwnCopiesInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOnBus(t)
		if err := p.here.Set(t.Context(), "x", 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(p.hub.messages()) == 0 {
			t.Fatal("nothing was published")
		}
		p.wantCopy(p.here, 1)
	})
}

func TestCopyFromBeforeTheSubscriptionIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{fails: func(context.Context) error { time.Sleep(time.Second / 2); return nil }}
		s := faultstore.New(memstore.New(nil))
		f := memo.New(square, memo.Store(s), memo.Bus(h), memo.Name("f"), memo.LocalTTL(time.Hour))
		f.Call(t.Context(), 1)
		f.Call(t.Context(), 1)
		before := s.Count(faultstore.Get)
		time.Sleep(time.Second / 2)
		synctest.Wait()
		f.Call(t.Context(), 1)
		if got := s.Count(faultstore.Get) - before; got != 1 {
			t.Errorf("the store was asked %d times after the subscription had begun, want 1", got)
		}
		if f.Call(t.Context(), 1); s.Count(faultstore.Get)-before != 1 {
			t.Error("the copy from after that was not used")
		}
	})
}

// What is only Set is a copy too.
func TestResultsThatAreSetListenToTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(hub)
		f := memo.New(square, memo.Store(memstore.New(nil)), memo.Bus(h), memo.Name("f"))
		none := memo.New(square, memo.Store(faultstore.New(memstore.New(nil))), memo.Bus(h), memo.Name("f"), memo.NoLocal())
		if none.Set(t.Context(), 1, 1); h.listening() != 0 {
			t.Error("a function that holds nothing listens")
		}
		f.Set(t.Context(), 1, 1)
		if synctest.Wait(); h.listening() != 1 {
			t.Error("nobody listens")
		}
	})
}

func TestBusLengthensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOnBus(t, memo.LocalTTL(3*time.Second))
		lost := errors.New("lost")
		p.hub.failWith(func(context.Context) error { return lost })
		f := memo.New(square, memo.Store(p.stores[0]), memo.Bus(p.hub), memo.Name("square"), quietly)
		f.Call(t.Context(), 1)
		before := p.stores[0].Count(faultstore.Get)
		time.Sleep(time.Second)
		if f.Call(t.Context(), 1); p.stores[0].Count(faultstore.Get) != before+1 {
			t.Error("a copy was trusted for longer than the second of a store that cannot notify")
		}

		p.version.Store(1)
		if err := p.there.Invalidate(t.Context(), "x"); err != nil {
			t.Errorf("Invalidate = %v, want nil: the bus is only a hint", err)
		}
		time.Sleep(2 * time.Second)
		p.want(p.here, 1)
		if err := p.there.Clear(t.Context()); err != nil {
			t.Errorf("Clear = %v, want nil", err)
		}
		p.version.Store(2)
		time.Sleep(time.Second)
		p.want(p.here, 2)
	})
}

func TestBusThatFailsHoldsNobodyUp(t *testing.T) {
	for name, fails := range map[string]func(context.Context) error{
		"down":     func(context.Context) error { return errDown },
		"silent":   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"panics":   func(context.Context) error { panic("no client") },
		"deserted": func(context.Context) error { return fmt.Errorf("none here: %w", errors.ErrUnsupported) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				p := newOnBus(t, memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
				p.hub.failWith(fails)
				began := time.Now()
				for i := range 100 {
					if err := p.there.Set(t.Context(), "x", int64(i)); err != nil {
						t.Fatal(err)
					}
					if err := p.there.Invalidate(t.Context(), "x"); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("that took %v", took)
				}
				began = time.Now()
				drainBuses(t)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("Drain took %v", took)
				}
				if got := strings.Count(log.String(), "a bus does not publish"); got != 1 {
					t.Errorf("the failures were logged %d times, want once a minute:\n%s", got, log.String())
				}
			})
		})
	}
}

// drainBuses waits until buses have nothing left to publish. What other tests have left to be told
// to their stores does not count.
func drainBuses(t *testing.T) {
	t.Helper()
	for began := time.Now(); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		err := memo.Drain(ctx)
		cancel()
		if err == nil || strings.Contains(err.Error(), " 0 changes that a bus") {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}
}

func TestDrainWaitsForTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOnBus(t)
		p.hub.failWith(func(context.Context) error { time.Sleep(time.Second / 2); return nil })
		if err := p.there.Invalidate(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/4)
		defer cancel()
		if err := memo.Drain(ctx); err == nil || !strings.Contains(err.Error(), "1 changes that a bus has not published") {
			t.Errorf("Drain = %v, want an error that tells of the bus", err)
		}
		drainBuses(t)
		if n := len(p.hub.messages()); n != 1 {
			t.Errorf("%d messages are on the bus, want one", n)
		}
	})
}

func TestSubscriptionEndsWhenNobodyUsesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOnBus(t)
		for range 5 { // hits count as use
			for range 30 {
				time.Sleep(time.Second)
				p.want(p.here, 0)
			}
			if got := p.hub.listening(); got != 1 {
				t.Fatalf("%d subscriptions while the copy is used, want one for the process", got)
			}
		}
		if time.Sleep(61 * time.Second); p.hub.listening() != 0 {
			t.Error("there is a subscription though nobody has used the store for a minute")
		}
		p.version.Store(1)
		if err := p.there.Invalidate(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.here.Call(t.Context(), "x") // old or new: nobody has told it
		synctest.Wait()
		if p.want(p.here, 1); p.hub.listening() != 1 {
			t.Error("nobody listens though the copy is in use again")
		}
	})
}

func TestSubscriptionThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hub{fails: func(context.Context) error { return errDown }}
		f := memo.New(square, memo.Store(memstore.New(nil)), memo.Bus(h), memo.Name("f"), quietly)
		f.Call(t.Context(), 1)
		synctest.Wait()
		h.failWith(nil)
		time.Sleep(6 * time.Second)
		f.Call(t.Context(), 1)
		if synctest.Wait(); h.listening() != 1 {
			t.Error("the subscription was not tried again")
		}
	})
}

func TestMessagesThatAreNoneAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := newOnBus(t, memo.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		if err := p.there.Invalidate(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		message := p.hub.messages()[0]
		p.want(p.here, 0)
		p.wantCopy(p.here, 0)
		for _, other := range []string{
			"", "hello", message[:len(message)-1], message + "x", "memo2" + message[5:],
			message + strings.Repeat(" x", store.MaxMessage),
		} {
			p.hub.send([]byte(other))
		}
		p.wantCopy(p.here, 0)
		if got := strings.Count(log.String(), "no message of memo's"); got != 1 {
			t.Errorf("logged %d times, want once a minute:\n%s", got, log.String())
		}
		other := strings.Replace(message, " :", " p", 1) // of another prefix, as long
		p.hub.send([]byte(other))
		p.wantCopy(p.here, 0)
		before := p.here.Stats().Hits
		p.hub.send([]byte(message))
		if p.want(p.here, 0); p.here.Stats().Hits != before {
			t.Error("the message itself was ignored: the test tests nothing")
		}
	})
}

func TestBusNeedsAStore(t *testing.T) {
	h := new(hub)
	mustPanic(t, "memo: alone has a Bus but no shared store", func() {
		memo.New(square, memo.Bus(h), memo.Name("alone")).Call(t.Context(), 1)
	})
	mustPanic(t, "Bus(nil)", func() { memo.Bus(nil) })
	mustPanic(t, "give a pointer", func() { memo.Bus(funcBus(nil)) })
	g := memo.NewGroup("g", memo.Bus(h))
	if got, err := memo.New(square, g).Call(t.Context(), 2); got != 4 || err != nil {
		t.Errorf("got %d, %v in a group with a Bus and without a store, want 4", got, err)
	}
}

type funcBus func()

func (funcBus) Publish(context.Context, []byte) error         { return nil }
func (funcBus) Subscribe(context.Context, func([]byte)) error { return nil }

func mustPanic(t *testing.T, want string, do func()) {
	t.Helper()
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
			t.Errorf("panicked with %q, want %q", got, want)
		}
	}()
	do()
}
