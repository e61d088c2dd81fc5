package memo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0226adef/memo/internal/keys"
)

// memoized returns a memoized function of an A whose shared keys have opts.
func memoized[A any](opts ...Option) *Func[A, int] {
	return New(func(context.Context, A) (int, error) { return 0, nil }, append([]Option{Name("f"), Version("v")}, opts...)...)
}

func sharedKeyOf[A any](t rapid.TB, f *Func[A, int], a A) string {
	t.Helper()
	key, err := f.Key(a)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// argsOf returns what stands for a in a shared key.
func argsOf[A any](t *testing.T, a A) string {
	t.Helper()
	args, ok := strings.CutPrefix(sharedKeyOf(t, memoized[A](), a), ":f:v:-:")
	if !ok {
		t.Fatalf("a key of %v does not begin with :f:v:-:", a)
	}
	return args
}

func TestASharedKeyNamesPrefixFunctionVersionAndEpoch(t *testing.T) {
	byID := New(func(context.Context, int64) (string, error) { return "", nil }, Prefix("shop"), Name("users.byID"))
	key, err := byID.Key(42)
	if err != nil {
		t.Fatal(err)
	}
	// The version is golden: if it changes, every program that is updated
	// loses what its store holds.
	if want := "shop:users.byID:fdcb5a6c:-:42"; key != want {
		t.Errorf("got %s, want %s", key, want)
	}
}

func TestShortArgumentsAreLegible(t *testing.T) {
	type id struct {
		Tenant string
		N      int
	}
	n := 42
	for _, tt := range []struct{ got, want string }{
		{argsOf(t, 42), "42"},
		{argsOf(t, int8(-128)), "-128"},
		{argsOf(t, int16(math.MinInt16)), "-32768"},
		{argsOf(t, int32(math.MinInt32)), "-2147483648"},
		{argsOf(t, int64(math.MinInt64)), "-9223372036854775808"},
		{argsOf(t, uint8(math.MaxUint8)), "255"},
		{argsOf(t, uint16(math.MaxUint16)), "65535"},
		{argsOf(t, uint32(math.MaxUint32)), "4294967295"},
		{argsOf(t, uint64(math.MaxUint64)), "18446744073709551615"},
		{argsOf(t, uint(7)), "7"},
		{argsOf(t, uintptr(7)), "7"},
		{argsOf(t, true), "true"},
		{argsOf(t, 1.5), "1.5"},
		{argsOf(t, float32(0.1)), "0.1"},
		{argsOf(t, math.Copysign(0, -1)), "-0"},
		{argsOf(t, math.NaN()), "NaN"},
		{argsOf(t, 1+2i), "1,2"},
		{argsOf(t, "alice"), "alice"},
		{argsOf(t, "a:b/c%20d?e=f"), "a:b/c%20d?e=f"},
		{argsOf(t, text("alice")), "alice"},
		{argsOf(t, ""), ""},
		{argsOf(t, strings.Repeat("x", 90)), strings.Repeat("x", 90)},
		{argsOf(t, id{"acme", 42}), "acme,42"},
		{argsOf(t, struct{ A, B string }{}), ","},
		{argsOf(t, struct {
			ID    id
			Admin bool
		}{id{"acme", 42}, false}), "acme,42,false"},
		{argsOf(t, &n), "42"},
		{argsOf(t, &id{"acme", 42}), "acme,42"},
		{argsOf(t, (*id)(nil)), "!nil"},
		{argsOf(t, struct{}{}), ""},
		{argsOf(t, ignoring{ID: 7}), "7"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestLongAndBinaryArgumentsAreHashed(t *testing.T) {
	n := new(int)
	for name, got := range map[string]string{
		"a space":               argsOf(t, "a b"),
		"a comma":               argsOf(t, "a,b"),
		"an exclamation mark":   argsOf(t, "!nil"),
		"a number sign":         argsOf(t, "#1"),
		"a NUL":                 argsOf(t, "\x00"),
		"DEL":                   argsOf(t, "\x7f"),
		"a letter beyond ASCII": argsOf(t, "é"),
		"broken UTF-8":          argsOf(t, "\xff"),
		"91 letters":            argsOf(t, strings.Repeat("x", 91)),
		"two strings too long":  argsOf(t, struct{ A, B string }{strings.Repeat("x", 50), strings.Repeat("x", 50)}),
		"bytes":                 argsOf(t, []byte("abc")),
		"a slice":               argsOf(t, []int{1}),
		"a map":                 argsOf(t, map[int]int{}),
		"a time":                argsOf(t, time.Time{}),
		"an interface":          argsOf(t, any(1)),
		"a pointer to one":      argsOf(t, &n),
		"a recursive type":      argsOf(t, chain{}),
	} {
		if len(got) != 65 || got[0] != '#' || strings.Trim(got[1:], "0123456789abcdef") != "" {
			t.Errorf("%s: got %q, want # and 64 hexadecimal digits", name, got)
		}
	}
	sum := sha256.Sum256([]byte("a b"))
	if got, want := argsOf(t, "a b"), "#"+hex.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s, the SHA-256 of the string", got, want)
	}
}

// A fleet has machines of many kinds, and programs of many ages: what they make
// of an argument must be the same.
func TestHashedArgumentsAreStable(t *testing.T) {
	type point struct {
		X, Y int
		Flat [2]uint16
	}
	for _, tt := range []struct{ name, got, want string }{
		{"integers", argsOf(t, []point{{1, -2, [2]uint16{3, 4}}}), "#f6942291cf512ac5a8aef2fd2444376514e1fae7292f3f9f06b6f8f77d02aa89"},
		{"strings", argsOf(t, map[string][]string{"b": {"x", ""}, "a": nil}), "#2d9fbd8adee6873c50438055551d9f892fa11ae6cfcb61666f43af3d6038b5c0"},
		{"interfaces", argsOf(t, []any{nil, 1, "a", 1.5, true, []byte("b")}), "#77ab5e5c19eafbbe89335a524be7ea2d9ad77891f76e68568dd1c15d207c4819"},
		{"times", argsOf(t, time.Date(2026, 1, 1, 12, 0, 0, 5, time.FixedZone("CET", 3600))), "#594a23c02fcef4563f71d23cc182358f6c44d0f92d3c7c074b9f6c09a698e9a9"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}

func TestPartsOfASharedKeyCannotRunIntoEachOther(t *testing.T) {
	for _, tt := range []struct{ name, a, b string }{
		{
			"a colon in prefix and name",
			sharedKeyOf(t, memoized[int](Prefix("a:b"), Name("c")), 1),
			sharedKeyOf(t, memoized[int](Prefix("a"), Name("b:c")), 1),
		}, {
			"an empty prefix",
			sharedKeyOf(t, memoized[int](Prefix(""), Name("a:b")), 1),
			sharedKeyOf(t, memoized[int](Prefix("a"), Name("b")), 1),
		}, {
			"a name that looks escaped",
			sharedKeyOf(t, memoized[int](Name("a:b")), 1),
			sharedKeyOf(t, memoized[int](Name("a%3Ab")), 1),
		}, {
			"a colon in the version",
			sharedKeyOf(t, memoized[int](Name("a"), Version("b:c")), 1),
			sharedKeyOf(t, memoized[int](Name("a:b"), Version("c")), 1),
		}, {
			"a colon in the argument",
			sharedKeyOf(t, memoized[string](Version("1")), "-:x"),
			sharedKeyOf(t, memoized[string](Version("1:-")), "x"),
		}, {
			"a comma between fields",
			sharedKeyOf(t, memoized[struct{ A, B string }](), struct{ A, B string }{"a,b", "c"}),
			sharedKeyOf(t, memoized[struct{ A, B string }](), struct{ A, B string }{"a", "b,c"}),
		}, {
			"an argument that looks hashed",
			sharedKeyOf(t, memoized[string](), "a b"),
			sharedKeyOf(t, memoized[string](), argsOf(t, "a b")),
		}, {
			"nil and a string that looks like it",
			sharedKeyOf(t, memoized[*string](), nil),
			sharedKeyOf(t, memoized[*string](), new("!nil")),
		}, {
			"a prefix that looks like a hashed head",
			sharedKeyOf(t, memoized[string](Prefix(strings.Repeat("x", 200))), "f:v:-:1"),
			sharedKeyOf(t, memoized[string](Prefix(string(keys.AppendText(nil, strings.Repeat("x", 200)+":f:v:-:")))), "1"),
		}, {
			"two heads too long",
			sharedKeyOf(t, memoized[string](Prefix(strings.Repeat("x", 200))), "1"),
			sharedKeyOf(t, memoized[string](Prefix(strings.Repeat("x", 200)), Name("g")), "1"),
		},
	} {
		if tt.a == tt.b {
			t.Errorf("%s: both are %s", tt.name, tt.a)
		}
	}
}

// trickyString draws strings in which parts of keys could be mistaken for one
// another.
var trickyString = rapid.OneOf(
	rapid.String(),
	rapid.StringOfN(rapid.SampledFrom([]rune{':', '%', '#', ',', '!', '-', '3', 'A', 'a', 'é', ' ', 0}), 0, 8, -1),
	rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	rapid.Map(rapid.IntRange(0, 300), func(n int) string { return strings.Repeat("x", n) }),
)

func TestASharedKeySuitsEveryStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix, version := trickyString.Draw(t, "prefix"), trickyString.Draw(t, "version")
		name := trickyString.Filter(func(s string) bool { return s != "" }).Draw(t, "name")
		opts := []Option{Prefix(prefix), Name(name), Version(version)}
		a, b := trickyString.Draw(t, "a"), trickyString.Draw(t, "b")
		for _, key := range []string{
			sharedKeyOf(t, memoized[string](opts...), a),
			sharedKeyOf(t, memoized[struct {
				A string
				N float64
				B *string
			}](opts...), struct {
				A string
				N float64
				B *string
			}{a, rapid.Float64().Draw(t, "n"), &b}),
			sharedKeyOf(t, memoized[[]string](opts...), []string{a, b}),
			sharedKeyOf(t, memoized[int](append(opts, KeyFunc(func(int) string { return a }))...), 1),
		} {
			if len(key) > 250 {
				t.Fatalf("%d bytes: %s", len(key), key)
			}
			if i := strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
				t.Fatalf("%q at %d: %q", key[i], i, key)
			}
		}
	})
}

func TestASharedKeyIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			var a [5]string
			for i := range a {
				a[i] = trickyString.Draw(t, "a")
			}
			b := a
			if rapid.Bool().Draw(t, "move") { // the end of a part to the beginning of the next
				i := rapid.IntRange(0, 3).Draw(t, "from")
				at := rapid.IntRange(0, len(b[i])).Draw(t, "at")
				b[i], b[i+1] = b[i][:at], b[i][at:]+b[i+1]
			} else {
				b[rapid.IntRange(0, 4).Draw(t, "which")] = trickyString.Draw(t, "b")
			}
			ka := keys.Head(keys.Prefix(a[0]), a[1], a[2], a[3]) + string(keys.AppendText(nil, a[4]))
			kb := keys.Head(keys.Prefix(b[0]), b[1], b[2], b[3]) + string(keys.AppendText(nil, b[4]))
			if got, want := ka == kb, a == b; got != want {
				t.Fatalf("%q and %q: keys equal: %v\n%s\n%s", a, b, got, ka, kb)
			}
		}
	})
}

func TestKeyFuncReplacesTheCanonicalKey(t *testing.T) {
	type request struct {
		ID   string
		Hook func() // cannot be part of a canonical key
	}
	f := memoized[request](KeyFunc(func(r request) string { return strings.ToLower(r.ID) }))
	for id, want := range map[string]string{"A1": ":f:v:-:a1", "a1": ":f:v:-:a1", "": ":f:v:-:"} {
		if got := sharedKeyOf(t, f, request{ID: id}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := sharedKeyOf(t, f, request{ID: "a b"}); !strings.HasPrefix(got, ":f:v:-:#") {
		t.Errorf("got %s, want a hash", got)
	}
}
