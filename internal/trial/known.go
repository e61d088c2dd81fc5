package trial

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"time"
)

// A value is one of a type to try.
//
// It is rare if programs seldom hold it and most codecs change it, so that to
// refuse its type would refuse nearly every result: a pointer to nil or to zero,
// a string that is not text. A codec that changes a rare value does not lose the
// type; but each value of the type is then read back before it is kept.
type value struct {
	reflect.Value
	rare bool
}

// isEmpty reports whether the value is zero or has no elements. In a pointer or
// among others such a value is rare.
func (v value) isEmpty() bool {
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// isRare reports whether the zero value of a type is known to be rare.
func isRare(zero reflect.Value) bool {
	return slices.ContainsFunc(knownValues(zero.Type()), func(v value) bool { return v.rare && v.isEmpty() })
}

// knownValues returns values of a type of the standard library that its own
// functions made: made-up ones would be of no kind that can occur. The first is
// an ordinary one; the others are what is known to suffer. For other types it
// returns nil.
func knownValues(t reflect.Type) (vs []value) {
	// Package net is large, and a program that has an IP has it already.
	if t.PkgPath() == "net" && t.Name() == "IP" {
		for _, ip := range ips {
			vs = append(vs, value{Value: reflect.ValueOf(ip).Convert(t)})
		}
		return vs
	}
	return knownTypes()[t]
}

// ips are the values of net.IP: of 16 bytes and of four, which are not the same
// to programs that compare or count bytes.
var ips = [][]byte{netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("::ffff:192.0.2.1").AsSlice(), {192, 0, 2, 1}, nil}

var knownTypes = sync.OnceValue(func() map[reflect.Type][]value {
	at := time.Date(2024, 2, 29, 23, 59, 58, 123456789, time.UTC)
	longest := regexp.MustCompile("a|ab")
	longest.Longest()
	parse := func(s string) url.URL {
		u, _ := url.Parse(s)
		return *u
	}
	known := map[reflect.Type][]value{}
	for i, list := range [][]any{{
		*big.NewInt(-7), *new(big.Int).Lsh(big.NewInt(-5), 200),
		*big.NewRat(-7, 3), *big.NewRat(5, 1),
		*big.NewFloat(1.5), *new(big.Float).SetPrec(200).Quo(big.NewFloat(1), big.NewFloat(3)),
		*new(big.Float).SetPrec(64).SetMode(big.ToZero).SetInt64(3), *new(big.Float).SetInf(true),

		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("fe80::1%eth0"),
		netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("[fe80::1%eth0]:80"), netip.AddrPortFrom(netip.Addr{}, 80),
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
		parse("https://u:p@example.org:8080/a%2Fb?q=1#f"), parse("mailto:a@example.org"), parse("//host/path"), parse("?"),

		at, at.In(time.FixedZone("X", 5*3600+45*60)), at.Local(), time.Unix(0, 0), time.Time{},
		*regexp.MustCompile("a+(b|c)"), *regexp.MustCompilePOSIX("a+(b|c)"), *longest,
		json.RawMessage(`{"a":[1]}`), json.RawMessage(`{"a": [1]}`), json.RawMessage(`"<&>"`), json.RawMessage(nil),
		json.Number("7"), json.Number("1e400"), json.Number("1.50"),
	}, {
		netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), 99), at.In(time.FixedZone("LMT", 561)), json.Number(""),
	}} {
		for _, v := range list {
			t := reflect.TypeOf(v)
			known[t] = append(known[t], value{reflect.ValueOf(v), i == 1})
		}
	}
	return known
})

// texts are read by the methods of types that are not known here: what one of
// them accepts, it made itself.
var texts = []string{
	"text", "Some Text", " x ",
	"1", "a", "7", "1.5", "true", "A1", "2024-02-29", "23:59:58", "2024-02-29T23:59:58Z", "1h2m3s",
	"f47ac10b-58cc-4372-a567-0e02b2c3d479", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "a@example.org", "https://example.org/a", "192.0.2.1", "INFO", "en", "EUR",
	"{}", "[]", "null", `"a"`, `"1.5"`, `"2024-02-29"`, `"f47ac10b-58cc-4372-a567-0e02b2c3d479"`, `"a@example.org"`,
}

// awkward returns the values of a type that codecs are known to change in its
// kind. Containers are nil, empty, and filled with what is zero or nil itself.
func awkward(t reflect.Type) (vs []value) {
	add := func(v any, rare bool) { vs = append(vs, value{reflect.ValueOf(v).Convert(t), rare}) }
	floats := []float64{0.1, math.MaxFloat32, math.SmallestNonzeroFloat32, math.NaN(), math.Inf(1), math.Inf(-1)}
	switch k := t.Kind(); k {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		for _, n := range []int64{math.MinInt64, math.MaxInt64, 1<<53 + 1} {
			add(n>>(64-t.Bits()), false)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		add(uint64(math.MaxUint64)>>(64-t.Bits()), false)
	case reflect.Float32, reflect.Float64:
		for _, f := range floats {
			add(f, false)
		}
	case reflect.Complex64, reflect.Complex128:
		for _, f := range floats {
			add(complex(1, f), false)
		}
	case reflect.String:
		add("<a href='x'>&amp;</a> 日本 \u2028 \x00 \ufffd", false)
		add("\xff", true)
	case reflect.Bool, reflect.Slice, reflect.Map, reflect.Pointer:
		vs = []value{{reflect.Zero(t), true}}
		switch k {
		case reflect.Slice:
			vs = append(vs, value{reflect.MakeSlice(t, 0, 0), true}, value{reflect.MakeSlice(t, 2, 2), true})
		case reflect.Map:
			zero := reflect.MakeMap(t)
			zero.SetMapIndex(reflect.Zero(t.Key()), reflect.Zero(t.Elem()))
			vs = append(vs, value{reflect.MakeMap(t), true}, value{zero, true})
		case reflect.Pointer:
			vs = append(vs, value{reflect.New(t.Elem()).Convert(t), true})
		}
	}
	return vs
}
