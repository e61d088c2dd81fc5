package codectest

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/seed-0226adef/memo/codec"
)

// valueCases are about the first rule: a value that Append accepts comes back
// as it was.
var valueCases = []contract{{
	name:     "Scalars",
	sentence: "Booleans, integers, floats and strings come back exactly",
	check: func(r *run) {
		keeps(r, true, false)
		keeps(r, 0, 1, -1, math.MaxInt, math.MinInt)
		keeps[int8](r, 0, -1, math.MaxInt8, math.MinInt8)
		keeps[int16](r, 0, -1, math.MaxInt16, math.MinInt16)
		keeps[int32](r, 0, -1, math.MaxInt32, math.MinInt32)
		keeps[int64](r, 0, -33, 1<<53+1, math.MaxInt64, math.MinInt64)
		keeps[uint](r, 0, 1, math.MaxUint)
		keeps[uint8](r, 0, 127, 128, math.MaxUint8)
		keeps[uint16](r, 0, 256, math.MaxUint16)
		keeps[uint32](r, 0, 1<<16, math.MaxUint32)
		keeps[uint64](r, 0, 1<<53+1, math.MaxUint64)
		keeps[float32](r, 0, 0.1, math.MaxFloat32, math.SmallestNonzeroFloat32)
		keeps[float64](r, 0, 0.1, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64)
		keeps(r, "", "plain", "<a href='x'>&amp;</a>", "日本語 \u2028 \x00", `\ufffd`, "\ufffd")
		keeps(r, time.Duration(0), time.Nanosecond, -time.Hour)
	},
}, {
	name:     "Nil",
	sentence: "A value that is a nil pointer, slice, map or interface comes back nil",
	check: func(r *run) {
		keeps[*int](r, nil)
		keeps[*sample](r, nil)
		keeps[[]int](r, nil)
		keeps[[]byte](r, nil)
		keeps[[]string](r, nil)
		keeps[map[string]int](r, nil)
		keeps[map[string]any](r, nil)
		keeps[any](r, nil)
	},
}, {
	name:     "Zero",
	sentence: "A zero value comes back as that value, and not as nil",
	check: func(r *run) {
		keeps(r, new(int), new(3))
		keeps(r, new(""))
		keeps(r, new(sample))
		keeps(r, sample{})
		keeps(r, struct{}{})
		keeps(r, [3]int{})
		keeps(r, []int{}, []int{0})
		keeps(r, []byte{}, []byte{0})
		keeps(r, map[string]int{}, map[string]int{"": 0})
	},
}, {
	name:     "Structs",
	sentence: "Structs, slices, arrays and maps come back with everything in them",
	check: func(r *run) {
		keeps(r, *newSample(1))
		keeps(r, newSample(2))
		keeps(r, []sample{*newSample(3), {}})
		keeps(r, []*sample{newSample(4)})
		keeps(r, map[string]sample{"a": *newSample(5)})
		keeps(r, map[string][]map[string]int{"a": {{"b": 1}}, "c": nil})
		keeps(r, [][]int{{1}, {2, 3}})
		keeps(r, [2][2]string{{"a", "b"}, {"c", "d"}})
		keeps(r, map[int]string{-1: "a", 1: "b"})
	},
}, {
	name:     "Large",
	sentence: "Large values come back whole",
	check: func(r *run) {
		keeps(r, strings.Repeat("0123456789", 200_000))
		keeps(r, make([]byte, 1<<20))
		many := make(map[string]int)
		list := make([]sample, 5000)
		for i := range list {
			list[i] = *newSample(int64(i))
			many[fmt.Sprint(i)] = i
		}
		keeps(r, many)
		keeps(r, list)
	},
}, {
	name:     "Times",
	sentence: "A time comes back as the same instant, to the nanosecond, whatever its zone",
	check: func(r *run) {
		zone := time.FixedZone("X", 5*3600+45*60)
		for _, at := range []time.Time{
			{}, time.Now(), time.Unix(0, 0), time.Unix(-1, 999_999_999).UTC(), time.Unix(1<<35, 1),
			time.Date(2024, 2, 29, 23, 59, 59, 123456789, zone), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
		} {
			sameInstant(r, at)
		}
	},
}, {
	name:     "NeverInSilence",
	sentence: "A value that does not come back as it was is refused by Append or by Check",
	check: func(r *run) {
		keepsOrRefuses(r, any(1), any("s"), any(1.5), any(true), any([]byte("b")), any([]any{1}), any(map[string]any{"a": 1}))
		keepsOrRefuses(r, any(sample2{1, 2}), any(&sample2{1, 2}), any(int64(1)), any(uint(1)), any([]int(nil)))
		keepsOrRefuses(r, map[string]any{"n": 1}, map[string]any{"n": []string{"a"}})
		keepsOrRefuses(r, "\xff", "a\xc0b")
		keepsOrRefuses(r, map[string]int{"\xff": 1, "\xfe": 2})
		keepsOrRefuses(r, hidden{1, 2})
		keepsOrRefuses(r, map[sample2]int{{1, 2}: 3})
		keepsOrRefuses(r, map[float64]string{0.5: "a"})
		keepsOrRefuses(r, math.Inf(1), math.Inf(-1))
		keepsOrRefuses(r, complex(1, 2))
		keepsOrRefuses(r, struct{ P *int }{new(int)}, struct{ P *int }{new(7)}, struct{ P *int }{})
		keepsOrRefuses(r, struct{ P **int }{new(*int)})
		keepsOrRefuses(r, struct{ E fmt.Stringer }{time.Second})
		keepsOrRefuses(r, struct{ E error }{fmt.Errorf("failed")})
		keepsOrRefuses(r, outer{inner{1, 2}, 3})
		keepsOrRefuses(r, []*int{nil, new(int)})
	},
}, {
	name:     "Cycles",
	sentence: "A value that contains itself is an error of Append",
	check: func(r *run) {
		self := &sample{}
		self.Next = self
		if _, err := r.c.Append(nil, self); err == nil {
			r.broken("Append accepted it")
		}
	},
}}

type inner struct{ A, B int }

type outer struct {
	inner
	A int
}

// keeps checks that each value comes back as it was.
func keeps[T any](r *run, values ...T) {
	r.Helper()
	for _, want := range values {
		data, ok := r.encode(&want)
		if !ok {
			continue
		}
		var got T
		if err := r.decode(data, &got); err != nil {
			r.broken("Decode of a %T just written = %v", want, err)
		} else if !reflect.DeepEqual(got, want) {
			r.broken("the %T %s came back as %s", want, short(want), short(got))
		}
	}
}

// keepsOrRefuses checks that each value comes back as it was, or is refused
// when it is written.
func keepsOrRefuses[T any](r *run, values ...T) {
	r.Helper()
	for _, want := range values {
		data, err := r.c.Append(nil, &want)
		if err != nil || codec.Check(r.c, reflect.TypeFor[T]()) != nil {
			continue
		}
		var got T
		if err := r.decode(data, &got); err != nil {
			r.broken("the %T %s was written and cannot be read: %v", want, short(want), err)
		} else if !reflect.DeepEqual(got, want) {
			r.broken("the %T %s came back as %s", want, short(want), short(got))
		}
	}
}

func sameInstant(r *run, want time.Time) {
	r.Helper()
	type holder struct {
		At  time.Time
		Ptr *time.Time
	}
	in := holder{want, &want}
	data, ok := r.encode(&in)
	if !ok {
		return
	}
	var got holder
	if err := r.decode(data, &got); err != nil {
		r.broken("Decode of %v = %v", want, err)
	} else if got.Ptr == nil || !got.At.Equal(want) || !got.Ptr.Equal(want) {
		r.broken("%v came back as %v and %v", want, got.At, got.Ptr)
	}
}

func short(v any) string {
	s := fmt.Sprintf("%#v", v)
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return s
}
