package codectest

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/seed-0226adef/memo/codec"
)

// sample is a value of everything that all codecs must hold.
type sample struct {
	ID    int64
	Name  string
	Score float64
	Tags  []string
	Attrs map[string]int
	Next  *sample
}

func newSample(id int64) *sample {
	return &sample{ID: id, Name: strings.Repeat("name ", 20), Score: 1.5, Tags: []string{"a", "b"},
		Attrs: map[string]int{"k": int(id)}, Next: &sample{ID: -id, Name: "next"}}
}

var bytesCases = []contract{{
	name:     "Name",
	sentence: "Name is stable: 1 to 16 bytes of printable ASCII without spaces",
	check: func(r *run) {
		name := r.c.Name()
		if len(name) < 1 || len(name) > 16 {
			r.broken("Name() = %q, which is %d bytes long", name, len(name))
		}
		for i := range len(name) {
			if name[i] <= ' ' || name[i] > '~' {
				r.broken("Name() = %q, which holds the byte %#x", name, name[i])
			}
		}
		if again := r.c.Name(); again != name {
			r.broken("Name() = %q, and then %q", name, again)
		}
	},
}, {
	name:     "AppendKeepsPrefix",
	sentence: "Append leaves the bytes already in dst as they are and puts the value after them",
	check: func(r *run) {
		alone, ok := r.encode(newSample(1))
		if !ok {
			return
		}
		for _, room := range []int{0, 1, 4096} {
			dst := append(make([]byte, 0, 6+room), "prefix"...)
			out, err := r.c.Append(dst, newSample(1))
			if err != nil {
				r.broken("Append(%q, v) = %v", dst, err)
				continue
			}
			if !bytes.HasPrefix(out, []byte("prefix")) || string(dst) != "prefix" {
				r.broken("the result begins with %q", out[:min(len(out), 6)])
				continue
			}
			// Map order may differ, so it is the value that is compared.
			r.reads(out[6:], newSample(1))
			r.reads(alone, newSample(1))
		}
	},
}, {
	name:     "AppendUsesCapacity",
	sentence: "When dst has the capacity, the result of Append shares its memory",
	check: func(r *run) {
		dst := make([]byte, 2, 4096)
		out, err := r.c.Append(dst, newSample(1))
		if err != nil {
			r.broken("Append = %v", err)
		} else if &out[0] != &dst[0] {
			r.broken("the result is a buffer of its own")
		}
	},
}, {
	name:     "AppendDoesNotRetain",
	sentence: "Append retains neither dst nor the value",
	check: func(r *run) {
		first, ok := r.encode(newSample(1))
		if !ok {
			return
		}
		kept := bytes.Clone(first)
		r.encode(newSample(2))
		if !bytes.Equal(first, kept) {
			r.broken("the next Append wrote into the result of the one before")
		}
	},
}, {
	name:     "AppendErrorKeepsDst",
	sentence: "When Append returns an error, it returns dst with its content and its length",
	check: func(r *run) {
		for _, v := range []any{new(chan int), &struct{ F func() }{func() {}}, &[]any{1, make(chan int)}} {
			dst := append(make([]byte, 0, 512), "prefix"...)
			out, err := r.c.Append(dst, v)
			if err != nil && string(out) != "prefix" {
				r.broken("Append(%q, %T) returned %q and %v", dst, v, out, err)
			}
		}
	},
}, {
	name:     "AppendNeedsPointer",
	sentence: "Append and Decode return an error for a v that is not a non-nil pointer, and do not panic",
	check: func(r *run) {
		for _, v := range []any{nil, (*int)(nil)} {
			if _, err := r.c.Append(nil, v); err == nil {
				r.broken("Append(nil, %T(nil)) returned no error", v)
			}
			if err := r.c.Decode([]byte("0"), v); err == nil {
				r.broken("Decode(data, %T(nil)) returned no error", v)
			}
		}
	},
}, {
	name:     "AppendCatchesPanics",
	sentence: "A panic of a method of the value is an error of Append, not a panic",
	check: func(r *run) {
		defer func() {
			if p := recover(); p != nil {
				r.broken("Append panicked: %v", p)
			}
		}()
		dst := []byte("prefix")
		out, err := r.c.Append(dst, &struct{ P panics }{})
		if err != nil && string(out) != "prefix" {
			r.broken("Append returned %q with the error %v", out, err)
		}
	},
}, {
	name:     "DecodeRetainsNothing",
	sentence: "Decode keeps no reference to data, and does not modify it",
	check: func(r *run) {
		type texts struct {
			S string
			B []byte
			M map[string]string
			L []string
		}
		want := texts{"string", []byte("bytes"), map[string]string{"key": "value"}, []string{"a", "b"}}
		data, ok := r.encode(&want)
		if !ok {
			return
		}
		before := bytes.Clone(data)
		var got texts
		if err := r.c.Decode(data, &got); err != nil {
			r.broken("Decode = %v", err)
		}
		if !bytes.Equal(data, before) {
			r.broken("Decode changed data")
		}
		for i := range data {
			data[i] = 'X'
		}
		if !reflect.DeepEqual(got, want) {
			r.broken("after data was overwritten, the value reads %+v", got)
		}
	},
}, {
	name:     "DecodeReplaces",
	sentence: "What v points to before Decode has no influence on the result",
	check: func(r *run) {
		data, ok := r.encode(&sample{ID: 1})
		if !ok {
			return
		}
		got := *newSample(7)
		if err := r.c.Decode(data, &got); err != nil {
			r.broken("Decode = %v", err)
		} else if !reflect.DeepEqual(got, sample{ID: 1}) {
			r.broken("Decode into a value that was in use gives %+v", got)
		}
		if data, ok = r.encode(&map[string]int{"new": 1}); !ok {
			return
		}
		used := map[string]int{"old": 1}
		if err := r.c.Decode(data, &used); err != nil {
			r.broken("Decode = %v", err)
		} else if !reflect.DeepEqual(used, map[string]int{"new": 1}) {
			r.broken("Decode into a map that was in use gives %v", used)
		}
	},
}, {
	name:     "DecodeRefusesTrailing",
	sentence: "Bytes left over after the value are an error of Decode",
	check: func(r *run) {
		data, ok := r.encode(newSample(1))
		if !ok {
			return
		}
		for _, tail := range []string{"x", "\x00", "\x01", "\xc0", string(data)} {
			if err := r.c.Decode(append(bytes.Clone(data), tail...), new(sample)); err == nil {
				r.broken("Decode ignored %q after the value", tail)
			}
		}
		for _, v := range []any{new(*int), new([]int), &[]int{}, new(map[string]int)} {
			data, ok := r.encode(v)
			if ok && r.decode(append(data, 1), v) == nil {
				r.broken("Decode ignored a byte after %s", short(reflect.ValueOf(v).Elem()))
			}
		}
	},
}, {
	name:     "DecodeRefusesTruncated",
	sentence: "A value that is cut short is an error of Decode",
	check: func(r *run) {
		data, ok := r.encode(newSample(1))
		if !ok {
			return
		}
		for n := range data {
			if err := r.decode(data[:n:n], new(sample)); err == nil {
				r.broken("Decode accepted the first %d of %d bytes", n, len(data))
			}
		}
	},
}, {
	name:     "DecodeSurvivesGarbage",
	sentence: "Whatever data holds, Decode returns and does not panic",
	check: func(r *run) {
		data, ok := r.encode(newSample(1))
		if !ok {
			return
		}
		for i := range data {
			for _, flip := range []byte{0x01, 0x80, 0xff} {
				bad := bytes.Clone(data)
				bad[i] ^= flip
				r.decode(bad, new(sample)) // a changed digit is no error
			}
		}
		for c := range 256 {
			for _, n := range []int{1, 2, 5, 9, 100_000} {
				bad := bytes.Repeat([]byte{byte(c)}, n)
				r.decode(bad, new(sample))
				r.decode(bad, new(any))
			}
		}
		if err := r.decode(nil, new(sample)); err == nil {
			r.broken("Decode accepted no data at all")
		}
	},
}, {
	name:     "Concurrent",
	sentence: "A codec is safe for concurrent use",
	check: func(r *run) {
		var wg sync.WaitGroup
		for id := range int64(8) {
			wg.Go(func() {
				for range 50 {
					want := newSample(id)
					data, err := r.c.Append(nil, want)
					if err != nil {
						r.broken("Append = %v", err)
						return
					}
					r.reads(data, want)
				}
			})
		}
		wg.Wait()
	},
}, {
	name:     "CheckAgreesWithAppend",
	sentence: "Append accepts no value of a type that the codec's own Check refuses, and codec.Check always says the same",
	check: func(r *run) {
		for _, v := range []any{new(sample), new(chan int), new(func()), new(hidden), new(any), new(map[sample2]int), new(complex128)} {
			t := reflect.TypeOf(v).Elem()
			first := codec.Check(r.c, t)
			_, err := r.c.Append(nil, v)
			if c, ok := r.c.(codec.Checker); ok && err == nil && c.Check(t) != nil {
				r.broken("Check(%s) = %v, and Append took one", t, first)
			}
			if again := codec.Check(r.c, t); fmt.Sprint(again) != fmt.Sprint(first) {
				r.broken("Check(%s) = %v, and then %v", t, first, again)
			}
		}
	},
}}

type hidden struct {
	Shown  int
	secret int
}

type sample2 struct{ A, B int }

// panics has every method that a codec might call, and none that works.
type panics struct{ _ int }

func (panics) MarshalJSON() ([]byte, error)   { panic("MarshalJSON") }
func (*panics) UnmarshalJSON([]byte) error    { panic("UnmarshalJSON") }
func (panics) MarshalBinary() ([]byte, error) { panic("MarshalBinary") }
func (*panics) UnmarshalBinary([]byte) error  { panic("UnmarshalBinary") }
func (panics) MarshalText() ([]byte, error)   { panic("MarshalText") }
func (*panics) UnmarshalText([]byte) error    { panic("UnmarshalText") }

// decode calls Decode and reports a panic as what it is.
func (r *run) decode(data []byte, v any) error {
	defer func() {
		if p := recover(); p != nil {
			r.broken("Decode of %d bytes that begin %q into %T panicked: %v", len(data), data[:min(len(data), 16)], v, p)
		}
	}()
	return r.c.Decode(data, v)
}

// reads checks that data is the encoding of want.
func (r *run) reads(data []byte, want *sample) {
	var got sample
	if err := r.decode(data, &got); err != nil {
		r.broken("Decode of a value just written = %v", err)
	} else if !reflect.DeepEqual(&got, want) {
		r.broken("Decode = %+v, want %+v", got, *want)
	}
}
