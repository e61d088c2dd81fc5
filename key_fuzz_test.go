package memo

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/seed-0226adef/memo/internal/keys"
)

// keysOf returns the canonical key of what v holds and the last part of its
// shared key.
func keysOf(t rapid.TB, v reflect.Value) (canonical, shared string) {
	t.Helper()
	pl, err := keys.For(v.Type())
	if err != nil {
		t.Fatalf("planOf(%v): %v", v.Type(), err)
	}
	b, err := keys.Append(nil, pl, v.Addr().UnsafePointer(), 0)
	if err != nil {
		t.Fatalf("appendKey(%v): %v", v.Type(), err)
	}
	canonical = string(b)
	keys.Release(b)
	return canonical, string(pl.AppendArgs(nil, canonical, v.Addr().UnsafePointer()))
}

// checkPair checks that a and b, of one type, share a key exactly when the
// oracle calls them equal.
func checkPair(t rapid.TB, a, b reflect.Value) {
	t.Helper()
	want := deeplyEqual(a, b)
	ka, sa := keysOf(t, a)
	kb, sb := keysOf(t, b)
	if got := ka == kb; got != want {
		t.Fatalf("%v:\n a %s\n b %s\nkeys equal: %v, values deeply equal: %v\n%q\n%q", a.Type(), spell(a), spell(b), got, want, ka, kb)
	}
	if got := sa == sb; got != want {
		t.Fatalf("%v:\n a %s\n b %s\nshared keys equal: %v, values deeply equal: %v\n%q\n%q", a.Type(), spell(a), spell(b), got, want, sa, sb)
	}
}

func spell(v reflect.Value) string { return fmt.Sprintf("%#v", v.Interface()) }

func TestTwoArgumentsShareAKeyExactlyWhenTheyAreDeeplyEqual(t *testing.T) {
	pairs := 50
	if raceEnabled {
		pairs = 5
	}
	rapid.Check(t, func(t *rapid.T) {
		m := maker{source: drawn{t}}
		typ := m.typ(3)
		for range pairs {
			a := m.value(typ)
			twin := clone(a)
			if !deeplyEqual(a, twin) {
				t.Fatalf("the oracle does not call %s equal to its copy", spell(a))
			}
			checkPair(t, a, twin)

			near := clone(a)
			m.mutate(near)
			checkPair(t, a, near)
			checkPair(t, a, m.value(typ))
		}
	})
}

// fuzzed are the types that FuzzKeyIsInjective decodes its input into.
var fuzzed = []reflect.Type{
	reflect.TypeFor[string](),
	reflect.TypeFor[struct{ A, B string }](),
	reflect.TypeFor[[]string](),
	reflect.TypeFor[[][]byte](),
	reflect.TypeFor[map[string]string](),
	reflect.TypeFor[map[float64][]int8](),
	reflect.TypeFor[any](),
	reflect.TypeFor[[]any](),
	reflect.TypeFor[*struct {
		A *string
		B string
		C *struct{ D, E int }
	}](),
	reflect.TypeFor[parts](),
	reflect.TypeFor[stamped](),
	reflect.TypeFor[complex128](),
	reflect.TypeFor[struct {
		A float32
		B bool
		C *float64
	}](),
	reflect.TypeFor[[3]struct {
		A []string
		B *[]string
	}](),
}

func FuzzKeyIsInjective(f *testing.F) {
	for i := range fuzzed {
		f.Add(byte(i), []byte("\x03\x02\x01\x02\x03"), []byte("\x03\x02\x01\x02\x04"))
		f.Add(byte(i), []byte("\x02\x09\x01a\x09\x02bc"), []byte("\x02\x09\x02ab\x09\x01c"))
	}
	f.Fuzz(func(t *testing.T, shape byte, a, b []byte) {
		typ := fuzzed[int(shape)%len(fuzzed)]
		decode := func(data []byte) reflect.Value {
			return maker{source: &decoded{data}, dynamic: fuzzed}.value(typ)
		}
		va, vb := decode(a), decode(b)
		checkPair(t, va, clone(va))
		checkPair(t, va, vb)
	})
}

// word returns the i-th string over the alphabet, the shortest first.
func word(i int, alphabet ...string) string {
	var b strings.Builder
	for ; i > 0; i = (i - 1) / len(alphabet) {
		b.WriteString(alphabet[(i-1)%len(alphabet)])
	}
	return b.String()
}

// wantDistinct checks that the first n values of a sequence without repetitions
// have n keys, and n different last parts of shared keys.
func wantDistinct[T any](t *testing.T, n int, nth func(i int) T) {
	t.Helper()
	if raceEnabled {
		n /= 20
	}
	pl, err := keys.For(reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	canonical, shared := make(map[string]int, n), make(map[string]int, n)
	var b []byte
	for i := range n {
		v := nth(i)
		if b, err = keys.Append(b[:0], pl, unsafe.Pointer(&v), 0); err != nil {
			t.Fatal(err)
		}
		text := string(pl.AppendArgs(nil, string(b), unsafe.Pointer(&v)))
		if j, taken := canonical[string(b)]; taken {
			t.Fatalf("%T: %#v and %#v share the key %q", v, nth(j), v, b)
		}
		if j, taken := shared[text]; taken {
			t.Fatalf("%T: %#v and %#v share the key %q in a store", v, nth(j), v, text)
		}
		canonical[string(b)], shared[text] = i, i
	}
}

func TestAMillionDistinctArgumentsHaveAMillionKeys(t *testing.T) {
	tricky := func(i int) string { return word(i, "a", ",", "\x00", "\x01") }
	t.Run("two strings split at every place", func(t *testing.T) {
		wantDistinct(t, 300_000, func(i int) struct{ A, B string } {
			return struct{ A, B string }{tricky(i / 500), tricky(i % 500)}
		})
	})
	t.Run("printable strings beside pointers", func(t *testing.T) {
		wantDistinct(t, 150_000, func(i int) (v struct {
			A string
			P *string
			B string
		}) {
			v.A, v.B = word(i/2%300, "a", ",", "!"), word(i/600, "a", "!nil", "b")
			if i%2 == 1 {
				v.P = &v.A
			}
			return v
		})
	})
	t.Run("integers", func(t *testing.T) {
		wantDistinct(t, 150_000, func(i int) int64 { return int64(i) * 0x1e3779b97f4a7c15 })
	})
	t.Run("slices of slices cut at every place", func(t *testing.T) {
		wantDistinct(t, 100_000, func(i int) (v [][]string) {
			v = [][]string{{""}}
			for range 12 { // before each letter: nothing, a new string, or a new slice
				switch last := &v[len(v)-1]; i % 3 {
				case 1:
					*last = append(*last, "")
				case 2:
					v = append(v, []string{""})
				}
				last := v[len(v)-1]
				last[len(last)-1] += "a"
				i /= 3
			}
			return v
		})
	})
	t.Run("pointers to integers, some nil", func(t *testing.T) {
		numbers := []int{0, 1}
		wantDistinct(t, 100_000, func(i int) (v []*int) {
			for _, c := range word(i, "n", "0", "1") {
				if c == 'n' {
					v = append(v, nil)
				} else {
					v = append(v, &numbers[c-'0'])
				}
			}
			return v
		})
	})
	t.Run("maps beside maps", func(t *testing.T) {
		wantDistinct(t, 10_000, func(i int) (m [2]map[string]int) {
			for k := 0; i > 0; k, i = k+1, i/4 {
				for j := range m {
					if m[j] == nil {
						m[j] = map[string]int{}
					}
					if i&(1<<j) != 0 {
						m[j][word(k, "a", "b")] = 1
					}
				}
			}
			return m
		})
	})
	t.Run("interfaces beside interfaces", func(t *testing.T) {
		some := []any{nil, 0, "", "a", text(""), []any{}, []any{nil}, [1]any{}}
		wantDistinct(t, 1<<15, func(i int) (v [5]any) {
			for k := range v {
				v[k] = some[i%8]
				i /= 8
			}
			return v
		})
	})
	t.Run("maps", func(t *testing.T) {
		wantDistinct(t, 60_000, func(i int) map[string]int {
			m := map[string]int{}
			for k := 0; i > 0; k, i = k+1, i/3 {
				if i%3 > 0 {
					m[word(k, "a", "b")] = i % 3
				}
			}
			return m
		})
	})
	t.Run("interfaces", func(t *testing.T) {
		wantDistinct(t, 140_000, func(i int) any {
			switch n := i / 7; i % 7 {
			case 0:
				return n
			case 1:
				return int64(n)
			case 2:
				return word(n, "\x00", "\x01")
			case 3:
				return text(word(n, "\x00", "\x01"))
			case 4:
				return []any{n}
			case 5:
				return [1]any{n}
			default:
				return struct{ N any }{n}
			}
		})
	})
}

// deeplyEqual is what design and documentation promise, said a second time and
// by other means: floats by bits with one NaN, nil apart from empty, times by
// instant and zone, interfaces by dynamic type and value.
func deeplyEqual(a, b reflect.Value) bool {
	a, b = addressable(a), addressable(b)
	if a.Type() == reflect.TypeFor[time.Time]() {
		return sameTime(a.Interface().(time.Time), b.Interface().(time.Time))
	}
	switch a.Kind() {
	case reflect.Float32, reflect.Float64:
		return sameFloat(a.Float(), b.Float())
	case reflect.Complex64, reflect.Complex128:
		x, y := a.Complex(), b.Complex()
		return sameFloat(real(x), real(y)) && sameFloat(imag(x), imag(y))
	case reflect.Struct:
		for i := range a.NumField() {
			if !deeplyEqual(field(a, i), field(b, i)) {
				return false
			}
		}
		return true
	case reflect.Array:
		return sameElems(a, b)
	case reflect.Slice:
		return a.IsNil() == b.IsNil() && a.Len() == b.Len() && sameElems(a, b)
	case reflect.Map:
		return a.IsNil() == b.IsNil() && a.Len() == b.Len() && sameEntries(a, b)
	case reflect.Pointer:
		return a.IsNil() == b.IsNil() && (a.IsNil() || deeplyEqual(a.Elem(), b.Elem()))
	case reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() && b.IsNil()
		}
		return a.Elem().Type() == b.Elem().Type() && deeplyEqual(a.Elem(), b.Elem())
	}
	return a.Equal(b)
}

func sameFloat(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Float64bits(a) == math.Float64bits(b)
}

func sameTime(a, b time.Time) bool {
	an, ao := a.Zone()
	bn, bo := b.Zone()
	return a.Equal(b.Round(0)) && an == bn && ao == bo && a.Location().String() == b.Location().String() &&
		sameRules(a.Location(), b.Location())
}

// sameRules compares what two locations say of every time, but for what says when they
// were made.
func sameRules(a, b *time.Location) bool {
	if keys.IsFixed(a) && keys.IsFixed(b) { // then Zone has said everything
		return true
	}
	for _, name := range []string{"zone", "tx", "extend"} {
		i, _ := reflect.TypeFor[time.Location]().FieldByName(name)
		if !deeplyEqual(field(reflect.ValueOf(a).Elem(), i.Index[0]), field(reflect.ValueOf(b).Elem(), i.Index[0])) {
			return false
		}
	}
	return true
}

func sameElems(a, b reflect.Value) bool {
	for i := range a.Len() {
		if !deeplyEqual(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

// sameEntries looks for a partner of every entry. Two entries of one map can be
// equal, since a map holds many NaNs, so each partner counts once.
func sameEntries(a, b reflect.Value) bool {
	free := b.MapKeys()
	left := make([]reflect.Value, len(free))
	for i, it := 0, b.MapRange(); it.Next(); i++ {
		free[i], left[i] = it.Key(), it.Value()
	}
	for it := a.MapRange(); it.Next(); {
		found := false
		for i := range free {
			if deeplyEqual(it.Key(), free[i]) && deeplyEqual(it.Value(), left[i]) {
				free, left = slices.Delete(free, i, i+1), slices.Delete(left, i, i+1)
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}
