package memo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/internal/clock"
	"github.com/seed-0226adef/memo/internal/keys"
)

// keyFor returns the canonical key of an argument of type A.
func keyFor[A any](t *testing.T, a A) string {
	t.Helper()
	f := New(func(context.Context, A) (int, error) { return 0, nil })
	key, err := f.ownKey(&a)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The types of this test say in different ways what they are in a key.
type (
	byValue   struct{ id, noise string } // MemoKey on the value
	byPointer struct{ id, noise string } // MemoKey on the pointer
	byText    struct{ id, noise string } // MarshalText on the value
	byTextPtr struct{ id, noise string } // MarshalText on the pointer
	byBoth    struct{ id, noise string } // both; MemoKey counts
	callback  func()                     // a func that has a name for itself
	tenant    struct {                   // a MemoKey of its own before an embedded one
		byValue
		name string
	}
	addressPtr *netip.Addr // a named pointer has no methods
)

func (v byValue) MemoKey() string                 { return v.id }
func (v *byPointer) MemoKey() string              { return v.id }
func (v byText) MarshalText() ([]byte, error)     { return []byte(v.id), nil }
func (v *byTextPtr) MarshalText() ([]byte, error) { return []byte(v.id), nil }
func (v byBoth) MemoKey() string                  { return v.id }
func (v byBoth) MarshalText() ([]byte, error)     { return nil, errors.New("must not be called") }
func (callback) MemoKey() string                  { return "callback" }
func (t tenant) MemoKey() string                  { return t.name + "/" + t.id }
func (b box[T]) MemoKey() string                  { return fmt.Sprint(b.V) }

type box[T any] struct {
	V     T
	noise int
}

func TestKeysOfValues(t *testing.T) {
	one, two := 1, 2
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	reading := time.Now()
	pair := func(a, b string) string { return keyFor(t, struct{ A, B string }{a, b}) }
	tests := []struct {
		name   string
		a, b   string
		shared bool
	}{
		{"equal structs share a key", pair("a", "b"), pair("a", "b"), true},
		{"a letter cannot move from one string to the next", pair("a", "bc"), pair("ab", "c"), false},
		{"nor can a comma", pair("a,b", "c"), pair("a", "b,c"), false},
		{"nor a NUL", pair("a\x00", "b"), pair("a", "\x00b"), false},
		{"unexported fields count", keyFor(t, struct{ a, b int }{1, 2}), keyFor(t, struct{ a, b int }{1, 3}), false},
		{`a field tagged memo:"-" does not`, keyFor(t, ignoring{1, nil}), keyFor(t, ignoring{1, func() {}}), true},
		{"the other fields beside it do", keyFor(t, ignoring{1, nil}), keyFor(t, ignoring{2, nil}), false},
		{"pointers are followed", keyFor(t, &one), keyFor(t, new(1)), true},
		{"and differ when their targets do", keyFor(t, &one), keyFor(t, &two), false},
		{"nil is not zero", keyFor(t, (*int)(nil)), keyFor(t, new(0)), false},
		{"a nil slice is not an empty one", keyFor(t, []int(nil)), keyFor(t, []int{}), false},
		{"nil bytes are not empty ones", keyFor(t, []byte(nil)), keyFor(t, []byte{}), false},
		{"a nil map is not an empty one", keyFor(t, map[int]int(nil)), keyFor(t, map[int]int{}), false},
		{"capacity does not count", keyFor(t, []int{1, 2}[:1]), keyFor(t, []int{1}), true},
		{"the order in which a map was filled does not count", keyFor(t, countUp(100)), keyFor(t, countDown(100)), true},
		{"0 and -0 differ", keyFor(t, 0.0), keyFor(t, math.Copysign(0, -1)), false},
		{"every NaN is the same", keyFor(t, math.NaN()), keyFor(t, math.Float64frombits(0xfff8_0000_0000_0042)), true},
		{"every float32 NaN too", keyFor(t, float32(math.NaN())), keyFor(t, math.Float32frombits(0xffc0_0042)), true},
		{"an interface's type counts", keyFor(t, any(1)), keyFor(t, any(int64(1))), false},
		{"so does a named one", keyFor(t, any("a")), keyFor(t, any(text("a"))), false},
		{"types of one name are told apart", keyFor(t, localOne()), keyFor(t, localTwo()), false},
		{"embedding is not naming", keyFor(t, any(struct{ inner }{})), keyFor(t, any(struct{ inner inner }{})), false},
		{"the monotonic reading does not count", keyFor(t, reading), keyFor(t, reading.Round(0)), true},
		{"the same instant in another zone differs", keyFor(t, noon), keyFor(t, noon.In(time.FixedZone("CET", 3600))), false},
		{"zones of another name differ", keyFor(t, noon.In(time.FixedZone("CET", 3600))), keyFor(t, noon.In(time.FixedZone("WAT", 3600))), false},
		{"zones of another offset differ", keyFor(t, noon.In(time.FixedZone("X", 3600))), keyFor(t, noon.In(time.FixedZone("X", 7200))), false},
		{"zones of another name in one place differ", keyFor(t, noon.In(location("X", "CET", 3600))), keyFor(t, noon.In(location("X", "WAT", 3600))), false},
		{"places differ", keyFor(t, noon.In(location("X", "CET", 3600))), keyFor(t, noon.In(location("Y", "CET", 3600))), false},
		{"a nanosecond counts", keyFor(t, noon), keyFor(t, noon.Add(1)), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a == tt.b; got != tt.shared {
				t.Errorf("shared = %v, want %v\n%q\n%q", got, tt.shared, tt.a, tt.b)
			}
		})
	}
}

// Only types of one shape that functions declare are told apart by the order in which
// a process met them.
func TestTypesInInterfacesAreToldApartInTheSameWayByEveryProcess(t *testing.T) {
	seen := map[string]reflect.Type{}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[inner](), reflect.TypeFor[*inner](), reflect.TypeFor[**inner](), reflect.TypeFor[[]inner](),
		reflect.TypeFor[[]*inner](), reflect.TypeFor[[1]inner](), reflect.TypeFor[[2]inner](),
		reflect.TypeFor[map[inner]string](), reflect.TypeFor[map[string]inner](), reflect.TypeFor[map[text]inner](),
		reflect.TypeFor[box[int]](), reflect.TypeFor[box[string]](), reflect.TypeFor[box[text]](),
		reflect.TypeFor[struct{ inner }](), reflect.TypeFor[struct{ inner inner }](), reflect.TypeFor[struct{ Inner inner }](),
		reflect.TypeFor[struct{ A, B int }](), reflect.TypeFor[struct{ A int }](),
		reflect.TypeFor[struct {
			A int `memo:"-"`
		}](),
		reflect.TypeFor[string](), reflect.TypeFor[text](), reflect.TypeFor[[]any](), reflect.TypeFor[[]fmt.Stringer](), reflect.TypeFor[[]error](),
	} {
		name := keys.SpellType(typ)
		if other, taken := seen[name]; taken {
			t.Errorf("%v and %v are both spelled %s", typ, other, name)
		}
		seen[name] = typ
	}
	if got, want := keys.SpellType(reflect.TypeFor[map[text]*netip.Addr]()), "map["+reflect.TypeFor[text]().PkgPath()+".text/"+keys.Fingerprint(reflect.TypeFor[text]())+"]*net/netip.Addr/"+keys.Fingerprint(reflect.TypeFor[netip.Addr]()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The default Version knows the shape of an argument's type, but not those of the types
// that its interfaces hold. An older process took {Low, High} for {High, Low}.
func TestTypesInInterfacesAreToldApartByTheirShapes(t *testing.T) {
	before := func() reflect.Type {
		type span struct{ Low, High int }
		return reflect.TypeFor[span]()
	}
	after := func() reflect.Type {
		type span struct{ High, Low int }
		return reflect.TypeFor[span]()
	}
	if one, other := keys.SpellType(before()), keys.SpellType(after()); one == other {
		t.Errorf("both are spelled %s", one)
	}
}

type ignoring struct {
	ID   int
	Hook func() `memo:"-"`
}

func countUp(n int) map[int]int {
	m := map[int]int{}
	for i := range n {
		m[i] = i
	}
	return m
}

func countDown(n int) map[int]int {
	m := make(map[int]int, 8*n)
	for i := range n {
		m[n-1-i] = n - 1 - i
	}
	return m
}

func localOne() any {
	type local struct{ N int }
	return local{}
}

func localTwo() any {
	type local struct{ N int }
	return local{}
}

func TestKeysOfValuesThatNameThemselves(t *testing.T) {
	noisy := func(id, noise string) byValue { return byValue{id, noise} }
	moment := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	type ofPointer struct {
		time *time.Time
		_    int
	}
	tests := []struct {
		name   string
		a, b   string
		shared bool
	}{
		{"MemoKey stands for the fields", keyFor(t, noisy("a", "x")), keyFor(t, noisy("a", "y")), true},
		{"different MemoKeys differ", keyFor(t, noisy("a", "x")), keyFor(t, noisy("b", "x")), false},
		{"through a pointer too", keyFor(t, &byValue{"a", "x"}), keyFor(t, &byValue{"a", "y"}), true},
		{"on the pointer, for a value", keyFor(t, byPointer{"a", "x"}), keyFor(t, byPointer{"a", "y"}), true},
		{"on the pointer, for a pointer", keyFor(t, &byPointer{"a", "x"}), keyFor(t, &byPointer{"a", "y"}), true},
		{"on the pointer, for an element", keyFor(t, []byPointer{{"a", "x"}}), keyFor(t, []byPointer{{"a", "y"}}), true},
		{"on the pointer, for a map's key", keyFor(t, map[byPointer]int{{"a", "x"}: 1}), keyFor(t, map[byPointer]int{{"a", "y"}: 1}), true},
		{"inside an interface", keyFor(t, any(noisy("a", "x"))), keyFor(t, any(noisy("a", "y"))), true},
		{"nil is not the zero value", keyFor(t, (*byValue)(nil)), keyFor(t, new(byValue)), false},
		{"nor with a method on the pointer", keyFor(t, (*byPointer)(nil)), keyFor(t, new(byPointer)), false},
		{"MarshalText stands for the fields", keyFor(t, byText{"a", "x"}), keyFor(t, byText{"a", "y"}), true},
		{"different texts differ", keyFor(t, byText{"a", "x"}), keyFor(t, byText{"b", "x"}), false},
		{"MarshalText on the pointer, for a value", keyFor(t, byTextPtr{"a", "x"}), keyFor(t, byTextPtr{"a", "y"}), true},
		{"MarshalText on the pointer, for a pointer", keyFor(t, &byTextPtr{"a", "x"}), keyFor(t, &byTextPtr{"a", "y"}), true},
		{"nil is not the zero value of a TextMarshaler", keyFor(t, (*byText)(nil)), keyFor(t, new(byText)), false},
		{"nor with MarshalText on the pointer", keyFor(t, (*byTextPtr)(nil)), keyFor(t, new(byTextPtr)), false},
		{"texts cannot run into each other", keyFor(t, [2]byText{{id: "a"}, {id: "bc"}}), keyFor(t, [2]byText{{id: "ab"}, {id: "c"}}), false},
		{"MemoKey goes before MarshalText", keyFor(t, byBoth{"a", "x"}), keyFor(t, byBoth{"a", "y"}), true},
		{"a func can name itself", keyFor(t, callback(nil)), keyFor(t, callback(func() {})), true},
		{"a generic type can", keyFor(t, box[int]{1, 2}), keyFor(t, box[int]{1, 3}), true},
		{"a struct's own MemoKey hides an embedded one", keyFor(t, tenant{noisy("a", "x"), "t"}), keyFor(t, tenant{noisy("a", "y"), "t"}), true},
		{"and counts", keyFor(t, tenant{noisy("a", "x"), "t"}), keyFor(t, tenant{noisy("a", "x"), "u"}), false},
		{"a promoted MarshalText does not stand for the other fields", keyFor(t, stamped{moment, "a"}), keyFor(t, stamped{moment, "b"}), false},
		{"nor does a promoted MemoKey", keyFor(t, struct {
			byValue
			n int
		}{noisy("a", ""), 1}), keyFor(t, struct {
			byValue
			n int
		}{noisy("a", ""), 2}), false},
		{"a generic one neither", keyFor(t, struct {
			box[int]
			n int
		}{box[int]{}, 1}), keyFor(t, struct {
			box[int]
			n int
		}{box[int]{}, 2}), false},
		{"what is embedded still names itself", keyFor(t, struct {
			byValue
			n int
		}{noisy("a", "x"), 1}), keyFor(t, struct {
			byValue
			n int
		}{noisy("a", "y"), 1}), true},
		{"a time in a struct has its zone", keyFor(t, struct{ time.Time }{moment}), keyFor(t, struct{ time.Time }{moment.In(time.FixedZone("UTC", 0))}), true},
		{"alone in a struct, too", keyFor(t, struct{ time.Time }{moment}), keyFor(t, struct{ time.Time }{moment.In(time.FixedZone("GMT", 0))}), false},
		{"a pointer to a time is followed", keyFor(t, ofPointer{time: &moment}), keyFor(t, ofPointer{time: new(moment)}), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a == tt.b; got != tt.shared {
				t.Errorf("shared = %v, want %v\n%q\n%q", got, tt.shared, tt.a, tt.b)
			}
		})
	}
}

// locked has a MemoKey that must not be called on a copy: the copy's lock may be
// one that nobody will open.
type locked struct {
	sync.Mutex
	id string
}

func (l *locked) MemoKey() string {
	l.Lock()
	defer l.Unlock()
	return fmt.Sprintf("%p", l)
}

func TestAPointersOwnMemoKeyIsCalledOnThatPointer(t *testing.T) {
	l := &locked{id: "a"}
	if got, want := keyFor(t, l), fmt.Sprintf("%p", l); !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end in %s", got, want)
	}
}

func failOnPanic(t *testing.T) {
	if v := recover(); v != nil {
		t.Errorf("panicked: %v", v)
	}
}

// A promoted method was once called on a struct with a single field, and met
// the nil pointer there.
func TestANilEmbeddedPointerHasAKey(t *testing.T) {
	defer failOnPanic(t)
	type deadline struct{ *time.Time }
	if keyFor(t, deadline{}) == keyFor(t, deadline{new(time.Time)}) {
		t.Error("nil and zero share a key")
	}
}

// A named pointer type has no methods, whatever it points to.
func TestANamedPointerIsFollowed(t *testing.T) {
	defer failOnPanic(t)
	a, b := netip.MustParseAddr("::1"), netip.MustParseAddr("::1")
	if got, want := keyFor(t, addressPtr(&a)), keyFor(t, addressPtr(&b)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if keyFor(t, addressPtr(nil)) == keyFor(t, addressPtr(&netip.Addr{})) {
		t.Error("nil and zero share a key")
	}
}

// Elements that have no bytes in the key were once counted one by one.
func TestASliceOfNothingTakesNoTime(t *testing.T) {
	began := time.Now()
	if keyFor(t, make([]struct{}, 1<<28)) == keyFor(t, make([]struct{}, 1<<28-1)) {
		t.Error("lengths do not count")
	}
	if keyFor(t, make([][3]struct{ _ [0]int }, 1<<26)) == "" {
		t.Error("no key")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
}

// hits returns how many allocations a call takes that finds a fresh result.
func hits(call func() error) float64 {
	for began := time.Now(); time.Since(began) < 5*clock.Tick; { // until the coarse clock goes
		if err := call(); err != nil {
			return math.NaN()
		}
	}
	return testing.AllocsPerRun(1000, func() { _ = call() })
}

func hitsOf[A any](ctx context.Context, a A) float64 {
	f := Wrap(func(context.Context, A) (string, error) { return "result", nil })
	return hits(func() error { _, err := f(ctx, a); return err })
}

func TestAHitAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops buffers at random, and the next one is allocated")
	}
	type user struct {
		Tenant string
		ID     int64
		Admin  bool
		Score  float64
	}
	ctx := t.Context()
	two := Wrap2(func(context.Context, string, int) (int, error) { return 1, nil })
	three := Wrap3(func(context.Context, string, user, [2]int) (int, error) { return 1, nil })
	zero := Wrap0(func(context.Context) (int, error) { return 1, nil })
	pure := Pure(func(u user) int { return 1 })
	u := user{"acme", 42, true, 0.5}
	for name, got := range map[string]float64{
		"int64":                         hitsOf(ctx, int64(42)),
		"string":                        hitsOf(ctx, "users/42"),
		"a string of 2 KiB":             hitsOf(ctx, strings.Repeat("x", 2<<10)),
		"struct":                        hitsOf(ctx, u),
		"pointer to a struct":           hitsOf(ctx, &u),
		"struct with a string of 2 KiB": hitsOf(ctx, user{Tenant: strings.Repeat("x", 2<<10)}),
		"struct of 16 KB": hitsOf(ctx, struct {
			Samples [2000]float64
			Unit    string
		}{}),
		"[16]byte":           hitsOf(ctx, [16]byte{1, 2, 3}),
		"struct with a time": hitsOf(ctx, struct{ At time.Time }{time.Now()}),
		"struct with slices and pointers": hitsOf(ctx, struct {
			A []string
			B *user
		}{[]string{"a", "b"}, &u}),
		"Wrap0": hits(func() error { _, err := zero(ctx); return err }),
		"Wrap2": hits(func() error { _, err := two(ctx, "acme", 42); return err }),
		"Wrap3": hits(func() error { _, err := three(ctx, "acme", u, [2]int{1, 2}); return err }),
		"Pure":  hits(func() error { pure(u); return nil }),
	} {
		if got != 0 {
			t.Errorf("%s: %v allocations per hit, want 0", name, got)
		}
	}
}
