package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/ability"
	"github.com/seed-0226adef/memo/store"
)

var abilityCases = []testCase{
	{
		name:     "multi",
		contract: "GetMulti must return exactly the values that are there, however many keys are asked for, repeated ones among them",
		check: func(e *env) {
			want := map[string][]byte{}
			var keys []string
			for i := range 230 { // DynamoDB takes 100 in one request
				key := fmt.Sprintf("k%d", i)
				keys = append(keys, key)
				if i%5 > 0 {
					_, want[key] = newValue(key)
					e.set(key, want[key], 0)
				}
			}
			e.set("not-asked-for", []byte("0123456789abcdef"), 0)
			keys = append(keys, "k1", "k1", "k0")
			e.wantMulti(keys, want)
		},
	},
	{
		name:     "shard",
		contract: "Shard must give one name to one key as long as the servers stay the same, whatever the key",
		check: func(e *env) {
			use := func() { e.wantMulti([]string{"k", "absent"}, nil) }
			use() // by now it is known where keys lie
			for _, key := range []string{"k", "", "with spaces", strings.Repeat("k", 1000)} {
				first := store.Shard(e.s, key)
				use()
				if again := store.Shard(e.s, key); again != first {
					e.fatalf("Shard(%.20q) = %q, then %q", key, first, again)
				}
			}
		},
	},
	{
		name:     "multi of nothing",
		contract: "GetMulti must return a map that is not nil, and no error, when no key has a value or none is given",
		check: func(e *env) {
			for _, keys := range [][]string{nil, {"absent"}} {
				e.wantMulti(keys, nil)
			}
		},
	},
	{
		name:     "multi after expiry",
		contract: "GetMulti must not return a value that has expired",
		check: func(e *env) {
			_, value := newValue("")
			there := errors.New("it is still there")
			_ = e.expired("k", value, func() error {
				if got, _ := store.GetMulti(e.ctx, e.s, []string{"k"}); len(got) > 0 {
					return there
				}
				return nil
			}, there)
			e.wantMulti([]string{"k"}, nil)
		},
	},
	{
		name:     "multi ownership",
		contract: "the caller owns the slices that GetMulti returns: modifying them must change nothing in the store",
		check: func(e *env) {
			_, value := newValue("as it was written")
			e.set("k", value, 0)
			got := e.wantMulti([]string{"k"}, map[string][]byte{"k": value})
			clear(got["k"])
			e.want("k", value)
		},
	},
	{
		name:     "ping",
		contract: "Ping must return nil when the server answers",
		check: func(e *env) {
			if err := store.Ping(e.ctx, e.s); err != nil {
				e.errorf("Ping = %v, want nil", err)
			}
		},
	},
	{
		name:     "notify up",
		contract: "Notify must call Up(true) once changes are reported",
		check:    func(e *env) { e.watch("") },
	},
	{
		name:     "notify",
		contract: "while up, every Set, Add, Swap and Delete of a key under the prefix must be reported, the store's own included, and after the change can be read",
		check: func(e *env) {
			sink := e.watch("pre:")
			token, first := newValue("first")
			_, second := newValue("second")
			_, third := newValue("third")
			for _, change := range []struct {
				name string
				do   func() error
				left []byte
			}{
				{"Set", func() error { return e.s.Set(e.ctx, "pre:k", first, 0) }, first},
				{"Swap", func() error { return e.s.Swap(e.ctx, "pre:k", token, second, 0) }, second},
				{"Delete", func() error { return e.s.Delete(e.ctx, "pre:k") }, nil},
				{"Add", func() error { return e.s.Add(e.ctx, "pre:k", third, 0) }, third},
			} {
				before := sink.count("pre:k")
				if err := change.do(); err != nil {
					e.fatalf("%s = %v, want nil", change.name, err)
				}
				e.eventually(change.name+" is reported", func() bool { return sink.count("pre:k") > before })
				if change.left == nil {
					e.wantAbsent("pre:k")
				} else {
					e.want("pre:k", change.left)
				}
			}
		},
	},
	{
		name:     "notify once",
		contract: "a store that promises it, as memstore does, must report each change once, before the method that made it returns",
		check: func(e *env) {
			if !ability.ReportsOnce(e.s) {
				e.t.Skip("the store does not promise it")
			}
			token, first := newValue("first")
			_, second := newValue("second")
			sink := e.watch("")
			for i, change := range []func(){
				func() { e.set("k", first, 0) },
				func() { e.swap("k", token, second, 0) },
				func() { e.delete("k") },
				func() { e.add("k", first, 0) },
			} {
				change()
				if n := sink.count("k"); n != i+1 {
					e.fatalf("after %d changes %d were reported", i+1, n)
				}
			}
			e.outlast(0)
			if n := sink.count("k"); n != 4 {
				e.errorf("a while after 4 changes %d were reported", n)
			}
		},
	},
	{
		name:     "notify many",
		contract: "a Delete of several keys must be reported for each of them",
		check: func(e *env) {
			_, value := newValue("")
			keys := []string{"pre:1", "pre:2", "pre:3"}
			for _, key := range keys {
				e.set(key, value, 0)
			}
			sink := e.watch("pre:")
			e.delete(append(keys, "elsewhere")...)
			for _, key := range keys {
				e.eventually("the Delete of "+key+" is reported", func() bool { return sink.count(key) > 0 })
			}
		},
	},
	{
		name:     "notify delete of expired",
		contract: "the end of a value must be reported: when it expires, or by the Delete that finds nothing",
		check: func(e *env) {
			_, value := newValue("")
			sink := e.watch("pre:")
			var before int
			ttl := e.inTime(func(ttl time.Duration) {
				told := sink.count("pre:k")
				e.set("pre:k", value, ttl)
				e.eventually("the Set is reported", func() bool { return sink.count("pre:k") > told })
				before = sink.count("pre:k")
			})
			e.outlast(ttl)
			e.delete("pre:k")
			e.eventually("the end of the value is reported", func() bool { return sink.count("pre:k") > before })
		},
	},
	{
		name:     "notify stop",
		contract: "after stop has returned, further changes must not be reported to that sink, and still to others; calling stop again does nothing",
		check: func(e *env) {
			_, value := newValue("")
			stopped := e.watch("")
			stays := e.watch("")
			stopped.stop()
			stopped.stop()
			e.set("k", value, 0)
			e.eventually("the other sink is told", func() bool { return stays.count("k") > 0 })
			if n := stopped.count("k"); n > 0 {
				e.errorf("a change made after stop was reported %d times, want none", n)
			}
		},
	},
	{
		name:     "notify outlives context",
		contract: "the context given to Notify must bound that call and not what follows it",
		check: func(e *env) {
			_, value := newValue("")
			ctx, cancel := context.WithCancel(e.ctx)
			sink := e.watchContext(ctx, "")
			cancel()
			e.outlast(0)
			e.set("k", value, 0)
			e.eventually("the Set is reported", func() bool { return sink.count("k") > 0 })
		},
	},
	{
		name:     "notify with a done context",
		contract: "with a context that is done, Notify must return an error that wraps the context's, and no stop",
		check: func(e *env) {
			e.watch("")
			ctx, cancel := context.WithCancel(e.ctx)
			cancel()
			stop, err := store.Notify(ctx, e.s, "", &sink{})
			e.wantErr("Notify", err, context.Canceled)
			if stop != nil {
				e.errorf("Notify returned an error and a stop that is not nil")
			}
		},
	},
}

// wantMulti checks that keys have the values want, and returns them.
func (e *env) wantMulti(keys []string, want map[string][]byte) map[string][]byte {
	e.t.Helper()
	got, err := store.GetMulti(e.ctx, e.s, keys)
	if err != nil {
		e.fatalf("GetMulti of %d keys = %v, want nil", len(keys), err)
	}
	if got == nil {
		e.errorf("GetMulti of %d keys returned a nil map", len(keys))
	}
	for key, value := range want {
		if !bytes.Equal(got[key], value) {
			e.errorf("GetMulti returned %s for %s, want %s", brief(got[key]), brief(key), brief(value))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			e.errorf("GetMulti returned a value for %s, which has none or was not asked for", brief(key))
		}
	}
	return got
}

// watch begins notifications, waits until they are up, and stops them with the
// case. It skips the case if the store does not notify.
func (e *env) watch(prefix string) *sink {
	e.t.Helper()
	return e.watchContext(e.ctx, prefix)
}

func (e *env) watchContext(ctx context.Context, prefix string) *sink {
	e.t.Helper()
	sink := &sink{changed: map[string]int{}}
	stop, err := store.Notify(ctx, e.s, prefix, sink)
	if errors.Is(err, errors.ErrUnsupported) {
		e.t.Skip(err)
	}
	if err != nil {
		e.fatalf("Notify = %v, want nil", err)
	}
	sink.stop = stop
	e.t.Cleanup(stop)
	e.eventually("Up(true) is called", sink.isUp)
	return sink
}

// A sink remembers what it was told.
type sink struct {
	stop func()

	mu      sync.Mutex
	up      bool
	changed map[string]int
}

func (s *sink) Changed(keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.changed[key]++
	}
}

func (s *sink) Suspect() {}

func (s *sink) Up(up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = up
}

func (s *sink) isUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up
}

func (s *sink) count(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed[key]
}
