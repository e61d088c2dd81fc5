package codec_test

import (
	"bytes"
	"encoding/gob"
	"flag"
	"fmt"
	"math"
	"math/big"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo/codec"
)

var update = flag.Bool("update", false, "rewrite the table in docs/codecs.md")

const page = "../docs/codecs.md"

// What a codec does to the value of a row.
const (
	kept    = "yes"
	refused = "refused"   // by Check, from the type
	failed  = "no: error" // by Append, from the value
)

type row struct {
	what string
	cell func(codec.Codec) string
}

// rowOf makes a row of a value. changed names the difference when there is one.
func rowOf[T any](what string, want T, changed func(got T) string) row {
	return row{what, func(c codec.Codec) string {
		if codec.Check(c, reflect.TypeFor[T]()) != nil {
			return refused
		}
		data, err := c.Append(nil, &want)
		if err != nil {
			return failed
		}
		var got T
		if err := c.Decode(data, &got); err != nil {
			return "written but unreadable: " + err.Error()
		}
		return changed(got)
	}}
}

// exactly is for values that reflect.DeepEqual can judge.
func exactly[T any](what string, want T) row {
	return rowOf(what, want, func(got T) string {
		if reflect.DeepEqual(got, want) {
			return kept
		}
		return fmt.Sprintf("no: %#v", got)
	})
}

func holds(ok bool, otherwise string) string {
	if ok {
		return kept
	}
	return otherwise
}

type (
	tree      struct{ Left, Right *tree }
	point     struct{ X, Y int }
	secretive struct{ Shown, secret int }
	Embedded  struct{ A int }
	embedder  struct{ Embedded }
	embedsPtr struct{ *Embedded }
	reader    struct{ Err error }
	stamped   struct {
		time.Time
		Note string
	}
	registered struct{ A int }
)

// Registering is for the whole process, so it is done here for all tests.
func init() {
	for _, v := range []any{registered{}, secretive{}, failure(""), time.Time{}, []any{}, map[string]any{}} {
		gob.Register(v)
	}
}

type failure string

func (f failure) Error() string { return string(f) }

var zoned = time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.FixedZone("CET", 3600))

var rows = []row{
	exactly("bool, string, int8 to uint64, float32, float64", struct {
		B bool
		S string
		I int8
		U uint64
		F float32
		D float64
	}{true, "s", -1, math.MaxUint64, 0.1, 0.1}),
	exactly("int64 beyond 2^53", int64(1<<53+1)),
	exactly("[]byte", []byte{0, 255}),
	exactly("string of invalid UTF-8", "a\xff"),
	rowOf("NaN", math.NaN(), func(got float64) string { return holds(math.IsNaN(got), "no: a number") }),
	exactly("infinity", math.Inf(1)),
	rowOf("negative zero in a field", struct{ F float64 }{math.Copysign(0, -1)}, func(got struct{ F float64 }) string {
		return holds(math.Signbit(got.F), "no: positive zero")
	}),
	exactly("complex numbers", complex(1, 2)),
	rowOf("time.Time: the instant, to the nanosecond", zoned, func(got time.Time) string { return holds(got.Equal(zoned), "no") }),
	rowOf("time.Time: the offset of its zone", zoned, func(got time.Time) string {
		_, offset := got.Zone()
		return holds(offset == 3600, "no: local time")
	}),
	rowOf("time.Time: the name of its zone", zoned, func(got time.Time) string {
		name, _ := got.Zone()
		return holds(name == "CET", "no")
	}),
	rowOf("time.Time: the monotonic clock reading", time.Now(), func(got time.Time) string {
		return holds(strings.Contains(got.String(), "m="), "no")
	}),
	rowOf("time.Time in a zone with seconds in its offset", zoned.In(time.FixedZone("LMT", 561)), func(got time.Time) string {
		return holds(got.Equal(zoned), "no: another instant")
	}),
	exactly("nil pointer, slice, map or interface as the result", (*point)(nil)),
	exactly("empty slice as the result, not nil", []int{}),
	rowOf("empty slice in a field, not nil", struct{ S []int }{[]int{}}, func(got struct{ S []int }) string { return holds(got.S != nil, "no: nil") }),
	rowOf("empty slice among slices, not nil", [][]int{{}}, func(got [][]int) string { return holds(got[0] != nil, "no: nil") }),
	rowOf("nil slice among slices", [][]int{nil}, func(got [][]int) string { return holds(got[0] == nil, "no: empty") }),
	rowOf("empty map in a field, not nil", struct{ M map[string]int }{map[string]int{}}, func(got struct{ M map[string]int }) string {
		return holds(got.M != nil, "no: nil")
	}),
	rowOf("nil map among maps", []map[string]int{nil}, func(got []map[string]int) string { return holds(got[0] == nil, "no: empty") }),
	exactly("pointer to zero as the result", new(int)),
	exactly("pointer to zero in a field", struct{ P *int }{new(int)}),
	exactly("pointer to a zero struct in a field", struct{ P *point }{new(point)}),
	exactly("nil among pointers", []*int{nil, new(7)}),
	rowOf("nil among pointers to a type that writes itself", []*big.Int{nil, big.NewInt(7)}, func(got []*big.Int) string {
		return holds(got[0] == nil && got[1].Int64() == 7, "no")
	}),
	exactly("pointer to a nil pointer", new(*int)),
	rowOf("one pointer in two places", func() []*int { p := new(7); return []*int{p, p} }(), func(got []*int) string {
		return holds(got[0] == got[1], "no: two copies")
	}),
	exactly("recursive struct", &tree{Left: &tree{}, Right: &tree{Left: &tree{}}}),
	rowOf("value that contains itself", func() *tree { t := &tree{}; t.Left = t; return t }(), func(*tree) string { return "?" }),
	exactly("embedded struct", embedder{Embedded{1}}),
	exactly("embedded pointer, nil", embedsPtr{}),
	exactly("unexported field", secretive{1, 2}),
	exactly("channel or function in a field", struct{ F func() }{}),
	rowOf("struct that inherits MarshalJSON, GobEncode… and has other fields", stamped{zoned, "n"}, func(stamped) string { return "?" }),
	exactly("struct that inherits MarshalJSON, GobEncode… from an embedded pointer", inheritsFromPtr{&Inner{"s"}}),
	exactly("map with integer keys", map[int]string{-1: "a"}),
	exactly("map with float keys", map[float64]string{0.5: "a"}),
	exactly("map with struct keys", map[point]int{{1, 2}: 3}),
	exactly("map with keys of a string type that has UnmarshalText alone, which reads this key otherwise", map[lowered]int{"A": 1}),
	exactly("nil, bool, string or float64 in any", []any{nil, true, "s", 1.5}),
	exactly("[]any or map[string]any in any", any(map[string]any{"a": []any{"b"}})),
	exactly("int in any", any(1)),
	exactly("int64 in any", any(int64(1))),
	exactly("float32 in any", any(float32(0.5))),
	exactly("[]byte in any", any([]byte("b"))),
	rowOf("time.Time in any", any(zoned), func(got any) string {
		t, ok := got.(time.Time)
		return holds(ok && t.Equal(zoned), "no")
	}),
	exactly("struct in any, its type not given to gob.Register", any(point{1, 2})),
	exactly("struct in any, its type given to gob.Register", any(registered{1})),
	exactly("pointer in any, what it points to given to gob.Register", any(&registered{1})),
	exactly("interface with methods, what it holds given to gob.Register", reader{failure("e")}),
}

func table() string {
	var b strings.Builder
	b.WriteString("\n| | json | msgpack | gob |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s |", r.what)
		for _, c := range codecs {
			fmt.Fprintf(&b, " %s |", r.cell(c))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The page tells users what each codec loses. Nobody can keep such a list true
// by hand, so it is computed from the codecs. Update it with
//
//	go test ./codec -run TestTableInDocsIsWhatTheCodecsDo -update
func TestTableInDocsIsWhatTheCodecsDo(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(text, []byte("<!-- table -->"))
	committed, after, ok2 := bytes.Cut(rest, []byte("<!-- /table -->"))
	if !ok || !ok2 {
		t.Fatalf("%s has no <!-- table --> followed by <!-- /table -->", page)
	}
	want := table()
	if *update {
		text = fmt.Appendf(nil, "%s<!-- table -->%s<!-- /table -->%s", before, want, after)
		if err := os.WriteFile(page, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(committed)); diff != "" {
		t.Errorf("the table in %s is out of date (-codecs +page); run this test with -update:\n%s", page, diff)
	}
}

// The kinds of loss that the table reports are documented ones; a cell that
// says anything else is a loss that nobody has decided on.
func TestTableHoldsNoUndecidedLoss(t *testing.T) {
	known := map[string]bool{kept: true, refused: true, failed: true, "no": true,
		"no: local time": true, "no: nil": true, "no: empty": true, "no: positive zero": true, "no: two copies": true}
	for _, r := range rows {
		for _, c := range codecs {
			if cell := r.cell(c); !known[cell] {
				t.Errorf("%s: %s: %s", c.Name(), r.what, cell)
			}
		}
	}
}
