package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-0226adef/memo/codec"
)

type item struct {
	Name  string
	Extra any
}

type order struct {
	Items []item
	Notes map[string]string
	Lost  any `memo:"-"`
}

// appendFails checks that Append refuses the value with an error that holds
// each of parts, and that it hands dst back.
func appendFails(t *testing.T, c codec.Codec, v any, parts ...string) {
	t.Helper()
	out, err := c.Append([]byte("dst"), v)
	if err == nil {
		t.Errorf("%s: Append(%T) = %q, want an error with %q", c.Name(), v, out[3:], parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: Append(%T) = %q, want it to contain %q", c.Name(), v, err, part)
		}
	}
	if string(out) != "dst" {
		t.Errorf("%s: Append returned %q with its error", c.Name(), out)
	}
}

// comesBack checks that the value survives.
func comesBack[T any](t *testing.T, c codec.Codec, want T) {
	t.Helper()
	data, err := c.Append(nil, &want)
	if err != nil {
		t.Errorf("%s: Append(%T): %v", c.Name(), want, err)
		return
	}
	var got T
	if err := c.Decode(data, &got); err != nil {
		t.Errorf("%s: Decode(%T): %v", c.Name(), want, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %#v came back as %#v", c.Name(), want, got)
	}
}

func TestAppendRefusesIntInsideInterface(t *testing.T) {
	v := &order{Items: []item{{}, {}, {}, {Extra: 5}}}
	for _, c := range []codec.Codec{codec.JSON, codec.MsgPack} {
		appendFails(t, c, v, "memo: codec: "+c.Name()+": value at Items[3].Extra holds int in an interface, which would come back as ")
	}
	comesBack(t, codec.Gob, *v)
}

func TestAppendRefusesInsideNestedInterfaces(t *testing.T) {
	v := &item{Extra: map[string]any{"a": []any{"b", map[string]any{"c": uint(1)}}}}
	appendFails(t, codec.JSON, v, `value at Extra["a"][1]["c"] holds uint`)
	appendFails(t, codec.MsgPack, v, `value at Extra["a"][1]["c"] holds uint`)
}

func TestAppendRefusesWhatJSONWouldRetypeInInterface(t *testing.T) {
	for v, became := range map[any]string{
		int64(1): "float64", float32(1): "float64", json.Number("1"): "float64", time.Second: "float64",
		[1]int{}: "[]any", point{}: "map[string]any", &point{}: "map[string]any", time.Time{}: "string",
	} {
		appendFails(t, codec.JSON, &v, fmt.Sprintf("holds %T in an interface, which would come back as %s", v, became))
	}
	for _, v := range []any{[]byte("b"), []string{"a"}, map[string]int{}, []any(nil), map[string]any(nil)} {
		appendFails(t, codec.JSON, &v, "in an interface")
	}
}

func TestAppendLetsOwnersLoseWhatTheyTagged(t *testing.T) {
	for _, c := range []codec.Codec{codec.JSON, codec.MsgPack} {
		if _, err := c.Append(nil, &order{Lost: 5}); err != nil {
			t.Errorf("%s: %v", c.Name(), err)
		}
	}
}

func TestMsgPackRestoresSizedNumbersInsideInterface(t *testing.T) {
	comesBack(t, codec.MsgPack, []any{
		int8(1), int16(1), int32(1), int64(1), uint8(1), uint16(1), uint32(1), uint64(1),
		float32(1), 1.0, "s", []byte{}, []any{}, map[string]any{"a": int64(math.MinInt64)}, nil, true,
	})
	comesBack(t, codec.MsgPack, map[any]any{int64(1): "a", "b": int8(2)})
}

func TestMsgPackWritesCompactIntegersWhereTheTypeIsKnown(t *testing.T) {
	v := int64(5)
	got, err := codec.MsgPack.Append(nil, &v)
	if diff := cmp.Diff([]byte{5}, got); diff != "" || err != nil {
		t.Errorf("Append(5) (-want +got), %v:\n%s", err, diff)
	}
}

func TestJSONRefusesInvalidUTF8(t *testing.T) {
	appendFails(t, codec.JSON, &order{Notes: map[string]string{"k": "a\xff"}}, `value at Notes["k"] is a string that is not valid UTF-8`)
	appendFails(t, codec.JSON, &order{Notes: map[string]string{"a\xff": ""}}, "is not valid UTF-8")
	appendFails(t, codec.JSON, &item{Extra: []any{"\xff"}}, "value at Extra[0] is a string that is not valid UTF-8")
	appendFails(t, codec.JSON, new("\xff"), "memo: codec: json: value is a string")
	for _, s := range []string{"\ufffd", `\ufffd`, `\\ufffd`} {
		comesBack(t, codec.JSON, s)
	}
}

func TestJSONDoesNotEscapeHTML(t *testing.T) {
	got, err := codec.JSON.Append(nil, new("<a & b>"))
	if want := `"<a & b>"`; string(got) != want || err != nil {
		t.Errorf("Append = %s, %v, want %s", got, err, want)
	}
}

func TestJSONRefusesNaN(t *testing.T) {
	appendFails(t, codec.JSON, new(math.NaN()), "NaN")
	appendFails(t, codec.JSON, new(math.Inf(-1)), "Inf")
}

func TestJSONRefusesZonesWithSeconds(t *testing.T) {
	at := struct{ At time.Time }{time.Date(1900, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 561))}
	appendFails(t, codec.JSON, &at, "value at At is a time whose zone is not whole minutes")
}

// A lowered is a string that UnmarshalText does not read as it is written, where json
// calls it: for keys.
type lowered string

func (l *lowered) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return errors.New("empty")
	}
	*l = lowered(strings.ToLower(string(b)))
	return nil
}

func TestJSONRefusesKeysThatWouldChange(t *testing.T) {
	appendFails(t, codec.JSON, &map[lowered]int{"a": 1}, `field [] (codec_test.lowered) would change: the key "Some Text" comes back as another`)
	lmt := time.Date(1900, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 561))
	appendFails(t, codec.JSON, &map[time.Time]int{lmt: 1}, "is a time whose zone is not whole minutes")
}

func TestGobRefusesNilAmongPointersWhoseTypeWritesItself(t *testing.T) {
	appendFails(t, codec.Gob, &[]*big.Int{nil}, "value at [0] would change: a *big.Int comes back as another")
	appendFails(t, codec.Gob, &map[string]*big.Int{"a": nil}, `value at ["a"] would change: a *big.Int comes back as another`)
	comesBack(t, codec.Gob, []*big.Int{big.NewInt(1)})
}

func TestJSONRefusesEmptyNumber(t *testing.T) {
	appendFails(t, codec.JSON, new(json.Number("")), "value would change: a json.Number comes back as another")
	comesBack(t, codec.JSON, json.Number("1e400"))
}

func TestAppendRefusesPointersToNil(t *testing.T) {
	each(t, func(t *testing.T, c codec.Codec) {
		appendFails(t, c, &struct{ P **int }{new(*int)}, "value at P")
		comesBack(t, c, struct{ P **int }{})
	})
	appendFails(t, codec.JSON, new(new([]int)), "comes back as zero or nil")
	appendFails(t, codec.MsgPack, new(new(map[string]int)), "comes back as zero or nil")
}

func TestGobRefusesPointersToZeroInFields(t *testing.T) {
	gobFails := func(v any, at string) {
		t.Helper()
		appendFails(t, codec.Gob, v, "value at "+at+" is lost: a *", "comes back as zero or nil")
	}
	gobFails(&struct{ P *int }{new(int)}, "P")
	gobFails(&struct{ P *string }{new(string)}, "P")
	gobFails(&struct{ P *bool }{new(bool)}, "P")
	gobFails(&struct{ P *float64 }{new(math.Copysign(0, -1))}, "P")
	gobFails(&struct{ P *[]int }{&[]int{}}, "P")
	gobFails(&struct{ P *any }{new(any)}, "P")
	gobFails(&[]struct{ P **int }{{}, {new(new(int))}}, "[1].P")
	comesBack(t, codec.Gob, struct{ P *point }{new(point)})
	comesBack(t, codec.Gob, struct{ P *[2]int }{new([2]int)})
	comesBack(t, codec.Gob, struct{ P *time.Time }{new(time.Time)})
	comesBack(t, codec.Gob, struct{ P *map[string]int }{&map[string]int{}})
	comesBack(t, codec.Gob, []*int{new(int)})
	comesBack(t, codec.Gob, map[string]*int{"": new(int)})
}

func TestGobRefusesTypesInInterfacesThatItWouldChange(t *testing.T) {
	comesBack(t, codec.Gob, any(registered{1}))
	appendFails(t, codec.Gob, new(any(&registered{1})), "holds *codec_test.registered in an interface, which would come back as codec_test.registered")
	appendFails(t, codec.Gob, new(any(point{})), "not registered")
	appendFails(t, codec.Gob, new(any(secretive{1, 2})), "field secret (int) is unexported")
}

func TestGobReadsInterfacesOfManyTypes(t *testing.T) {
	comesBack(t, codec.Gob, []any{1, "a", []string{"b"}, []any{registered{1}, []int{2}, map[string]any{"c": []float64{3}}}, 2.5, registered{4}})
}

func TestAppendRefusesCycles(t *testing.T) {
	type list []list
	type dict map[string]dict
	l := list{nil}
	l[0] = l
	d := dict{}
	d["d"] = d
	var a any
	loop := []any{nil}
	loop[0], a = loop, loop
	tr := &tree{}
	tr.Right = tr
	each(t, func(t *testing.T, c codec.Codec) {
		for _, v := range []any{&l, &d, &a, &tr} {
			appendFails(t, c, v, "contains itself")
		}
		type owner struct {
			Parent *tree `memo:"-"`
		}
		appendFails(t, c, &owner{tr}, "contains itself")
	})
}

func TestAppendTakesValuesNestedToTheLimit(t *testing.T) {
	deep := &tree{}
	for range 400 { // a pointer and a struct each
		deep = &tree{Left: deep}
	}
	each(t, func(t *testing.T, c codec.Codec) { comesBack(t, c, deep) })
	for range 200 {
		deep = &tree{Right: deep}
	}
	each(t, func(t *testing.T, c codec.Codec) { appendFails(t, c, &deep, "nested more than 1000 levels deep") })
}

func TestAppendIntoABufferWithRoomStaysBelowItsAllocations(t *testing.T) {
	type flat struct {
		ID   int64
		Name string
		Tags []string
		At   *time.Time
	}
	v := &flat{ID: 5, Name: "name", Tags: []string{"a"}}
	dst := make([]byte, 0, 1024)
	// Package msgpack converts a []string in a struct, which copies its header.
	for c, ceiling := range map[codec.Codec]float64{codec.JSON: 0, codec.MsgPack: 1} {
		got := testing.AllocsPerRun(200, func() {
			if _, err := c.Append(dst, v); err != nil {
				t.Fatal(err)
			}
		})
		if got > ceiling && !raceEnabled {
			t.Errorf("%s: Append makes %v allocations, want at most %v", c.Name(), got, ceiling)
		}
	}
}

// tree values of any shape, scalars of any value: what goes in comes out.
func TestValuesComeBack(t *testing.T) {
	type leaf struct {
		I int64
		U uint16
		F float64
		S string
		B []byte
		M map[string]int32
		L []string
	}
	leaves := rapid.Custom(func(t *rapid.T) leaf {
		return leaf{
			rapid.Int64().Draw(t, "I"), rapid.Uint16().Draw(t, "U"), rapid.Float64Range(-1e300, 1e300).Draw(t, "F"),
			rapid.String().Draw(t, "S"), rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "B"),
			rapid.MapOf(rapid.String(), rapid.Int32()).Draw(t, "M"), rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "L"),
		}
	})
	each(t, func(t *testing.T, c codec.Codec) {
		rapid.Check(t, func(rt *rapid.T) {
			want := rapid.SliceOfN(leaves, 0, 4).Draw(rt, "leaves")
			data, err := c.Append(nil, &want)
			if err != nil {
				rt.Fatal(err)
			}
			var got []leaf
			if err := c.Decode(data, &got); err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("(-want +got):\n%s", diff)
			}
		})
	})
}
