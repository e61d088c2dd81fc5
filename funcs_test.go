package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/store/memstore"
)

// infosOf returns those of infos whose names begin with prefix, without Stats.
func infosOf(infos []memo.FuncInfo, prefix string) (found []memo.FuncInfo) {
	for _, i := range infos {
		if strings.HasPrefix(i.Name, prefix) {
			i.Stats = memo.Stats{}
			found = append(found, i)
		}
	}
	return found
}

func namesIn(infos []memo.FuncInfo) (all []string) {
	for _, i := range infos {
		all = append(all, i.Name+" in "+i.Group)
	}
	return all
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func doubles(_ context.Context, ns []int) (map[int]int, error) { return map[int]int{1: 2}, nil }

func TestFuncsAreSortedByNameAndThenByGroup(t *testing.T) {
	outer := memo.NewGroup("out/er")
	inner := memo.NewGroup("inner", outer)
	used := []any{ // or the collector may take them
		memo.New(double, inner, memo.Name("sorted.b")),
		memo.New(double, memo.Name("sorted.c")),
		memo.New(double, outer, memo.Name("sorted.c")),
		memo.NewBatch(doubles, outer, memo.Name("sorted.a")),
		memo.New(double, inner, memo.Name("sorted.c")),
	}
	want := []string{"sorted.a in out%2Fer", "sorted.b in out%2Fer/inner", "sorted.c in ", "sorted.c in out%2Fer", "sorted.c in out%2Fer/inner"}
	for what, c := range map[string]struct {
		got  []memo.FuncInfo
		want []string
	}{
		"Funcs":       {infosOf(memo.Funcs(), "sorted."), want},
		"outer.Funcs": {outer.Funcs(), slices.Delete(slices.Clone(want), 2, 3)},
		"inner.Funcs": {inner.Funcs(), []string{want[1], want[4]}},
	} {
		if diff := cmp.Diff(c.want, namesIn(c.got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	runtime.KeepAlive(used)
}

func TestFuncsOfOneNameComeInTheOrderInWhichTheyWereMade(t *testing.T) {
	var used []any
	var want []string
	for i := range 20 {
		ttl := time.Duration(i+1) * time.Minute
		used = append(used, memo.New(double, memo.Name("ordered"), memo.TTL(ttl)))
		want = append(want, "TTL "+ttl.String())
	}
	var got []string
	for _, i := range infosOf(memo.Funcs(), "ordered") {
		got = append(got, i.Options[0].String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	runtime.KeepAlive(used)
}

func keepAll(int, error) bool                 { return true }
func same(n int) int                          { return n }
func keyOf(n int) string                      { return fmt.Sprint(n) }
func emptied(context.Context) context.Context { return context.Background() }

func TestFuncsTellTheOptionsInForce(t *testing.T) {
	const here = "github.com/seed-0226adef/memo_test."
	g := memo.NewGroup("legible", memo.StaleIfError(time.Hour), memo.TTL(time.Second), memo.Tags("a", "b"))
	plain := memo.New(double, memo.Name("legible.1"))
	full := memo.New(double, g, memo.Name("legible.2"), memo.TTL(memo.Forever), memo.Jitter(0.25), memo.StaleWhileRevalidate(time.Minute),
		memo.EarlyRefresh(1), memo.InheritTTL(true), memo.SoftTimeout(time.Second), memo.LoadTimeout(0),
		memo.CacheErrors(5*time.Second, nil), memo.CacheIf(keepAll), memo.LocalBytes(1<<20), memo.Clone(same), memo.ContextFrom(emptied),
		memo.Disabled(true), memo.Store(memstore.New(nil)), memo.LocalTTL(0), memo.Bus(new(hub)), memo.Codec(codec.MsgPack), memo.Prefix("p"), memo.Version("2"),
		memo.SharedName(), memo.KeyFunc(keyOf), memo.MaxBatch(7), memo.Observe(&recorder{}), memo.Observe(sulking{}),
		memo.Logger(slog.New(slog.DiscardHandler)))
	batch := memo.NewBatch(doubles, memo.Name("legible.3"), memo.NoLocal(), memo.MaxBatch(7), memo.CacheMissing(time.Minute), memo.Prefix("p"))

	got := map[string][]string{}
	for _, i := range infosOf(memo.Funcs(), "legible.") {
		for _, o := range i.Options {
			got[i.Name] = append(got[i.Name], o.String())
		}
	}
	want := map[string][]string{
		"legible.1": {"TTL 1m0s", "LoadTimeout 30s", "Local 10000"},
		"legible.2": {
			"TTL forever", "Jitter 0.25", "StaleWhileRevalidate 1m0s", "EarlyRefresh 1", "InheritTTL true",
			"StaleIfError 1h0m0s", "SoftTimeout 1s", "CacheErrors 5s", "CacheIf " + here + "keepAll",
			"LocalBytes 1048576", "Clone " + here + "same", "ContextFrom " + here + "emptied", "Disabled true",
			"Store *memstore.Store", "StoreTimeout 250ms", "LocalTTL 0s", "Bus *memo_test.hub", "Codec msgpack", "Prefix p", "Version 2", "SharedName true",
			"KeyFunc " + here + "keyOf", "Tags a, b",
			"Observe *memo_test.recorder", "Observe memo_test.sulking", "Logger slog.discardHandler",
		},
		"legible.3": {"TTL 1m0s", "LoadTimeout 30s", "NoLocal true", "MaxBatch 7", "CacheMissing 1m0s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	runtime.KeepAlive([]any{plain, full, batch})
}

func TestFuncsTellWhetherAFunctionWasUsedAndWhatItWouldBe(t *testing.T) {
	defer memo.SetDefault()
	group := memo.NewGroup("lateGroup")
	f, b := memo.New(double, memo.Name("late.f")), memo.NewBatch(doubles, memo.Name("late.g"))
	memo.SetDefault(memo.TTL(time.Hour), memo.NoLocal(), memo.Disabled(true), group)
	options := []memo.Setting{{"TTL", "1h0m0s"}, {"LoadTimeout", "30s"}, {"NoLocal", "true"}, {"Disabled", "true"}}
	want := []memo.FuncInfo{{Name: "late.f", Options: options}, {Name: "late.g", Batch: true, Options: options}}
	if diff := cmp.Diff(want, infosOf(memo.Funcs(), "late.")); diff != "" {
		t.Errorf("unused (-want +got):\n%s", diff)
	}
	f.Call(t.Context(), 1)
	memo.SetDefault() // which changes Disabled alone for what was used
	want[0].Used, want[0].Group, want[0].Options = true, "lateGroup", options[:3]
	want[1].Options = []memo.Setting{{"TTL", "1m0s"}, {"LoadTimeout", "30s"}, {"Local", "10000"}}
	if diff := cmp.Diff(want, infosOf(memo.Funcs(), "late.")); diff != "" {
		t.Errorf("one of them used (-want +got):\n%s", diff)
	}
	if got := group.Funcs(); len(got) != 1 || got[0].Stats.Executions != 1 || got[0].Stats != f.Stats() {
		t.Errorf("the group has %+v, want the function that was used, with its counters", got)
	}
	runtime.KeepAlive(b)
}

func TestFuncsKeepNoFunctionAlive(t *testing.T) {
	g := memo.NewGroup("dropped")
	func() {
		memo.New(double, g, memo.Name("dropped.used")).Call(t.Context(), 1)
		memo.New(double, memo.Name("dropped.unused"))
		if got := infosOf(memo.Funcs(), "dropped."); len(got) != 2 {
			t.Errorf("got %v, want two functions", got)
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); len(infosOf(memo.Funcs(), "dropped."))+len(g.Funcs()) > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("10s after they were dropped: %v", namesIn(infosOf(memo.Funcs(), "dropped.")))
		}
	}
	if got := g.Stats().Executions; got != 1 {
		t.Errorf("the group counts %d executions, want that of the dropped function", got)
	}
}

func TestNewThatPanicsMakesNoFunction(t *testing.T) {
	taken := memstore.New(nil)
	first := memo.New(double, memo.Store(taken), memo.Name("refused.taken"))
	for what, do := range map[string]func(){
		"an option of another type": func() { memo.New(double, memo.Name("refused"), memo.Clone(func(s string) string { return s })) },
		"an argument without a key": func() { memo.New(func(context.Context, func()) (int, error) { return 0, nil }, memo.Name("refused")) },
		"a name that is taken":      func() { memo.New(double, memo.Store(taken), memo.Name("refused.taken")) },
	} {
		if v := panicOf(do); v == "" {
			t.Errorf("%s: New did not panic", what)
		}
	}
	if got := namesIn(infosOf(memo.Funcs(), "refused")); len(got) != 1 {
		t.Errorf("got %q, want the function that has the name", got)
	}
	runtime.KeepAlive(first)
}

func TestFuncsWhileFunctionsComeAndGo(t *testing.T) {
	defer memo.SetDefault()
	memo.SetDefault(memo.NewGroup("coming"))
	g := memo.NewGroup("going")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				memo.New(double, memo.Name("coming.f")).Call(t.Context(), 1)
				memo.NewBatch(doubles, g, memo.Name("coming.b")).Call(t.Context(), []int{1})
				for _, i := range append(memo.Funcs(), g.Funcs()...) {
					if i.Name == "" || len(i.Options) == 0 {
						t.Errorf("got %+v", i)
					}
				}
				if _, err := memo.New(double, g).Peek(t.Context(), 1); !errors.Is(err, memo.ErrMiss) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
