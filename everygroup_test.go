package memo_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/internal/function"
	"github.com/seed-0226adef/memo/store/memstore"
)

// carrying is a function of a group with the tag t, which counts its runs.
func carrying(opts ...memo.Option) *memo.Func[string, int32] {
	return memo.New(new(counter).run, append(opts, memo.Tags("t"), memo.TTL(time.Hour))...)
}

func TestInvalidateTagsReachesEveryGroup(t *testing.T) {
	function.Forget()
	outer, other := memo.NewGroup("outer"), memo.NewGroup("other")
	in := []*memo.Func[string, int32]{
		carrying(outer), carrying(memo.NewGroup("inner", outer)), carrying(other),
		carrying(memo.NewGroup("of a function alone")),
	}
	untagged := memo.New(new(counter).run, other, memo.TTL(time.Hour))
	for _, f := range append(in, untagged) {
		wantCall(t, f, 1)
	}
	if err := memo.InvalidateTags(t.Context(), "s", "t"); err != nil {
		t.Fatal(err)
	}
	for _, f := range in {
		wantCall(t, f, 2)
	}
	wantCall(t, untagged, 1)
	if err := memo.InvalidateTags(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range in {
		wantCall(t, f, 2)
	}
}

func TestInvalidateTagsReachesTheStoresOfEveryGroup(t *testing.T) {
	s1, s2 := memstore.New(nil), memstore.New(nil)
	process := func(value int32) (fs []*memo.Func[string, int32]) {
		function.Forget()
		fn := func(context.Context, string) (int32, error) { return value, nil }
		for _, g := range []*memo.Group{
			memo.NewGroup("a", memo.Store(faultstore.New(s1))),
			memo.NewGroup("b", memo.NewGroup("c"), memo.Store(faultstore.New(s2))),
		} {
			fs = append(fs, memo.New(fn, g, memo.Name("f"), memo.Tags("t")))
		}
		return fs
	}
	for _, f := range process(1) {
		wantCall(t, f, 1)
	}
	unused := process(2) // whose functions are not called before
	if err := memo.InvalidateTags(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	for _, f := range process(3) {
		wantCall(t, f, 3)
	}
	runtime.KeepAlive(unused)
}

func TestInvalidateTagsReturnsTheErrorsOfAllGroups(t *testing.T) {
	function.Forget()
	var fs []*memo.Func[string, int32]
	for _, name := range []string{"down1", "fine", "down2"} {
		p := faultstore.New(memstore.New(nil))
		fs = append(fs, carrying(memo.NewGroup(name, memo.Store(p), quietly), memo.Name("f")))
		wantCall(t, fs[len(fs)-1], 1)
		if name != "fine" {
			p.Down(errDown)
		}
	}
	err := memo.InvalidateTags(t.Context(), "t")
	if !errors.Is(err, errDown) {
		t.Fatalf("got %v, want the stores' error", err)
	}
	first, second, _ := strings.Cut(err.Error(), "\n")
	if !strings.Contains(first, "group down1: InvalidateTags has not reached a store yet") || !strings.Contains(second, "group down2: ") {
		t.Errorf("got %v, want the errors of both groups in the order in which they were made", err)
	}
	for _, f := range fs { // in this process it counts at once
		wantCall(t, f, 2)
	}
}

// It ended the program, when a test outside of bubbles came after one inside.
func TestInvalidateTagsLeavesTheGroupsOfABubbleToIt(t *testing.T) {
	function.Forget()
	p := faultstore.New(memstore.New(nil))
	var f *memo.Func[string, int32]
	synctest.Test(t, func(t *testing.T) {
		f = carrying(memo.NewGroup("of a bubble", memo.Store(p)), memo.Name("f"))
		wantCall(t, f, 1)
		if err := memo.InvalidateTags(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		wantCall(t, f, 2)
	})
	before := p.Count(faultstore.All)
	if err := memo.InvalidateTags(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if n := p.Count(faultstore.All) - before; n > 0 {
		t.Errorf("%d operations of the store that a bubble uses", n)
	}
	runtime.KeepAlive(f)
}

// ContextFrom's function may read what only the caller's goroutine may.
func TestInvalidateTagsAsksForContextsInTheCallersGoroutine(t *testing.T) {
	function.Forget()
	asked := 0 // without a lock: the race detector tells
	from := memo.ContextFrom(func(ctx context.Context) context.Context { asked++; return ctx })
	gs := []*memo.Group{memo.NewGroup("a", from), memo.NewGroup("b", from), memo.NewGroup("c", from)}
	memo.InvalidateTags(t.Context(), "t")
	if asked != len(gs) {
		t.Errorf("asked %d times, want once for each of %d groups", asked, len(gs))
	}
	runtime.KeepAlive(gs)
}

func TestInvalidateTagsKeepsNoGroupAlive(t *testing.T) {
	function.Forget()
	dropped := make(chan string, 1)
	func() {
		f := carrying(memo.NewGroup("dropped", memo.ContextFrom(func(ctx context.Context) context.Context {
			select {
			case dropped <- "":
			default:
			}
			return ctx
		})))
		memo.InvalidateTags(t.Context(), "t")
		runtime.KeepAlive(f)
	}()
	<-dropped
	for deadline := time.Now().Add(10 * time.Second); ; runtime.GC() {
		memo.InvalidateTags(t.Context(), "t")
		select {
		case <-dropped:
		default:
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("10s after it was dropped the group is still there")
		}
	}
}
