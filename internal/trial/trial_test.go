package trial_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/codec"
	"github.com/seed-0226adef/memo/internal/trial"
)

var codecs = []codec.Codec{codec.JSON, codec.MsgPack, codec.Gob}

// bare is what a user writes first: encoding/json, and nothing that looks after
// what it loses.
type bare struct{}

func (bare) Name() string { return "bare" }

func (bare) Append(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func (bare) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

// Types that write themselves.
type (
	lossy  int                               // of many values, some have one text
	strict int                               // 1 and 2
	mail   string                            // only what looks like an address
	money  struct{ amount, currency string } // writes one of its fields
	bag    struct {                          // n is always len(m)
		m map[string]bool
		n int
	}
	maybe struct { // Text counts if Valid
		Text  string
		Valid bool
	}
	option[T any] struct { // v counts if ok
		v  T
		ok bool
	}
	decimal struct { // 10 with exponent 0 is 1 with exponent 1
		value *big.Int
		exp   int
	}
	cross   struct{ n int } // its methods panic
	endless struct{ N int } // its methods never return
)

func (l lossy) MarshalText() ([]byte, error) {
	if l == 1 {
		return []byte("one"), nil
	}
	return []byte("many"), nil
}

func (l *lossy) UnmarshalText(b []byte) error {
	if *l = 2; string(b) == "one" {
		*l = 1
	}
	return nil
}

var errRejected = errors.New("rejected")

func (s strict) MarshalText() ([]byte, error) {
	if s < 1 || s > 2 {
		return nil, errRejected
	}
	return []byte{'0' + byte(s)}, nil
}

func (s *strict) UnmarshalText(b []byte) error {
	if len(b) != 1 {
		return errRejected
	}
	*s = strict(b[0] - '0')
	return nil
}

func (m mail) MarshalText() ([]byte, error) { return []byte(m), nil }

func (m *mail) UnmarshalText(b []byte) error {
	if !bytes.HasSuffix(b, []byte("@unheard-of.example")) {
		return errRejected
	}
	*m = mail(b)
	return nil
}

func (m money) MarshalJSON() ([]byte, error)  { return json.Marshal(m.amount) }
func (m *money) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &m.amount) }

func (m bag) MarshalJSON() ([]byte, error) { return json.Marshal(m.m) }

func (m *bag) UnmarshalJSON(b []byte) error {
	err := json.Unmarshal(b, &m.m)
	m.n = len(m.m)
	return err
}

func (m maybe) MarshalJSON() ([]byte, error) {
	if !m.Valid {
		return []byte("null"), nil
	}
	return json.Marshal(m.Text)
}

func (m *maybe) UnmarshalJSON(b []byte) error {
	if *m = (maybe{}); string(b) == "null" {
		return nil
	}
	m.Valid = true
	return json.Unmarshal(b, &m.Text)
}

func (o option[T]) MarshalJSON() ([]byte, error) {
	if !o.ok {
		return []byte("null"), nil
	}
	return json.Marshal(o.v)
}

func (o *option[T]) UnmarshalJSON(b []byte) error {
	if *o = (option[T]{}); string(b) == "null" {
		return nil
	}
	o.ok = true
	return json.Unmarshal(b, &o.v)
}

func (d decimal) number() *big.Int {
	n := new(big.Int)
	if d.value != nil {
		n.Set(d.value)
	}
	for range d.exp {
		n.Mul(n, big.NewInt(10))
	}
	return n
}

func (d decimal) Equal(o decimal) bool         { return d.number().Cmp(o.number()) == 0 }
func (d decimal) MarshalText() ([]byte, error) { return d.number().MarshalText() }
func (d *decimal) UnmarshalText(b []byte) error {
	d.value, d.exp = new(big.Int), 0
	return d.value.UnmarshalText(b)
}

func (cross) MarshalText() ([]byte, error)  { panic("cross") }
func (*cross) UnmarshalText([]byte) error   { panic(errRejected) }
func (cross) MarshalJSON() ([]byte, error)  { panic("cross") }
func (*cross) UnmarshalJSON(b []byte) error { panic("cross") }

func (e endless) MarshalText() ([]byte, error) {
	if e.N != 0 {
		select {}
	}
	return []byte("0"), nil
}
func (e *endless) UnmarshalText([]byte) error { return nil }

type profile struct {
	Name   string
	secret string
}

var _ = profile{}.secret // which only reflection looks at

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

// What is lost of a value, or becomes another, is found by trying, whichever
// library it is and however the value is lost.
func TestCheckRefusesWhatComesBackChanged(t *testing.T) {
	const ok = ""
	for _, test := range []struct {
		typ                reflect.Type
		json, msgpack, gob string // part of the error
	}{
		{of[struct{ Price *big.Float }](), "field Price (big.Float) would change: 1.5 (prec 53) comes back as 1.5 (prec 64)", "field Price (big.Float) would change", ok},
		{of[struct{ Raw json.RawMessage }](), `field Raw (json.RawMessage) would change: nil comes back as "null"`, ok, ok},
		{of[[]*json.RawMessage](), `comes back as "{\"a\":[1]}"`, ok, ok},
		{of[struct{ At netip.AddrPort }](), "field At (netip.AddrPort) would change", ok, ok},
		{of[map[string]net.IP](), "field [] (net.IP) would change", "field [] (net.IP) would change", ok},
		{of[struct{ Re *regexp.Regexp }](), "field Re (regexp.Regexp) would change", "field Re (regexp.Regexp) would change", "cannot be written"},
		{of[struct{ L lossy }](), `field L (trial_test.lossy) would change: 0 comes back as 2`, `field L (trial_test.lossy) would change`, ok},
		{of[map[lossy]int](), "comes back as another", "comes back as another", ok},
		{of[option[func()]](), "field v (func()) is lost: a func() comes back as nil", "is unexported", "cannot be written"},
		{of[[]money](), "field [].currency (string) is lost", "is unexported", "cannot be written"},
		{of[struct{ P profile }](), "field P.secret (string) is unexported", "field P.secret (string) is unexported", "field P.secret (string) is unexported"},
		{of[struct{ *profile }](), "cannot be read back", "embeds *trial_test.profile, a pointer", "cannot be written"},
		{of[netip.Addr](), ok, ok, ok},
		{of[netip.Prefix](), ok, ok, ok},
		{of[big.Int](), ok, ok, ok},
		{of[*big.Rat](), ok, ok, ok},
		{of[time.Time](), ok, ok, ok},
		{of[*url.URL](), "(User.username \"u\") comes back as", ok, ok},
		{of[struct{ N json.Number }](), ok, ok, ok},
	} {
		for i, want := range []string{test.json, test.msgpack, test.gob} {
			err := codec.Check(codecs[i], test.typ)
			if want == ok && err != nil || want != ok && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("Check(%s, %s) = %v, want %q", codecs[i].Name(), test.typ, err, want)
			}
		}
	}
}

// A made-up value need not be one that a type can hold. What its methods refuse
// proves nothing, nor do what they derive, what only counts beside a flag, and
// two forms that the type itself calls equal.
func TestMadeUpValuesThatATypeRefusesProveNothing(t *testing.T) {
	for _, typ := range []reflect.Type{
		of[strict](), of[[]strict](), of[map[strict]int](), of[struct{ S strict }](), of[mail](), of[struct{ M *mail }](), of[bag](), of[maybe](), of[[]decimal](),
		of[cross](), of[struct{ C []cross }](), of[option[[]byte]](), of[struct{ O []option[map[string]int] }](), of[option[struct{ L []string }]](),
	} {
		if err := codec.Check(codec.JSON, typ); err != nil {
			t.Errorf("Check(%s) = %v", typ, err)
		}
	}
	// The rest of the type is tried all the same.
	for _, typ := range []reflect.Type{of[struct {
		S strict
		P profile
	}](), of[struct {
		M maybe
		P profile
	}]()} {
		if err := codec.Check(codec.JSON, typ); err == nil || !strings.HasPrefix(err.Error(), "field P.secret") {
			t.Errorf("Check(%s) = %v", typ, err)
		}
	}
}

// A method that never returns on a value that it was not made for must not keep
// a program from starting.
func TestMethodsThatNeverReturnProveNothing(t *testing.T) {
	began := time.Now()
	if err := codec.Check(codec.JSON, of[struct{ E endless }]()); err != nil {
		t.Errorf("Check = %v", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// A field that comes back from some values and not from others is no reason to refuse
// the type, and none to lose it.
func TestWhatATypeLosesOfSomeValuesIsRefusedWhenWritten(t *testing.T) {
	for _, c := range []codec.Codec{codec.JSON, trial.For(bare{}).Codec} {
		g := trial.For(c)
		if _, err := g.Append(nil, &struct{ M maybe }{maybe{"a", true}}); err != nil {
			t.Errorf("%s: Append = %v", c.Name(), err)
		}
		if _, err := g.Append(nil, &struct{ M maybe }{maybe{"a", false}}); err == nil {
			t.Errorf("%s: Append of a text that is written as null gave no error", c.Name())
		}
	}
}

// Nobody but the trial looks after a codec of a user's own.
func TestCodecsOfUsersAreTried(t *testing.T) {
	type plain struct {
		ID   int
		Name string
		At   time.Time
		Tags map[string][]string
		Next *int
	}
	if err := codec.Check(bare{}, of[plain]()); err != nil {
		t.Errorf("Check of a type of which nothing is lost = %v", err)
	}
	for _, typ := range []reflect.Type{of[profile](), of[chan int](), of[struct{ F func() }](), of[struct{ R json.RawMessage }](), of[money]()} {
		if codec.Check(bare{}, typ) == nil {
			t.Errorf("Check(%s) = nil", typ)
		}
	}
	// What only some values lose is refused when they are written.
	g := trial.For(bare{})
	for _, v := range []any{
		&plain{Name: "\xff"}, &plain{At: time.Date(1900, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 561))},
		&map[string]any{"a": 1}, &[]any{profile{}}, new(any([]any(nil))), &struct{ P **int }{new(*int)}, &struct{ E error }{errRejected},
	} {
		if out, err := g.Append([]byte("dst"), v); err == nil || string(out) != "dst" {
			t.Errorf("Append(%+v) = %q, %v", v, out, err)
		}
	}
	for _, v := range []any{&plain{Name: "ok"}, &map[string]any{"a": "b", "c": []any{1.5, nil, true}}, &struct{ P **int }{}} {
		if _, err := g.Append(nil, v); err != nil {
			t.Errorf("Append(%+v) = %v", v, err)
		}
	}
}

// A selective codec is one that cannot be compared, and that does as it is told.
type selective struct {
	bare
	lose []string
	fail error
}

func (s selective) Append(dst []byte, v any) ([]byte, error) {
	if s.fail != nil {
		return dst, s.fail
	}
	out, err := s.bare.Append(dst, v)
	for _, l := range s.lose {
		out = bytes.ReplaceAll(out, []byte(l), nil)
	}
	return out, err
}

// Two codecs of one type may differ, and a verdict on one is none on the other.
func TestCodecsThatCannotBeComparedAreTriedEachTime(t *testing.T) {
	type shape struct{ Name string }
	if err := codec.Check(selective{}, of[shape]()); err != nil {
		t.Errorf("Check = %v", err)
	}
	if err := codec.Check(selective{lose: []string{"text"}}, of[shape]()); err == nil {
		t.Error("Check of a codec that loses letters = nil")
	}
	if _, err := trial.For(selective{lose: []string{"x"}}).Append(nil, &shape{"x"}); err == nil {
		t.Error("Append of a value that comes back changed gave no error")
	}
	if _, err := trial.For(selective{}).Append(nil, &shape{"x"}); err != nil {
		t.Errorf("Append = %v", err)
	}
}

// A codec that holds nothing at all, not even a number, is broken or made for
// one type; its errors are no reason to refuse a program's start.
func TestCodecsThatFailForEverythingAreNotJudgedByIt(t *testing.T) {
	if err := codec.Check(selective{fail: errRejected}, of[map[string]int]()); err != nil {
		t.Errorf("Check = %v", err)
	}
}

func TestVerdictIsTheSameEveryTime(t *testing.T) {
	type many struct {
		M map[string]*profile
		N map[profile]int
		O map[*int]string
	}
	want := codec.Check(selective{}, of[many]())
	for range 20 {
		if got := codec.Check(selective{}, of[many]()); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("Check = %v, and then %v", want, got)
		}
	}
}

// Reading back costs as much as writing, so it is for types that need it.
func TestUsualTypesAreNotReadBack(t *testing.T) {
	type row struct {
		ID    int64
		Name  string
		Score float64
		Tags  []string
		Attrs map[string]string
		At    time.Time
		Done  *time.Time
		Next  *row
		Rows  []row
		Any   map[string]any
	}
	for _, c := range codecs[:2] {
		if c.(*trial.Guard).ReadsBack(of[row]()) {
			t.Errorf("%s: each value is read back", c.Name())
		}
	}
}

// A value behind an interface is tried by its type, once, and after that it costs
// a look-up.
func TestWhatIsInInterfacesIsTriedWhenWritten(t *testing.T) {
	for _, c := range codecs[:2] {
		for _, v := range []any{1, profile{}, &profile{}, []string{"a"}, map[string]int{}, strict(1), net.IP{1, 2, 3, 4}, []any{1}, map[string]any{"a": profile{}}} {
			if _, err := c.Append(nil, &v); err == nil {
				t.Errorf("%s: Append of %T in an interface gave no error", c.Name(), v)
			}
		}
	}
	var v any = map[string]any{"a": []any{"b", 1.5, true, nil}}
	dst := make([]byte, 0, 1024)
	if _, err := codec.MsgPack.Append(dst, &v); err != nil {
		t.Fatal(err)
	}
}

func TestCheckLeavesNothingBehindThatItChanged(t *testing.T) {
	n := 5
	p := &n
	v := struct{ P ***int }{}
	q := &p
	v.P = &q
	for _, c := range codecs {
		if _, err := c.Append(nil, &v); err != nil {
			t.Errorf("%s: %v", c.Name(), err)
		}
	}
	var nothing *int
	deep := &nothing
	for _, c := range codecs {
		if _, err := c.Append(nil, &deep); err == nil || nothing != nil {
			t.Errorf("%s: Append of a pointer to nil = %v, and made it %v", c.Name(), err, nothing)
		}
	}
}

var _ = []any{money{"", ""}, cross{1}}
