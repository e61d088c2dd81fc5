package memo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/store/memstore"
)

func TestNilResultsAreResults(t *testing.T) {
	runs := 0
	ptr := memo.New(func(context.Context, string) (*int, error) { runs++; return nil, nil })
	err := memo.New(func(context.Context, string) (error, error) { runs++; return nil, nil })
	slice := memo.New(func(context.Context, string) ([]int, error) { runs++; return nil, nil })
	for range 3 {
		wantCall(t, ptr, nil)
		wantCall(t, err, nil)
		if got, err := slice.Call(t.Context(), "k"); got != nil || err != nil {
			t.Errorf("Call = %v, %v; want nil, nil", got, err)
		}
	}
	if runs != 3 {
		t.Errorf("%d executions of three functions, want one each", runs)
	}
}

func TestWrapsKeepTheirArgumentsApart(t *testing.T) {
	ctx := t.Context()
	runs := 0
	zero := memo.Wrap0(func(context.Context) (string, error) { runs++; return "zero", nil })
	two := memo.Wrap2(func(_ context.Context, a, b string) (string, error) { runs++; return a + "|" + b, nil })
	three := memo.Wrap3(func(_ context.Context, a string, b int, c bool) (string, error) {
		runs++
		return fmt.Sprint(a, b, c), nil
	})
	pure := memo.Pure(func(n int) int { runs++; return n * n })
	for range 2 {
		for _, c := range []struct{ got, want any }{
			{first(zero(ctx)), "zero"},
			{first(two(ctx, "a", "bc")), "a|bc"},
			{first(two(ctx, "ab", "c")), "ab|c"},
			{first(three(ctx, "x", 1, true)), "x1 true"},
			{first(three(ctx, "x", 1, false)), "x1 false"},
			{pure(3), 9},
			{pure(4), 16},
		} {
			if c.got != c.want {
				t.Errorf("got %v, want %v", c.got, c.want)
			}
		}
	}
	if runs != 7 {
		t.Errorf("%d executions, want 7", runs)
	}
}

func first[R any](r R, err error) any {
	if err != nil {
		return err
	}
	return r
}

func TestPureRunsFnForAnArgumentWithoutAKey(t *testing.T) {
	type node struct{ next *node }
	loop := &node{}
	loop.next = loop
	isLoop := memo.Pure(func(n *node) bool { return n.next == n })
	for range 2 {
		if !isLoop(loop) {
			t.Error("isLoop(loop) = false")
		}
	}
}

func TestPureHandsPanicsOn(t *testing.T) {
	f := memo.Pure(func(int) int { panic("kaboom") })
	defer func() {
		if p, ok := recover().(*memo.PanicError); !ok || p.Value != "kaboom" {
			t.Errorf("recovered %v, want fn's panic", p)
		}
	}()
	f(1)
}

func TestSetPrimesAndInvalidateDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(context.Context, string) (int, error) { return 1, nil }, memo.TTL(time.Hour), memo.Tags("t"))
		if err := f.Set(t.Context(), "k", 7); err != nil {
			t.Fatal(err)
		}
		wantCall(t, f, 7)
		e, err := f.Peek(t.Context(), "k")
		if err != nil || e.Value != 7 || e.FreshUntil.Sub(e.Created) != time.Hour || len(e.Tags) != 1 {
			t.Errorf("Peek = %+v, %v; want 7 for an hour, tagged", e, err)
		}
		f.Set(t.Context(), "k", 8)
		wantCall(t, f, 8)
		f.Invalidate(t.Context(), "k")
		wantCall(t, f, 1)
		if err := f.With(memo.TTL(0)).Set(t.Context(), "k", 9); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Peek(t.Context(), "k"); err != memo.ErrMiss {
			t.Errorf("after a Set with a TTL of zero Peek = %v, want ErrMiss", err)
		}
	})
}

func TestWithIsTheSameCacheUnderAnotherPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(counter)
		f := memo.New(c.run, memo.TTL(time.Hour))
		brief := f.With(memo.TTL(time.Minute))
		wantCall(t, brief, 1)
		wantCall(t, f, 1)
		time.Sleep(time.Minute)
		wantCall(t, f, 2) // stored for a minute
		time.Sleep(30 * time.Minute)
		wantCall(t, f, 2)
		wantCall(t, brief, 3) // 2 is too old for these calls
		wantCall(t, f, 3)
		wantCall(t, f.With(memo.TTL(0)), 4)
		wantCall(t, f, 5) // 3 is older than what was not kept
		wantCall(t, brief.With(memo.TTL(time.Hour)), 5)

		c.fail.Store(true)
		remembering := f.With(memo.CacheErrors(time.Hour, nil), memo.Tags("x")).With(memo.StaleIfError(0))
		f.Invalidate(t.Context(), "k")
		for range 3 {
			if _, err := remembering.Call(t.Context(), "k"); err != errBroken {
				t.Errorf("Call returned %v, want %v", err, errBroken)
			}
		}
		if got := f.Stats(); got != brief.Stats() || got.Executions != 6 {
			t.Errorf("Stats = %+v; want one set of counters, 6 executions", got)
		}
	})
}

func TestDisabledTouchesNoCache(t *testing.T) {
	c := new(counter)
	f := memo.New(c.run)
	wantCall(t, f, 1)
	off := f.With(memo.Disabled(true))
	wantCall(t, off, 2)
	if got, err := off.Refresh(t.Context(), "k"); got != 3 || err != nil {
		t.Errorf("Refresh = %d, %v; want 3, nil", got, err)
	}
	if _, err := off.Peek(t.Context(), "k"); err != memo.ErrMiss {
		t.Errorf("Peek = %v, want ErrMiss", err)
	}
	off.Set(t.Context(), "k", 99)
	wantCall(t, f, 1)
	wantCall(t, off.With(memo.Disabled(true), memo.Disabled(false)), 1)
	if s := f.Stats(); s.Executions != 3 || s.Misses != 1 {
		t.Errorf("Stats = %+v; want 3 executions, 1 miss", s)
	}
}

func TestCloneGivesEveryCallerACopy(t *testing.T) {
	clone := func(s []int) []int { return append([]int(nil), s...) }
	f := memo.New(func(context.Context, string) ([]int, error) { return []int{1, 2, 3}, nil }, memo.Clone(clone))
	for range 3 {
		got, err := f.Call(t.Context(), "k")
		if err != nil || got[0] != 1 {
			t.Errorf("Call = %v, %v; want what fn returned", got, err)
		}
		got[0] = 99
	}
	mine := []int{7}
	f.Set(t.Context(), "k", mine)
	mine[0] = 99
	e, _ := f.Peek(t.Context(), "k")
	if e.Value[0] != 7 {
		t.Errorf("Peek = %v: Set kept the caller's slice", e.Value)
	}
	e.Value[0] = 99
	if got, _ := f.Call(t.Context(), "k"); got[0] != 7 {
		t.Errorf("Call = %v: Peek handed out what is held", got)
	}
}

// Clone was once called with the nil result beside an error.
func TestCloneIsNotCalledForAResultThatCameWithAnError(t *testing.T) {
	f := memo.New(func(context.Context, string) (*int, error) { return nil, errBroken },
		memo.Clone(func(p *int) *int { c := *p; return &c }), memo.CacheErrors(time.Hour, nil))
	for range 2 {
		if got, err := f.Call(t.Context(), "k"); got != nil || err != errBroken {
			t.Errorf("Call = %v, %v; want nil, %v", got, err, errBroken)
		}
	}
}

func TestCloneIsCalledForAResultThatCacheIfAcceptedWithAnError(t *testing.T) {
	f := memo.New(func(context.Context, string) ([]int, error) { return []int{1}, errBroken },
		memo.CacheIf(func([]int, error) bool { return true }), memo.Clone(slices.Clone[[]int]))
	for range 3 {
		got, err := f.Call(t.Context(), "k")
		if got[0] != 1 || err != errBroken {
			t.Errorf("Call = %v, %v; want 1, %v", got, err, errBroken)
		}
		got[0] = 2
	}
}

func TestKeyFuncReplacesTheKey(t *testing.T) {
	type request struct {
		ID   string
		Hook func()
	}
	runs := 0
	f := memo.New(func(context.Context, request) (int, error) { runs++; return runs, nil },
		memo.KeyFunc(func(r request) string { return r.ID }))
	for _, r := range []request{{ID: "a"}, {"a", func() {}}, {ID: "b"}} {
		f.Call(t.Context(), r)
	}
	if runs != 2 {
		t.Errorf("%d executions, want 2", runs)
	}
}

func TestLaterOptionWinsAndLevelsResetNothing(t *testing.T) {
	t.Cleanup(func() { memo.SetDefault() })
	life := func(f *memo.Func[string, int]) time.Duration {
		f.Call(t.Context(), "k")
		e, err := f.Peek(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		return e.FreshUntil.Sub(e.Created)
	}
	fn := func(context.Context, string) (int, error) { return 1, nil }
	early := memo.New(fn)
	outer := memo.NewGroup("outer", memo.TTL(3*time.Hour))
	inner := memo.NewGroup("inner", outer, memo.Tags("x"))
	memo.SetDefault(memo.TTL(time.Second))
	memo.SetDefault(memo.TTL(2*time.Hour), memo.Tags("default"))
	for _, c := range []struct {
		name string
		f    *memo.Func[string, int]
		want time.Duration
		tag  string
	}{
		{"default read at the first call", early, 2 * time.Hour, "default"},
		{"option over default", memo.New(fn, memo.TTL(time.Hour)), time.Hour, "default"},
		{"later option", memo.New(fn, memo.TTL(time.Hour), memo.TTL(5*time.Hour)), 5 * time.Hour, "default"},
		{"list of options", memo.New(fn, memo.Options{memo.TTL(time.Hour), memo.Options{memo.TTL(4 * time.Hour)}}), 4 * time.Hour, "default"},
		{"groups over default", memo.New(fn, inner), 3 * time.Hour, "x"},
		{"option over group, wherever it stands", memo.New(fn, memo.TTL(time.Hour), inner), time.Hour, "x"},
		{"With over option", memo.New(fn, inner).With(memo.TTL(time.Minute)), time.Minute, "x"},
		{"With keeps the rest", memo.New(fn, memo.TTL(time.Hour)).With(memo.Tags("w")), time.Hour, "w"},
	} {
		if got := life(c.f); got != c.want {
			t.Errorf("%s: fresh for %v, want %v", c.name, got, c.want)
		}
		if e, _ := c.f.Peek(t.Context(), "k"); len(e.Tags) != 1 || e.Tags[0] != c.tag {
			t.Errorf("%s: tags %v, want %s", c.name, e.Tags, c.tag)
		}
	}
	memo.SetDefault()
	if got := life(memo.New(fn)); got != time.Minute {
		t.Errorf("after SetDefault(): fresh for %v, want a minute", got)
	}
	if got := life(early); got != 2*time.Hour {
		t.Errorf("a later SetDefault changed a function that was called before: %v", got)
	}
}

// Options are read again at the first call. Lists of them that share memory, since
// they were appended to one and the same, must not get into each other's way.
func TestOptionsAreCopiedWithTheListsAmongThem(t *testing.T) {
	team := make(memo.Options, 0, 2)
	fs := map[time.Duration]*memo.Func[int, int]{}
	for _, ttl := range []time.Duration{time.Second, time.Hour} {
		fs[ttl] = memo.New(func(context.Context, int) (int, error) { return 0, nil }, append(team, memo.TTL(ttl)))
		g := memo.NewGroup("copied", append(team, memo.TTL(ttl)))
		fs[-ttl] = memo.New(func(context.Context, int) (int, error) { return 0, nil }, g)
	}
	for ttl, f := range fs {
		f.Call(t.Context(), 1)
		e, err := f.Peek(t.Context(), 1)
		if got, want := e.FreshUntil.Sub(e.Created), ttl.Abs(); got != want || err != nil {
			t.Errorf("fresh for %v, %v, want %v", got, err, want)
		}
	}
}

func TestGroupSumsItsFunctions(t *testing.T) {
	outer := memo.NewGroup("outer")
	inner := memo.NewGroup("inner", outer)
	var used []*memo.Func[string, int] // or the collector may take them, with what they hold
	for _, g := range []*memo.Group{outer, inner, inner} {
		f := memo.New(func(context.Context, string) (int, error) { return 1, nil }, g)
		used = append(used, f)
		wantCall(t, f, 1)
		wantCall(t, f, 1)
	}
	if s := inner.Stats(); s.Executions != 2 || s.Hits != 2 || s.Entries != 2 {
		t.Errorf("inner Stats = %+v, want two of each", s)
	}
	if s := outer.Stats(); s.Executions != 3 || s.Hits != 3 || s.Entries != 3 {
		t.Errorf("outer Stats = %+v, want three of each", s)
	}
	runtime.KeepAlive(used)
}

// A recorder is an Observer that writes down what it is told.
type recorder struct {
	mu     sync.Mutex
	events []memo.Event
}

func (r *recorder) Observe(_ context.Context, e memo.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func TestObserverIsToldWhatHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		c := new(counter)
		f := memo.New(c.run, memo.Name("counter"), memo.Observe(&r), memo.StaleWhileRevalidate(time.Hour),
			memo.Logger(slog.New(slog.DiscardHandler)))
		c.delay.Store(int64(time.Second))
		go f.Call(t.Context(), "k")
		synctest.Wait()
		f.Call(t.Context(), "k")
		synctest.Wait()
		f.Call(t.Context(), "k")
		time.Sleep(2 * time.Minute)
		c.fail.Store(true)
		f.Call(t.Context(), "k")
		time.Sleep(2 * time.Second)
		f.Invalidate(t.Context(), "k")
		f.Clear(t.Context())
		var got []string
		for _, e := range r.events {
			if e.Func != "counter" {
				t.Errorf("%+v: Func is not the name", e)
			}
			s := e.Kind.String()
			if e.Kind == memo.EventExecution {
				s += fmt.Sprint(" ", e.Duration, " ", e.Err)
			}
			got = append(got, s)
		}
		want := "execution 1s <nil>, miss/joined, joined/miss, hit, stale hit, execution 1s broken, invalidation, clear"
		text := strings.Join(got, ", ")
		text = strings.Replace(text, "miss, joined", "miss/joined, joined/miss", 1)
		text = strings.Replace(text, "joined, miss", "miss/joined, joined/miss", 1)
		if text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	})
}

func TestEveryHitIsObserved(t *testing.T) {
	var r recorder
	f := memo.New(func(context.Context, string) (int, error) { return 1, nil }, memo.Observe(&r), memo.TTL(time.Hour))
	for range 10_000 { // the coarse clock runs
		f.Call(t.Context(), "k")
	}
	if hits := f.Stats().Hits; hits != 9_999 || len(r.events) != 10_001 {
		t.Errorf("%d hits and %d events, want 9999 and, with an execution and a miss, 10001", hits, len(r.events))
	}
}

// A key that is too long for the stack is built in a buffer that the next call
// takes over.
func TestLongKeysAreNotMixedUp(t *testing.T) {
	type query struct{ Text, Language string }
	f := memo.New(func(_ context.Context, q query) (string, error) { return q.Text, nil }, memo.TTL(time.Hour))
	for range 100 {
		for n := range 20 {
			text := strings.Repeat(fmt.Sprint(n%10), 100+n/10)
			if got, err := f.Call(t.Context(), query{text, "en"}); got != text || err != nil {
				t.Fatalf("Call(%s) = %s, %v", text, got, err)
			}
		}
	}
	if s := f.Stats(); s.Executions != 20 || s.Entries != 20 {
		t.Errorf("Stats = %+v, want 20 executions and entries", s)
	}
}

func TestCallWithADoneContext(t *testing.T) {
	f := memo.New(func(_ context.Context, k string) (string, error) { return k, nil })
	f.Call(t.Context(), "held")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := f.Call(ctx, "held"); got != "held" || err != nil {
		t.Errorf("Call = %q, %v; what is fresh is returned whatever the context", got, err)
	}
	if _, err := f.Call(ctx, "not held"); err != context.Canceled {
		t.Errorf("Call = %v, want context.Canceled", err)
	}
	if _, err := f.Refresh(ctx, "held"); err != context.Canceled {
		t.Errorf("Refresh = %v, want context.Canceled", err)
	}
	if got := f.Stats().Executions; got != 1 {
		t.Errorf("%d executions, want 1: nobody would wait for another", got)
	}
}

func TestProgrammerErrorsPanicWithWhatToChange(t *testing.T) {
	type secret struct {
		Name  string
		token string //lint:ignore U1000 codecs read it by reflection
	}
	fn := func(context.Context, string) (string, error) { return "", nil }
	other := func(context.Context, string) (string, error) { return "", nil }
	s := memstore.New(nil)
	memo.New(fn, memo.Store(s), memo.Name("taken"))
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"nil fn", func() { memo.New[string, string](nil) }, "memo: New(nil): there is no function to remember; give one"},
		{"nil fn", func() { memo.Wrap0[string](nil) }, "memo: Wrap0(nil)"},
		{"nil fn", func() { memo.Wrap2[string, int, string](nil) }, "memo: Wrap2(nil)"},
		{"nil fn", func() { memo.Wrap3[string, int, int, string](nil) }, "memo: Wrap3(nil)"},
		{"nil fn", func() { memo.Pure[string, string](nil) }, "memo: Pure(nil)"},
		{"TTL", func() { memo.TTL(-1) }, "memo: TTL(-1ns): the duration must not be negative"},
		{"Jitter", func() { memo.Jitter(1.5) }, "memo: Jitter(1.5): the fraction must be between 0 and 1"},
		{"Jitter", func() { memo.Jitter(-0.1) }, "between 0 and 1"},
		{"EarlyRefresh", func() { memo.EarlyRefresh(-1) }, "memo: EarlyRefresh(-1): beta must be"},
		{"StaleIfError", func() { memo.StaleIfError(-1) }, "memo: StaleIfError"},
		{"StaleWhileRevalidate", func() { memo.StaleWhileRevalidate(-1) }, "memo: StaleWhileRevalidate"},
		{"SoftTimeout", func() { memo.SoftTimeout(-1) }, "memo: SoftTimeout"},
		{"LoadTimeout", func() { memo.LoadTimeout(-1) }, "memo: LoadTimeout"},
		{"LocalTTL", func() { memo.LocalTTL(-1) }, "memo: LocalTTL"},
		{"CacheErrors", func() { memo.CacheErrors(-1, nil) }, "memo: CacheErrors"},
		{"Local", func() { memo.Local(0) }, "memo: Local(0): the number of entries must be at least 1; NoLocal() holds none"},
		{"LocalBytes", func() { memo.LocalBytes(-5) }, "memo: LocalBytes(-5)"},
		{"Name", func() { memo.Name("") }, "memo: Name(\"\")"},
		{"Codec", func() { memo.Codec(nil) }, "memo: Codec(nil)"},
		{"NewGroup", func() { memo.NewGroup("") }, "memo: NewGroup(\"\"): a group needs a name"},
		{"name for a group", func() { memo.NewGroup("g", memo.Name("x")) }, "a name belongs to one function"},
		{"name by default", func() { memo.SetDefault(memo.Name("x")) }, "a name belongs to one function"},
		{"KeyFunc for a group", func() { memo.NewGroup("g", memo.KeyFunc(func(int) string { return "" })) }, "belongs to one function"},
		{"nil option", func() { memo.New(fn, nil) }, "memo: a nil Option was given"},
		{"KeyFunc", func() { memo.New(fn, memo.Name("f"), memo.KeyFunc(func(int) string { return "" })) },
			"memo: f: KeyFunc was given a func(int) string; this function needs a func(string) string"},
		{"KeyFunc for two arguments", func() {
			memo.Wrap2(func(context.Context, int, int) (int, error) { return 0, nil }, memo.Name("f"), memo.KeyFunc(func(int) string { return "" }))
		}, "memo: f: KeyFunc was given, but Wrap2 and Wrap3 take none; use New with a struct for the arguments"},
		{"Clone", func() { memo.New(fn, memo.Name("f"), memo.Clone(func(int) int { return 0 })) },
			"memo: f: Clone was given a func(int) int; this function needs a func(string) string"},
		{"CacheIf", func() { memo.New(fn, memo.Name("f"), memo.CacheIf(func(int, error) bool { return true })) },
			"memo: f: CacheIf was given a func(int, error) bool; this function needs a func(string, error) bool"},
		{"With", func() { memo.New(fn, memo.Name("f")).With(memo.Clone(func(int) int { return 0 })) }, "memo: f: Clone was given"},
		{"store without a name", func() { memo.New(fn, memo.Store(s)) }, "has a shared store but no Name"},
		{"group's store without a name", func() { memo.New(fn, memo.NewGroup("g", memo.Store(s))) }, "has a shared store but no Name"},
		{"Pure with a store", func() { memo.Pure(func(int) int { return 0 }, memo.Store(s)) }, "was given a Store"},
		{"name taken", func() { memo.New(other, memo.Store(s), memo.Name("taken")) }, `the name "taken" is taken in this store by the function made at `},
		{"a name for many, by default", func() { memo.SetDefault(memo.SharedName()) }, "SharedName(), which goes with a Name and belongs to one function"},
		{"codec that loses a field", func() {
			memo.New(func(context.Context, int) (secret, error) { return secret{}, nil }, memo.Store(s), memo.Name("users.secret"))
		}, "memo: users.secret: result field"},
		{"codec that loses a field, by With", func() {
			memo.New(func(context.Context, int) (complex64, error) { return 0, nil }, memo.Store(s), memo.Codec(codec.Gob), memo.Name("f")).
				With(memo.Codec(codec.JSON))
		}, "memo: f: result"},
		{"codec without a store", func() {
			memo.New(func(context.Context, int) (secret, error) { return secret{}, nil }).With(memo.Codec(codec.Gob))
		}, ""},
	} {
		got := panicOf(c.do)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: panic %q, want one with %q", c.name, got, c.want)
		}
	}
}

func panicOf(do func()) (message string) {
	defer func() {
		if v := recover(); v != nil {
			message = fmt.Sprint(v)
		}
	}()
	do()
	return ""
}

func TestDefaultStoreNeedsANameAtTheFirstCall(t *testing.T) {
	t.Cleanup(func() { memo.SetDefault() })
	f := memo.New(func(context.Context, string) (string, error) { return "", nil })
	memo.SetDefault(memo.Store(memstore.New(nil)))
	if got := panicOf(func() { f.Call(t.Context(), "k") }); !strings.Contains(got, "has a shared store but no Name") {
		t.Errorf("panic %q, want one that asks for a Name", got)
	}
	pure := memo.Pure(func(n int) int { return n })
	if got := panicOf(func() { pure(1) }); got != "" {
		t.Errorf("a pure function with a default store panicked: %s", got)
	}
}

// The second call once met a nil pointer.
func TestFunctionThatItsDefaultsMakeImpossibleSaysSoAtEveryCall(t *testing.T) {
	t.Cleanup(func() { memo.SetDefault() })
	f := memo.New(func(context.Context, string) (string, error) { return "", nil }, memo.Name("f"))
	memo.SetDefault(memo.Clone(func(n int) int { return n }))
	for range 2 {
		if got := panicOf(func() { f.Call(t.Context(), "k") }); !strings.Contains(got, "memo: f: Clone was given") {
			t.Errorf("panic %q, want one that names the option", got)
		}
	}
}

type brokenContext struct{ context.Context }

func (brokenContext) Value(any) any { panic("kaboom") }

// The key was once dead from then on.
func TestContextThatPanicsHarmsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memo.New(func(context.Context, string) (int, error) { return 1, nil }, memo.LoadTimeout(0))
		if got := panicOf(func() { f.Call(brokenContext{t.Context()}, "k") }); got != "kaboom" {
			t.Errorf("panic %q, want the context's own", got)
		}
		wantCall(t, f, 1)
	})
}

// observe is an Observer that is a function.
type observe func(memo.Event)

func (o observe) Observe(_ context.Context, e memo.Event) { o(e) }

func TestObserverThatFailsHarmsNobody(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("kaboom") }, "Goexit": runtime.Goexit} {
		var logged bytes.Buffer
		f := memo.New(func(context.Context, string) (int, error) { return 1, nil },
			memo.Logger(slog.New(slog.NewTextHandler(&logged, nil))),
			memo.Observe(observe(func(e memo.Event) {
				if e.Kind == memo.EventExecution {
					fail()
				}
			})))
		wantCall(t, f, 1)
		if name == "panic" && !strings.Contains(logged.String(), "kaboom") {
			t.Errorf("the panic was not logged: %s", logged.String())
		}
	}
}

func TestKeyErrorComesBackWithoutRunningFn(t *testing.T) {
	f := memo.New(func(context.Context, any) (int, error) {
		t.Error("fn ran")
		return 0, nil
	}, memo.Name("search"))
	bad := map[string]any{"hook": func() {}}
	check := func(method string, err error) {
		var e *memo.KeyError
		if !errors.As(err, &e) || e.Func != "search" || !strings.HasPrefix(err.Error(), "memo: search: argument") {
			t.Errorf("%s returned %v, want a *KeyError of search", method, err)
		}
	}
	_, err := f.Call(t.Context(), bad)
	check("Call", err)
	_, err = f.Refresh(t.Context(), bad)
	check("Refresh", err)
	_, err = f.Peek(t.Context(), bad)
	check("Peek", err)
	_, err = f.Key(bad)
	check("Key", err)
	check("Set", f.Set(t.Context(), bad, 1))
	f.Set(t.Context(), "good", 1)
	check("Invalidate", f.Invalidate(t.Context(), bad, "good"))
	if _, err := f.Peek(t.Context(), "good"); err != memo.ErrMiss {
		t.Errorf("the argument beside the bad one was not invalidated")
	}
}
