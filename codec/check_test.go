package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-0226adef/memo/codec"
)

// Types that write themselves, wholly or by halves.
type (
	text  struct{ s string }
	half  struct{ S string }
	byPtr struct{ s string }
	Inner struct{ s string }
	small struct{ n int }
)

func (t text) MarshalText() ([]byte, error)    { return []byte(t.s), nil }
func (t *text) UnmarshalText(b []byte) error   { t.s = string(b); return nil }
func (t text) MarshalBinary() ([]byte, error)  { return t.MarshalText() }
func (t *text) UnmarshalBinary(b []byte) error { return t.UnmarshalText(b) }

func (h half) MarshalJSON() ([]byte, error)   { return json.Marshal(h.S) }
func (h half) MarshalBinary() ([]byte, error) { return []byte(h.S), nil }

func (p *byPtr) MarshalText() ([]byte, error)   { return []byte(p.s), nil }
func (p *byPtr) UnmarshalText(b []byte) error   { p.s = string(b); return nil }
func (p *byPtr) MarshalBinary() ([]byte, error) { return p.MarshalText() }
func (p *byPtr) UnmarshalBinary(b []byte) error { return p.UnmarshalText(b) }

func (i *Inner) MarshalText() ([]byte, error)   { return []byte(i.s), nil }
func (i *Inner) UnmarshalText(b []byte) error   { i.s = string(b); return nil }
func (i *Inner) MarshalBinary() ([]byte, error) { return i.MarshalText() }
func (i *Inner) UnmarshalBinary(b []byte) error { return i.UnmarshalText(b) }

// The bodies are so small that they are inlined into the wrappers of a struct
// that embeds the type.
func (s small) MarshalText() ([]byte, error)   { return nil, nil }
func (*small) UnmarshalText([]byte) error      { return nil }
func (s small) MarshalBinary() ([]byte, error) { return nil, nil }
func (*small) UnmarshalBinary([]byte) error    { return nil }

type (
	inherits struct {
		Inner
		Other int
	}
	inheritsSmall struct {
		small
		Other int
	}
	inheritsPtr struct {
		*Inner
		Other int
	}
	inheritsOnly struct{ Inner }
	inheritsDeep struct {
		inheritsOnly
		Other int
	}
	gaveUp struct {
		Inner
		Other int `memo:"-"`
	}
	overrides struct {
		Inner
		Other int
	}
	inheritsFromPtr  struct{ *Inner }
	inheritsFromDeep struct{ inheritsFromPtr }
	port             struct {
		netip.Addr
		Port int
	}
	quoted struct {
		N degree `json:",string"`
	}
	degree int
)

func (d degree) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d°", d), nil }
func (d *degree) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "%d°", d)
	return err
}

func (o overrides) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d %s", o.Other, o.s), nil }
func (o *overrides) UnmarshalText(b []byte) error {
	_, err := fmt.Sscan(string(b), &o.Other, &o.s)
	return err
}
func (o overrides) MarshalBinary() ([]byte, error)  { return o.MarshalText() }
func (o *overrides) UnmarshalBinary(b []byte) error { return o.UnmarshalText(b) }

type (
	base       struct{ ID int }
	Base       struct{ ID int }
	profile    struct{ secret string }
	user       struct{ Profile profile }
	shadowJSON struct {
		Base
		ID int
	}
	TieA    struct{ X int }
	TieB    struct{ X int }
	tieJSON struct {
		TieA
		TieB
	}
	foldJSON struct {
		A int `json:"id"`
		B int `json:"ID"`
	}
	unexportedPtr struct{ *base }
	emptyPtr      struct{ *Omitted }
	Omitted       struct {
		A int `json:",omitempty"`
	}
	dashed struct {
		A int
		B int `json:"-" msgpack:"-"`
	}
	late struct {
		ID int
		Base
	}
	aliased struct {
		A int
		B int `msgpack:"b,alias:A"`
	}
	interned struct {
		A any `msgpack:",intern"`
	}
	internedText struct {
		A string `msgpack:",intern"`
	}
	noinline struct {
		*Base `msgpack:",noinline"`
	}
	cyclicPtr *cyclicPtr
	noFields  struct {
		a int `memo:"-"`
	}
	blank struct {
		A int
		_ [0]func()
	}
	options struct {
		_msgpack struct{} `msgpack:",as_array"`
		A        int
	}
)

func TestCheckFindsWhatWouldBeLost(t *testing.T) {
	const ok = ""
	all := func(s string) [3]string { return [3]string{s, s, s} }
	for _, test := range []struct {
		of   reflect.Type
		want [3]string // part of the error of json, msgpack, gob
	}{
		{reflect.TypeFor[int](), all(ok)},
		{reflect.TypeFor[*tree](), all(ok)},
		{reflect.TypeFor[any](), all(ok)},
		{reflect.TypeFor[struct{}](), all(ok)},
		{reflect.TypeFor[time.Time](), all(ok)},
		{reflect.TypeFor[map[string]*time.Time](), all(ok)},
		{reflect.TypeFor[*url.URL](), [3]string{"User.username", ok, ok}},
		{reflect.TypeFor[netip.Addr](), all(ok)},
		{reflect.TypeFor[*big.Int](), all(ok)},
		{reflect.TypeFor[json.RawMessage](), [3]string{"nil comes back as \"null\"", ok, ok}},
		{reflect.TypeFor[blank](), all(ok)},
		{reflect.TypeFor[cyclicPtr](), all("is a pointer to itself")},

		{reflect.TypeFor[user](), [3]string{
			`field Profile.secret (string) is unexported, and json does not write it; export it, tag it memo:"-" or use another codec`,
			`field Profile.secret (string) is unexported, and msgpack does not write it`,
			`field Profile (codec_test.profile) cannot be written by gob: gob: type codec_test.profile has no exported fields`}},
		{reflect.TypeFor[map[string][]*user](), [3]string{"field [][].Profile.secret (string) is unexported", "field [][].Profile.secret (string) is unexported", "field [][].Profile (codec_test.profile)"}},
		{reflect.TypeFor[struct {
			F user `memo:"-"`
		}](), [3]string{ok, ok, "field F.Profile (codec_test.profile) cannot be written by gob"}},
		{reflect.TypeFor[noFields](), [3]string{ok, ok, "has no exported fields"}},
		{reflect.TypeFor[dashed](), [3]string{"field B (int) is lost: 4 comes back as 0", "field B (int) is lost: 4 comes back as 0", ok}},
		{reflect.TypeFor[options](), all(ok)},

		{reflect.TypeFor[chan int](), all("chan int cannot be written by")},
		{reflect.TypeFor[[]func()](), all("field [] (func()) cannot be written by")},
		{reflect.TypeFor[struct{ P unsafe.Pointer }](), all("field P (unsafe.Pointer) cannot be written by")},
		{reflect.TypeFor[struct {
			F func() `memo:"-"`
		}](), all("cannot be written")},
		{reflect.TypeFor[struct {
			A int
			F func() `memo:"-"`
		}](), [3]string{"cannot be written", "cannot be written", ok}},
		{reflect.TypeFor[complex64](), [3]string{"cannot be written by json", "cannot be written by msgpack", ok}},
		{reflect.TypeFor[uintptr](), [3]string{ok, "cannot be written by msgpack", ok}},
		{reflect.TypeFor[struct{ E error }](), [3]string{"field E (error) is an interface with methods", "field E (error)", ok}},

		{reflect.TypeFor[map[point]int](), [3]string{"map[codec_test.point]int cannot be written", ok, ok}},
		{reflect.TypeFor[map[any]int](), [3]string{"map[interface {}]int cannot be written", ok, ok}},
		{reflect.TypeFor[map[text]int](), all(ok)},
		{reflect.TypeFor[map[*int]int](), [3]string{"map[*int]int cannot be written", "the key a pointer to 4 comes back as another", "the key a pointer to 4 comes back as another"}},
		{reflect.TypeFor[map[port]int](), all("the key 192.0.2.1 comes back as another")},
		{reflect.TypeFor[quoted](), [3]string{"is written, and cannot be read back: json: invalid use of ,string struct tag", ok, ok}},

		{reflect.TypeFor[text](), all(ok)},
		{reflect.TypeFor[half](), all("writes itself with Marshal")},
		{reflect.TypeFor[byPtr](), all(ok)},
		{reflect.TypeFor[[]byPtr](), all(ok)},
		{reflect.TypeFor[map[string]*byPtr](), all(ok)},
		{reflect.TypeFor[map[string]byPtr](), [3]string{"cannot be read back", "non-addressable", "unaddressable"}},
		{reflect.TypeFor[map[string][1]byPtr](), [3]string{"cannot be read back", "non-addressable", "unaddressable"}},

		{reflect.TypeFor[stamped](), all("field Note (string) is lost")},
		{reflect.TypeFor[inherits](), all("field Other (int) is lost")},
		{reflect.TypeFor[inheritsSmall](), all("field small.n (int) is lost")},
		{reflect.TypeFor[inheritsPtr](), all("cannot be read back: Decode: panic")},
		{reflect.TypeFor[inheritsDeep](), all("field Other (int) is lost")},
		{reflect.TypeFor[inheritsOnly](), all(ok)},
		{reflect.TypeFor[inheritsFromPtr](), all("cannot be read back: Decode: panic")},
		{reflect.TypeFor[inheritsFromDeep](), all("cannot be read back: Decode: panic")},
		{reflect.TypeFor[gaveUp](), all(ok)},
		{reflect.TypeFor[overrides](), all(ok)},

		{reflect.TypeFor[shadowJSON](), [3]string{"field Base.ID (int) is lost", "field Base.ID (int) is lost", ok}},
		{reflect.TypeFor[late](), [3]string{"field Base.ID (int) is lost", ok, ok}},
		{reflect.TypeFor[tieJSON](), [3]string{"field TieA.X (int) is lost", ok, ok}},
		{reflect.TypeFor[foldJSON](), all(ok)},
		{reflect.TypeFor[unexportedPtr](), [3]string{"cannot set embedded pointer", "embeds *codec_test.base, a pointer", "has no exported fields"}},
		{reflect.TypeFor[emptyPtr](), [3]string{ok, "embeds *codec_test.Omitted, a pointer", ok}},
		{reflect.TypeFor[noinline](), all(ok)},
		{reflect.TypeFor[embedsPtr](), [3]string{ok, "embeds *codec_test.Embedded, a pointer, and msgpack brings a nil one back as a pointer to a zero struct", ok}},
		{reflect.TypeFor[aliased](), [3]string{ok, "field A (int) is lost", ok}},
		{reflect.TypeFor[interned](), [3]string{ok, "tagged intern", ok}},
		{reflect.TypeFor[internedText](), [3]string{ok, "tagged intern", ok}},
	} {
		for i, c := range codecs {
			err := codec.Check(c, test.of)
			if want := test.want[i]; want == ok && err != nil {
				t.Errorf("Check(%s, %s) = %v, want nil", c.Name(), test.of, err)
			} else if want != ok && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("Check(%s, %s) = %v, want an error with %q", c.Name(), test.of, err, want)
			}
			if _, again := c.Append(nil, reflect.New(test.of).Interface()); err != nil && again == nil {
				t.Errorf("%s: Append accepts %s, which Check refuses: %v", c.Name(), test.of, err)
			}
		}
	}
}

// What Check allows has to be true: each of these is a rule of a library that
// the plan follows.
func TestWhatCheckAllowsComesBack(t *testing.T) {
	each(t, func(t *testing.T, c codec.Codec) {
		comesBack(t, c, text{"t"})
		comesBack(t, c, []byPtr{{"p"}})
		comesBack(t, c, map[string]*byPtr{"a": {"p"}, "b": {}})
		comesBack(t, c, map[text]int{{"k"}: 1})
		comesBack(t, c, inheritsOnly{Inner{"i"}})
		comesBack(t, c, overrides{Inner{"i"}, 5})
		comesBack(t, c, foldJSON{1, 2})
		comesBack(t, c, noinline{})
		comesBack(t, c, noinline{&Base{}})
		comesBack(t, c, netip.MustParseAddr("::1"))
		comesBack(t, c, big.NewInt(-5))
		comesBack(t, c, struct{ N, Nil *big.Int }{N: big.NewInt(5)})
		comesBack(t, c, new(netip.MustParseAddr("::1")))
	})
	comesBack(t, codec.JSON, embedsPtr{})
	comesBack(t, codec.JSON, embedsPtr{&Embedded{}})
	comesBack(t, codec.JSON, embeds{base{1}, 2})
	comesBack(t, codec.MsgPack, late{1, Base{2}})
	comesBack(t, codec.MsgPack, embeds{base{1}, 2})
	comesBack(t, codec.MsgPack, options{A: 5})
	comesBack(t, codec.MsgPack, &url.URL{Scheme: "https", Host: "h"})
	comesBack(t, codec.Gob, shadowJSON{Base{1}, 2})
	comesBack(t, codec.Gob, map[any]int{1: 2, "a": 3})
}

type embeds struct {
	base
	Other int
}

type plainCodec struct{ codec.Codec }

// A codec that embeds another one has no Check, and lost the check with it.
func TestCheckTriesCodecsThatAreMadeFromOthers(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[chan int](), reflect.TypeFor[user](), reflect.TypeFor[dashed](), reflect.TypeFor[map[string]byPtr](), reflect.TypeFor[struct{ E error }]()} {
		want := codec.Check(codec.JSON, of)
		got := codec.Check(plainCodec{codec.JSON}, of)
		if fmt.Sprint(got) != fmt.Sprint(want) || want == nil {
			t.Errorf("Check(%s) = %v, want %v", of, got, want)
		}
	}
}

func TestCheckNeedsACodecAndAType(t *testing.T) {
	if codec.Check(nil, reflect.TypeFor[int]()) == nil || codec.Check(codec.JSON, nil) == nil {
		t.Error("Check without a codec or a type gave no error")
	}
}

type generic[T any] struct{ A T }

func TestCheckTellsTheSameConcurrently(t *testing.T) {
	each(t, func(t *testing.T, c codec.Codec) {
		errs := make(chan error, 16)
		for range cap(errs) {
			go func() { errs <- codec.Check(c, reflect.TypeFor[generic[profile]]()) }()
		}
		for range cap(errs) {
			if err := <-errs; err == nil || !strings.HasPrefix(err.Error(), "field A") {
				t.Errorf("Check = %v", err)
			}
		}
	})
}

type angry struct{}

func (angry) MarshalText() ([]byte, error)   { panic(errAngry) }
func (*angry) UnmarshalText([]byte) error    { panic(errAngry) }
func (angry) MarshalBinary() ([]byte, error) { panic(errAngry) }
func (*angry) UnmarshalBinary([]byte) error  { panic(errAngry) }

var errAngry = errors.New("angry")

func TestPanicsOfMethodsAreErrors(t *testing.T) {
	each(t, func(t *testing.T, c codec.Codec) {
		if _, err := c.Append(nil, new(angry)); !errors.Is(err, errAngry) {
			t.Errorf("Append = %v, want one that wraps %v", err, errAngry)
		}
		data, err := c.Append(nil, new(text{"t"}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Decode(data, new(angry)); !errors.Is(err, errAngry) {
			t.Errorf("Decode = %v, want one that wraps %v", err, errAngry)
		}
	})
}

// Fields that are there to be lost are used by nobody.
var _ = []any{small{1}, profile{"s"}, noFields{1}, options{struct{}{}, 1}, Profile{"n", "s"}}

// The sample of a recursive type has to end somewhere. It once ended in nil pointers among
// elements, which gob cannot write, and so the type was refused.
func TestRecursiveTypesAreNotRefusedForWhereTheirSamplesEnd(t *testing.T) {
	type tree struct {
		N    int
		Kids []*tree
		Refs map[string]*tree
		More [][]*tree
	}
	for _, c := range []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob} {
		if err := codec.Check(c, reflect.TypeFor[*tree]()); err != nil {
			t.Errorf("%s: %v", c.Name(), err)
		}
	}
}

// What gob writes of a struct with pointers is read back and compared, which must not cost
// more than the reading.
func TestComparingCostsNothingForEachElement(t *testing.T) {
	v := struct {
		P *float64
		F []float64
	}{F: make([]float64, 10_000)}
	allocs := testing.AllocsPerRun(3, func() {
		if _, err := codec.Gob.Append(nil, &v); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 5_000 {
		t.Errorf("%.0f allocations for 10,000 numbers", allocs)
	}
}
