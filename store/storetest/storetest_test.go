package storetest

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunFindsNothingWrongWithTheReference(t *testing.T) {
	Run(t, func(*testing.T) store.Store { return memstore.New(nil) }, InBubble())
}

func TestRunAcceptsAStoreWithoutAbilities(t *testing.T) {
	Run(t, func(*testing.T) store.Store { return plain{memstore.New(nil)} }, InBubble())
}

func TestRunAcceptsAStoreThatKeepsToTheContractWithItsOwnLimits(t *testing.T) {
	Run(t, func(*testing.T) store.Store { return strict{memstore.New(nil)} },
		InBubble(), TTLGranularity(time.Second), MaxValue(1000))
}

// Keys of several servers end at different ticks: "ttl/add after expiry" failed once in
// eight runs with memcached on three servers.
func TestRunAcceptsAStoreWhoseServersTickApart(t *testing.T) {
	for key, later := range map[string]time.Duration{"k": 2 * time.Second, "watched": 2 * time.Second} {
		t.Run(key+" ends later", func(t *testing.T) {
			longer := func(set setFunc) setFunc {
				return func(ctx context.Context, k string, value []byte, ttl time.Duration) error {
					if k == key && ttl > 0 && ttl < time.Hour {
						ttl += later
					}
					return set(ctx, k, value, ttl)
				}
			}
			Run(t, func(*testing.T) store.Store {
				return broken(func(f *faulty, m *memstore.Store) { f.set, f.add = longer(m.Set), longer(m.Add) })()
			}, InBubble(), TTLGranularity(time.Second))
		})
	}
}

func TestRunReportsStoresThatBreakTheContract(t *testing.T) {
	caught := map[string]bool{}
	for _, b := range brokenStores {
		t.Run(b.breaks, func(t *testing.T) {
			failed := failures(t, b.new, append(b.caps, InBubble())...)
			for _, name := range b.caughtBy {
				messages, ok := failed[name]
				if !ok {
					t.Errorf("case %q passes with a store that %s", name, b.breaks)
				}
				caught[name] = true
				for _, m := range messages {
					if want := "contract: " + caseNamed(t, name).contract; !strings.Contains(m, want) {
						t.Errorf("case %q fails with %q, which does not say %q", name, m, want)
					}
				}
			}
		})
	}
	for _, topic := range topics {
		for _, c := range topic.cases {
			if name := topic.name + "/" + c.name; !caught[name] {
				t.Errorf("case %q fails with none of the broken stores; add one that it is there to find", name)
			}
		}
	}
}

func TestCasesHaveDistinctNamesAndSayWhatMustHold(t *testing.T) {
	seen := map[string]bool{}
	for _, topic := range topics {
		for _, c := range topic.cases {
			name := topic.name + "/" + c.name
			if seen[name] {
				t.Errorf("two cases are named %q", name)
			}
			seen[name] = true
			if !strings.Contains(c.contract, "must") {
				t.Errorf("case %q: contract %q does not say what a store must do", name, c.contract)
			}
		}
	}
}

func TestCapabilitiesThatMakeNoSensePanic(t *testing.T) {
	for name, call := range map[string]func(){
		"a negative tick":              func() { TTLGranularity(-1) },
		"values shorter than a token":  func() { MaxValue(store.TokenSize - 1) },
		"values of a negative length ": func() { MaxValue(math.MinInt) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); r == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

// failures runs all cases against the stores that newStore makes, each in a bubble,
// and returns the messages of those that fail by their names.
func failures(t *testing.T, newStore func() store.Store, caps ...Capability) map[string][]string {
	failed := map[string][]string{}
	for _, topic := range topics {
		for _, c := range topic.cases {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{TB: t}
				done := make(chan struct{})
				go func() { // Fatalf ends it
					defer close(done)
					c.run(r, newStore(), limitsOf(caps))
				}()
				<-done
				time.Sleep(time.Second) // for what a broken store does behind its caller's back
				if len(r.messages) > 0 {
					failed[topic.name+"/"+c.name] = r.messages
				}
			})
		}
	}
	return failed
}

func caseNamed(t *testing.T, name string) testCase {
	t.Helper()
	for _, topic := range topics {
		for _, c := range topic.cases {
			if topic.name+"/"+c.name == name {
				return c
			}
		}
	}
	t.Fatalf("there is no case %q", name)
	return testCase{}
}

// A recorder is a testing.TB that keeps failures to itself.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	messages []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skip(...any) { runtime.Goexit() }

// plain hides the abilities of a store.
type plain struct{ store.Store }

// strict takes no more than every store must: usual keys, values of 16 to 1000
// bytes, and whole seconds. It has a key more than it was asked for in every report.
type strict struct{ *memstore.Store }

func check(value []byte, keys ...string) error {
	for _, key := range keys {
		if key == "" || len(key) > store.MaxKeyLen || strings.ContainsFunc(key, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
			return fmt.Errorf("%w: key %q", store.ErrRefused, key)
		}
	}
	if value != nil && (len(value) < store.TokenSize || len(value) > 1000) {
		return fmt.Errorf("%w: value of %d bytes", store.ErrRefused, len(value))
	}
	return nil
}

// seconds rounds as memcached needs it: up, and two more because the server's second
// has begun already, and the one before it may have been skipped.
func seconds(ttl time.Duration) time.Duration {
	if ttl <= 0 || ttl > math.MaxInt64-3*time.Second {
		return ttl
	}
	return (ttl + time.Second - 1).Truncate(time.Second) + 2*time.Second
}

func (s strict) Get(ctx context.Context, key string) ([]byte, error) {
	if err := check(nil, key); err != nil {
		return nil, err
	}
	value, err := s.Store.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("strict: get %q: %w", key, err)
	}
	return value, nil
}

func (s strict) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := check(value, key); err != nil {
		return err
	}
	return s.Store.Set(ctx, key, value, seconds(ttl))
}

func (s strict) Add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := check(value, key); err != nil {
		return err
	}
	return s.Store.Add(ctx, key, value, seconds(ttl))
}

func (s strict) Swap(ctx context.Context, key string, old store.Token, value []byte, ttl time.Duration) error {
	if err := check(value, key); err != nil {
		return err
	}
	return s.Store.Swap(ctx, key, old, value, seconds(ttl))
}

func (s strict) Delete(ctx context.Context, keys ...string) error {
	if err := check(nil, keys...); err != nil {
		return err
	}
	return s.Store.Delete(ctx, keys...)
}

func (s strict) Notify(ctx context.Context, prefix string, sink store.Sink) (func(), error) {
	return s.Store.Notify(ctx, prefix, extra{sink})
}

type extra struct{ store.Sink }

func (x extra) Changed(keys []string) { x.Sink.Changed(append([]string{"not:asked:for"}, keys...)) }
