package trial

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"sync"
	"time"
)

// A variant is one way to set a value of a type.
//
// A value is rare if programs seldom hold it and most codecs change it, so that
// to refuse its type would refuse nearly every result: a pointer to nil or to
// zero, a string that is not text. A codec that changes a rare value does not
// lose the type; but each value of the type is then read back before it is kept.
type variant struct {
	set  func(reflect.Value)
	rare bool
}

// isEmpty reports whether the variant is zero or has no elements. In a pointer
// or among others such a value is rare.
func (by variant) isEmpty(t reflect.Type) bool {
	v := reflect.New(t).Elem()
	by.set(v)
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

// isRare reports whether the zero value of a type is known to be rare.
func isRare(zero reflect.Value) bool {
	for _, by := range knownTypes()[zero.Type()] {
		if by.rare && by.isEmpty(zero.Type()) {
			return true
		}
	}
	return false
}

// knownTypes are the types of the standard library that write themselves, each
// with values that its own functions make: made-up ones would be of no kind
// that can occur. The first is an ordinary value; the others are what is known
// to suffer.
var knownTypes = sync.OnceValue(func() known {
	k := known{}
	k.numbers()
	k.addresses()
	k.others()
	return k
})

type known map[reflect.Type][]variant

func add[T any](k known, values ...T) {
	for _, v := range values {
		t := reflect.TypeFor[T]()
		k[t] = append(k[t], variant{set: func(at reflect.Value) { at.Set(reflect.ValueOf(v)) }})
	}
}

// addRare is add for a value that is rare.
func addRare[T any](k known, v T) {
	add(k, v)
	vs := k[reflect.TypeFor[T]()]
	vs[len(vs)-1].rare = true
}

func (k known) others() {
	at := time.Date(2024, 2, 29, 23, 59, 58, 123456789, time.UTC)
	add(k, at, at.In(time.FixedZone("X", 5*3600+45*60)), at.Local(), time.Unix(0, 0), time.Time{})
	addRare(k, at.In(time.FixedZone("LMT", 561)))

	add(k, *regexp.MustCompile("a+(b|c)"), *regexp.MustCompilePOSIX("a+(b|c)"))
	lazy := regexp.MustCompile("a|ab")
	lazy.Longest()
	add(k, *lazy)

	add(k, json.RawMessage(`{"a":[1]}`), json.RawMessage(`{"a": [1]}`), json.RawMessage(`"<&>"`), json.RawMessage(nil))
	add(k, json.Number("7"), json.Number("1e400"), json.Number("1.50"))
	addRare(k, json.Number(""))
}

func (k known) numbers() {
	add(k, *big.NewInt(-7), *new(big.Int).Lsh(big.NewInt(-5), 200))
	add(k, *big.NewRat(-7, 3), *big.NewRat(5, 1))
	add(k, *big.NewFloat(1.5), *new(big.Float).SetPrec(200).Quo(big.NewFloat(1), big.NewFloat(3)),
		*new(big.Float).SetPrec(64).SetMode(big.ToZero).SetInt64(3), *new(big.Float).SetInf(true))
}

func (k known) addresses() {
	add(k, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("fe80::1%eth0"))
	add(k, netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("[fe80::1%eth0]:80"), netip.AddrPortFrom(netip.Addr{}, 80))
	add(k, netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"))
	addRare(k, netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), 99))

	for _, s := range []string{"https://u:p@example.org:8080/a%2Fb?q=1#f", "mailto:a@example.org", "//host/path", "?"} {
		u, err := url.Parse(s)
		if err != nil {
			panic(err)
		}
		add(k, *u)
	}
}

// isKnown reports whether there are values of t that need not be made up.
func isKnown(t reflect.Type) bool { return knownTypes()[t] != nil || isIP(t) }

// isIP tells net.IP by its name: package net is large, and whoever has an IP
// has it already.
func isIP(t reflect.Type) bool { return t.PkgPath() == "net" && t.Name() == "IP" }

// addresses are the values of net.IP: of 16 bytes and of four, which are not
// the same to programs that compare or count bytes.
var addresses = []variant{
	{set: func(v reflect.Value) { v.SetBytes(netip.MustParseAddr("2001:db8::1").AsSlice()) }},
	{set: func(v reflect.Value) { v.SetBytes(netip.MustParseAddr("::ffff:192.0.2.1").AsSlice()) }},
	{set: func(v reflect.Value) { v.SetBytes([]byte{192, 0, 2, 1}) }},
	{set: func(v reflect.Value) { v.SetBytes(nil) }},
}

// texts are read by the methods of types that are not known here: what one of
// them accepts, it made itself.
var texts = []string{
	"1", "a", "7", "1.5", "true", "A1", "2024-02-29", "23:59:58", "2024-02-29T23:59:58Z", "1h2m3s",
	"f47ac10b-58cc-4372-a567-0e02b2c3d479", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "a@example.org", "https://example.org/a", "192.0.2.1", "INFO", "en", "EUR",
	"{}", "[]", "null", `"a"`, `"1.5"`, `"2024-02-29"`, `"f47ac10b-58cc-4372-a567-0e02b2c3d479"`, `"a@example.org"`,
}

// awkward are the values of a kind that codecs are known to change.
func awkward(k reflect.Kind) []variant {
	switch k {
	case reflect.Bool:
		return []variant{{set: func(v reflect.Value) { v.SetBool(false) }}}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return []variant{
			{set: func(v reflect.Value) { v.SetInt(math.MinInt64 >> (64 - v.Type().Bits())) }},
			{set: func(v reflect.Value) { v.SetInt(math.MaxInt64 >> (64 - v.Type().Bits())) }},
			{set: func(v reflect.Value) { v.SetInt((1<<53 + 1) >> (64 - v.Type().Bits())) }},
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return []variant{{set: func(v reflect.Value) { v.SetUint(math.MaxUint64 >> (64 - v.Type().Bits())) }}}
	case reflect.Float32, reflect.Float64:
		return floats(func(v reflect.Value, f float64) { v.SetFloat(f) })
	case reflect.Complex64, reflect.Complex128:
		return floats(func(v reflect.Value, f float64) { v.SetComplex(complex(1, f)) })
	case reflect.String:
		return []variant{
			{set: func(v reflect.Value) { v.SetString("<a href='x'>&amp;</a> 日本 \u2028 \x00 \ufffd") }},
			{set: func(v reflect.Value) { v.SetString("\xff") }, rare: true},
		}
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return containers
	}
	return nil
}

func floats(set func(reflect.Value, float64)) (vs []variant) {
	for _, f := range []float64{0.1, math.MaxFloat32, math.SmallestNonzeroFloat32, math.NaN(), math.Inf(1), math.Inf(-1)} {
		vs = append(vs, variant{set: func(v reflect.Value) { set(v, f) }})
	}
	return vs
}

// containers are nil, empty, and filled with what is zero or nil itself.
var containers = []variant{
	{set: func(v reflect.Value) { v.SetZero() }},
	{set: func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
		}
	}},
	{rare: true, set: func(v reflect.Value) {
		switch t := v.Type(); v.Kind() {
		case reflect.Slice:
			v.Set(reflect.MakeSlice(t, 2, 2))
		case reflect.Map:
			v.Set(reflect.MakeMap(t))
			v.SetMapIndex(reflect.Zero(t.Key()), reflect.Zero(t.Elem()))
		case reflect.Pointer:
			v.Set(reflect.New(t.Elem()).Convert(t))
		}
	}},
}
