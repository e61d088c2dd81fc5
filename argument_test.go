package memo_test

import (
	"context"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A leaving is a way for a call to return while fn is running, or only begins.
type leaving struct {
	name string
	opts func() []memo.Option
	old  bool // there is a result from before, whose TTL has ended
}

var leavings = []leaving{
	{name: "the caller's context ends", opts: options()},
	{name: "it returns a stale result", opts: options(memo.StaleWhileRevalidate(time.Hour)), old: true},
	{name: "SoftTimeout passes", opts: options(memo.StaleIfError(time.Hour), memo.SoftTimeout(time.Second)), old: true},
	{name: "it returns a stale result of the store", opts: func() []memo.Option {
		return []memo.Option{memo.StaleWhileRevalidate(time.Hour), memo.NoLocal(), memo.Name("f"), memo.Store(memstore.New(nil))}
	}, old: true},
}

func options(o ...memo.Option) func() []memo.Option { return func() []memo.Option { return o } }

// A changed is an argument whose caller goes on to use its memory for something else.
type changed struct {
	kind string
	try  func(t *testing.T, l leaving)
}

func changing[A any](kind string, argument func() (A, func())) changed {
	return changed{kind, func(t *testing.T, l leaving) {
		synctest.Test(t, func(t *testing.T) { checkOutlived(t, l, argument) })
	}}
}

// checkOutlived checks that fn reads what the call was made with, when the call has
// returned and its caller has changed the argument.
func checkOutlived[A any](t *testing.T, l leaving, argument func() (A, func())) {
	want, _ := argument()
	resume, prime := make(chan bool), l.old
	var read []string
	f := memo.New(func(_ context.Context, a A) (int, error) {
		if prime {
			return 0, nil
		}
		<-resume
		if !reflect.DeepEqual(a, want) {
			read = append(read, fmt.Sprintf("fn read %#v, want %#v", a, want))
		}
		return 1, nil
	}, l.opts()...)
	a, change := argument()
	if l.old {
		f.Call(t.Context(), a)
		prime = false
		time.Sleep(2 * time.Minute)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := f.Call(ctx, a); got != 0 || (err == nil) != l.old {
		t.Fatalf("got %v, %v", got, err)
	}
	change() // at once, beside fn: the race detector looks on
	close(resume)
	synctest.Wait()
	for _, msg := range read {
		t.Error(msg)
	}
}

func changingBytes() ([]byte, func()) {
	b := []byte("alice")
	return b, func() { copy(b, "mallo") }
}

func TestExecutionReadsWhatItsCallWasMadeWith(t *testing.T) {
	type inner struct{ name string }
	type outer struct {
		inner
		ID      int
		path    []string
		Next    *outer
		byName  map[string][]int
		Any     any
		corners [2]*int
	}
	unsafeString := func() (string, func()) {
		b, change := changingBytes()
		return unsafe.String(&b[0], len(b)), change
	}
	kinds := []changed{
		changing("bytes", changingBytes),
		changing("a string in a buffer that is used again", unsafeString),
		changing("a string of a type of its own", func() (named, func()) { s, c := unsafeString(); return named(s), c }),
		changing("strings in a slice", func() ([]string, func()) {
			s, change := unsafeString()
			list := []string{s, "b"}
			return list, func() { change(); list[1] = "c" }
		}),
		changing("a pointer", func() (*int, func()) { n := 1; return &n, func() { n = 2 } }),
		changing("a map", func() (map[string]*inner, func()) {
			s, change := unsafeString()
			m := map[string]*inner{"a": {"alice"}, "b": {s}}
			return m, func() { change(); m["a"].name = "mallory"; delete(m, "b") }
		}),
		changing("a struct and all that it leads to", func() (outer, func()) {
			s, change := unsafeString()
			n, list := 1, []int{1}
			o := outer{
				inner: inner{s}, ID: 1, path: []string{s}, Next: &outer{path: []string{"a"}},
				byName: map[string][]int{"a": list}, Any: []any{&inner{"a"}, []byte("b")}, corners: [2]*int{nil, &n},
			}
			return o, func() {
				change()
				o.path[0], o.Next.path[0], list[0], n = "x", "x", 2, 2
				o.Any.([]any)[0].(*inner).name, o.Any.([]any)[1] = "x", nil
			}
		}),
		changing("a number of its own", func() (*big.Int, func()) { n := big.NewInt(1 << 40); return n, func() { n.SetBit(n, 3, 1) } }),
		changing("an address", func() (net.IP, func()) { ip := net.IP{1, 2, 3, 4}; return ip, func() { ip[0] = 9 } }),
	}
	for _, l := range leavings {
		for _, k := range kinds {
			t.Run(l.name+"/"+k.kind, func(t *testing.T) { k.try(t, l) })
		}
	}
}

type named string

// With Wrap2 and Wrap3 it is several arguments.
func TestExecutionReadsTheArgumentsItsCallWasMadeWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume, read := make(chan bool), ""
		f := memo.Wrap2(func(_ context.Context, a, b []byte) (int, error) {
			<-resume
			read = string(a) + " " + string(b)
			return 0, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, b := []byte("alice"), []byte("bob")
		f(ctx, a, b)
		clear(a)
		clear(b)
		close(resume)
		synctest.Wait()
		if read != "alice bob" {
			t.Errorf("fn read %q", read)
		}
	})
}

func TestBatchReadsTheKeysItsCallWasMadeWith(t *testing.T) {
	for _, l := range leavings {
		t.Run(l.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				type key struct{ name string }
				resume, prime := make(chan bool), l.old
				var read []key
				b := memo.NewBatch(func(_ context.Context, keys []key) (map[key]string, error) {
					found := map[key]string{}
					if !prime {
						<-resume
						read = keys
					}
					for _, k := range keys {
						found[k] = "page of " + k.name
					}
					return found, nil
				}, l.opts()...)
				buf := []byte("alice")
				keys := []key{{unsafe.String(&buf[0], len(buf))}}
				if l.old {
					b.Call(t.Context(), []key{{"alice"}})
					prime = false
					time.Sleep(2 * time.Minute)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				b.Call(ctx, keys)
				copy(buf, "mallo")
				keys[0] = key{}
				close(resume)
				synctest.Wait()
				if len(read) != 1 || read[0].name != "alice" {
					t.Fatalf("fn read %v", read)
				}
				if got, err := b.Call(t.Context(), []key{{"alice"}}); got[key{"alice"}] != "page of alice" || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
			})
		})
	}
}

// A self is represented in keys by a string, and may lead to anything.
type self struct {
	id string
	_  *int
}

func (s *self) MemoKey() string { return s.id }

// What fn gets differs from what the caller gave only in where it is.
func TestCopyOfAnArgumentIsTheArgument(t *testing.T) {
	type node struct {
		Name string
		Next *node
	}
	type excluded struct {
		ID    int
		Trace *int `memo:"-"`
	}
	shared, who, count := &node{Name: "shared"}, &self{id: "a"}, new(int)
	moment := time.Now()
	type all struct {
		Nil, Empty, Some []byte
		NilMap           map[string]int
		EmptyMap         map[string]int
		A, B             *node
		When             time.Time
		Addr             netip.Addr
		Any              []any
		Type             reflect.Kind
		Who              *self
		Out              *excluded
		Lists            [][]string
		Zone             *time.Location
	}
	in := all{
		Empty: []byte{}, Some: []byte("some"), EmptyMap: map[string]int{},
		A: &node{"a", shared}, B: &node{"b", shared}, When: moment,
		Addr: netip.MustParseAddr("fe80::1%eth0"), Any: []any{1, "s", nil, []int(nil), named("n"), &node{Name: "c"}, moment},
		Who: who, Out: &excluded{1, count}, Lists: [][]string{nil, {}, {"a"}}, Zone: time.UTC,
	}
	var out all
	memo.New(func(_ context.Context, a all) (int, error) { out = a; return 0, nil }).Call(t.Context(), in)
	if !reflect.DeepEqual(in, out) {
		t.Errorf("got %+v, want %+v", out, in)
	}
	for what, same := range map[string]bool{
		"an address is comparable":         out.Addr == in.Addr,
		"a time has its monotonic reading": out.When == moment,
		"a Keyer is handed on":             out.Who == who,
		"an excluded field is handed on":   out.Out.Trace == count,
		"a location is handed on":          out.Zone == time.UTC,
		"two pointers to one node":         out.A.Next == out.B.Next,
		"a node is copied":                 out.A != in.A && out.A.Next != shared,
	} {
		if !same {
			t.Errorf("not so: %s", what)
		}
	}
}

// What a KeyFunc looks at is not known, and may be a connection; a string is copied.
func TestArgumentOfAKeyFuncIsHandedOn(t *testing.T) {
	type query struct{ list []int }
	in, same := &query{[]int{1}}, false
	memo.New(func(_ context.Context, q *query) (int, error) { same = q == in; return 0, nil },
		memo.KeyFunc(func(*query) string { return "k" })).Call(t.Context(), in)
	if !same {
		t.Error("fn got another pointer")
	}
	changing("a string", func() (string, func()) {
		b, change := changingBytes()
		return unsafe.String(&b[0], len(b)), change
	}).try(t, leaving{opts: options(memo.KeyFunc(strings.ToUpper))})
}

// The lock is not part of the key, and may be locked at the time.
func TestArgumentWithALockIsHandedOn(t *testing.T) {
	type guarded struct {
		ID int
		mu lock `memo:"-"`
	}
	in, same := &guarded{ID: 1}, false
	in.mu.Lock()
	memo.New(func(_ context.Context, g *guarded) (int, error) { same = g == in; return 0, nil }).Call(t.Context(), in)
	if !same {
		t.Error("fn got a copy of the lock")
	}
}

type lock struct{ held bool }

func (l *lock) Lock()   { l.held = true }
func (l *lock) Unlock() { l.held = false }

// Most arguments lead nowhere, and cost nothing.
func TestMissOfAScalarCopiesNothing(t *testing.T) {
	type point struct{ X, Y float64 }
	for kind, copies := range map[string]bool{
		"an int":       memo.CopiesArgument[int](),
		"an array":     memo.CopiesArgument[[4]uint64](),
		"a struct":     memo.CopiesArgument[point](),
		"an empty one": memo.CopiesArgument[struct{}](),
	} {
		if copies {
			t.Errorf("%s is looked at to be copied", kind)
		}
	}
	scalar := missAllocs(t, func(i int) int { return i })
	array := missAllocs(t, func(i int) [4]uint64 { return [4]uint64{uint64(i)} })
	if array > scalar+1 { // its key is longer
		t.Errorf("a miss allocates %v times for an array, %v for an int", array, scalar)
	}
}

func missAllocs[A any](t *testing.T, argument func(int) A) float64 {
	f, i := memo.New(func(context.Context, A) (int, error) { return 0, nil }, memo.NoLocal()), 0
	return testing.AllocsPerRun(100, func() { i++; f.Call(t.Context(), argument(i)) })
}
