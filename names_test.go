package memo_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/httpcache"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A tenant is one of several receivers of one method.
type tenant struct{ id string }

func (t *tenant) load(context.Context, string) (string, error) { return t.id, nil }

func (t *tenant) loadAll(_ context.Context, keys []string) (map[string]string, error) {
	return map[string]string{}, nil
}

func loadAny[T any](context.Context, string) (string, error) {
	return fmt.Sprintf("%T", *new(T)), nil
}

func loadPlain(context.Context, string) (string, error) { return "", nil }

// What told functions apart was the runtime's name of them, which many share.
func TestNameBelongsToOneFunctionWhateverThatIs(t *testing.T) {
	closure := func(id string) func(context.Context, string) (string, error) {
		return func(context.Context, string) (string, error) { return id, nil }
	}
	type fn = func(context.Context, string) (string, error)
	makes := func(f fn) func(...memo.Option) { return func(o ...memo.Option) { memo.New(f, o...) } }
	for _, c := range []struct {
		kind          string
		first, second func(...memo.Option)
	}{
		{"two functions", makes(loadPlain), makes(loadAny[int])},
		{"method values of two receivers", makes((&tenant{"a"}).load), makes((&tenant{"b"}).load)},
		{"closures of one literal", makes(closure("a")), makes(closure("b"))},
		{"instances of a generic function", makes(loadAny[int]), makes(loadAny[string])},
		{"one function twice", makes(loadPlain), makes(loadPlain)},
		{"Wrap", makes(loadPlain), func(o ...memo.Option) { memo.Wrap(loadPlain, o...) }},
		{"Wrap0", makes(loadPlain), func(o ...memo.Option) {
			memo.Wrap0(func(context.Context) (string, error) { return "", nil }, o...)
		}},
		{"Wrap2", makes(loadPlain), func(o ...memo.Option) {
			memo.Wrap2(func(context.Context, int, int) (string, error) { return "", nil }, o...)
		}},
		{"Wrap3", makes(loadPlain), func(o ...memo.Option) {
			memo.Wrap3(func(context.Context, int, int, int) (string, error) { return "", nil }, o...)
		}},
		{"a batch", makes(loadPlain), func(o ...memo.Option) { memo.NewBatch(new(tenant).loadAll, o...) }},
		{"two batches", func(o ...memo.Option) { memo.NewBatch(new(tenant).loadAll, o...) },
			func(o ...memo.Option) { memo.NewBatch(new(tenant).loadAll, o...) }},
		{"a cache of responses", makes(loadPlain), func(o ...memo.Option) { httpcache.New(nil, o...) }},
		{"results of another type", makes(loadPlain), func(o ...memo.Option) {
			memo.New(func(context.Context, int) (int, error) { return 0, nil }, o...)
		}},
		{"in groups", func(o ...memo.Option) { memo.New(loadPlain, append(o, memo.NewGroup("g"))...) }, makes(loadPlain)},
	} {
		t.Run(c.kind, func(t *testing.T) {
			s := memstore.New(nil)
			options := func(more ...memo.Option) []memo.Option {
				return append(more, memo.Store(s), memo.Name("n"))
			}
			c.first(options()...)
			_, file, line, _ := runtime.Caller(0)
			v := panicOf(func() { c.second(options()...) })
			if !strings.Contains(v, `the name "n" is taken in this store by the function made at `+file) {
				t.Errorf("panic %q, want one that names this file, about line %d", v, line)
			}
			if v := panicOf(func() { c.second(options(memo.SharedName())...) }); v == "" {
				t.Error("one of the two said SharedName, and it was enough")
			}
			for _, o := range []memo.Option{memo.Prefix("p"), memo.Name("m"), memo.Store(memstore.New(nil)), memo.Store(nil)} {
				if v := panicOf(func() { c.second(append(options(), o)...) }); v != "" {
					t.Errorf("another prefix, name or store: panic %q", v)
				}
			}
			s = memstore.New(nil)
			c.first(options(memo.SharedName())...)
			if v := panicOf(func() { c.second(options(memo.SharedName())...) }); v != "" {
				t.Errorf("with SharedName on both: panic %q", v)
			}
			if v := panicOf(func() { c.second(options()...) }); v == "" {
				t.Error("a third one did not say SharedName, and has the name")
			}
		})
	}
}

func TestTakenNameSaysWhereBothFunctionsAreMade(t *testing.T) {
	s := memstore.New(nil)
	_, file, line, _ := runtime.Caller(0)
	memo.Wrap(loadPlain, memo.Store(s), memo.Name("n"))
	v := panicOf(func() { httpcache.New(nil, memo.Store(s), memo.Name("n")) })
	for _, place := range []string{fmt.Sprintf("made at %s:%d,", file, line+1), fmt.Sprintf("%s:%d: the name", file, line+2)} {
		if !strings.Contains(v, place) {
			t.Errorf("panic %q, want %q in it", v, place)
		}
	}
}

// Two tenants are two functions, whose results a prefix keeps apart.
func TestTenantsWithPrefixesHaveResultsOfTheirOwn(t *testing.T) {
	s := memstore.New(nil)
	of := func(id string) *memo.Func[string, string] {
		return memo.New((&tenant{id}).load, memo.Store(s), memo.Name("load"), memo.Prefix(id))
	}
	a, b := of("a"), of("b")
	for want, f := range map[string]*memo.Func[string, string]{"a": a, "b": b} {
		if got, err := f.With(memo.TTL(time.Hour)).Call(t.Context(), "x"); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

// A name was free again when the garbage collector had found its function, so
// whether the second New panicked was a matter of luck.
func TestNameStaysTakenWhileItsStoreIsInUse(t *testing.T) {
	s := memstore.New(nil)
	memo.New(loadPlain, memo.Store(s), memo.Name("n")).Call(t.Context(), "x")
	for range 3 {
		runtime.GC()
	}
	if v := panicOf(func() { memo.New(loadPlain, memo.Store(s), memo.Name("n")) }); v == "" {
		t.Error("the name is free, since its function is not in use")
	}
	runtime.KeepAlive(s)
}

func TestNamesDoNotKeepAStoreAlive(t *testing.T) {
	type wrapped struct{ store.Store } // of which no timer knows
	w := func() weak.Pointer[wrapped] {
		s := &wrapped{memstore.New(nil)}
		memo.New(loadPlain, memo.Store(s), memo.Name("n")).Call(t.Context(), "x")
		return weak.Make(s)
	}()
	for deadline := time.Now().Add(10 * time.Second); w.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("10s after its functions were dropped the store is still there")
		}
	}
}

// What New panics about is no function, and has no name.
func TestNewThatPanicsTakesNoName(t *testing.T) {
	named := []memo.Option{memo.Store(memstore.New(nil)), memo.Name("n")}
	for _, bad := range []func(){
		func() { memo.New(func(context.Context, func()) (int, error) { return 0, nil }, named...) },
		func() { memo.New(loadPlain, append(slices.Clone(named), memo.Clone(func(int) int { return 0 }))...) },
		func() { memo.NewBatch[string, int](nil, named...) },
	} {
		if panicOf(bad) == "" {
			t.Error("New did not panic")
		}
	}
	if v := panicOf(func() { memo.New(loadPlain, named...) }); v != "" {
		t.Errorf("panic %q", v)
	}
}

// New does not know which store a function gets by default: whether its name is taken
// there shows at its first use, in the words of its New.
func TestNameInADefaultStoreIsTakenAtFirstUse(t *testing.T) {
	defer memo.SetDefault()
	for kind, o := range map[string]memo.Option{
		"store": memo.Store(memstore.New(nil)),
		"group": memo.NewGroup("g", memo.Store(memstore.New(nil))),
	} {
		t.Run(kind, func(t *testing.T) {
			_, file, line, _ := runtime.Caller(0)
			a, b := memo.New(loadPlain, memo.Name("n")), memo.New(loadPlain, memo.Name("n"))
			memo.SetDefault(o)
			a.Call(t.Context(), "x")
			for range 2 { // as long as it is so
				msg := panicOf(func() { b.Call(t.Context(), "x") })
				if want := fmt.Sprintf("%s:%d: the name", file, line+1); !strings.Contains(msg, want) {
					t.Errorf("panic %q, want %q in it", msg, want)
				}
			}
		})
	}
}

// A default prefix is part of what a name is taken with, though it comes later.
func TestDefaultPrefixCountsForTheName(t *testing.T) {
	defer memo.SetDefault()
	s := memo.Options{memo.Store(memstore.New(nil)), memo.Name("n")}
	a := memo.New(loadPlain, s)
	memo.SetDefault(memo.Prefix("p"))
	a.Call(t.Context(), "x")
	if v := panicOf(func() { memo.New(loadPlain, s, memo.Prefix("")) }); v != "" {
		t.Errorf("without the prefix, which the first has by now: panic %q", v)
	}
	if v := panicOf(func() { memo.New(loadPlain, s, memo.Prefix("p")) }); v == "" {
		t.Error("the name is taken under this prefix, and New does not panic")
	}
}
