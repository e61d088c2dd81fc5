package memo

//lint:file-ignore U1000 The fields are filled and read by reflection.

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// A maker makes types and values for the tests of keys.
type maker struct {
	source
	dynamic []reflect.Type // what interfaces hold; nil for any type
}

// A source decides for a maker.
type source interface {
	below(n int) int // less than n
	word() uint64
}

// drawn decides at random.
type drawn struct{ t *rapid.T }

func (d drawn) below(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "below") }
func (d drawn) word() uint64    { return rapid.Uint64().Draw(d.t, "word") }

// decoded decides by the bytes of a fuzzer's input, and for zero after those.
type decoded struct{ rest []byte }

func (d *decoded) below(n int) int {
	if len(d.rest) == 0 {
		return 0
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return int(c) % n
}

func (d *decoded) word() (w uint64) {
	for range 8 {
		w = w<<8 | uint64(d.below(256))
	}
	return w
}

type (
	text  string
	small int8

	// inner and parts have what reflect.StructOf cannot make: unexported and
	// embedded fields, and themselves.
	inner struct {
		n int32
		s text
	}
	parts struct {
		inner
		*stamped
		name  string
		list  []parts
		next  *parts
		byID  map[small]*inner
		held  any
		flags [3]bool
		_     uint16
	}
	stamped struct {
		time.Time
		note string
	}
)

var scalars = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](),
	reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](),
	reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[uintptr](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[complex64](), reflect.TypeFor[complex128](),
	reflect.TypeFor[string](), reflect.TypeFor[text](), reflect.TypeFor[small](), reflect.TypeFor[time.Time](),
	reflect.TypeFor[struct{}](), reflect.TypeFor[inner](), reflect.TypeFor[stamped](),
}

// typ makes a type of at most depth layers.
func (m maker) typ(depth int) reflect.Type {
	if depth == 0 {
		return scalars[m.below(len(scalars))]
	}
	switch m.below(9) {
	case 0:
		return reflect.SliceOf(m.typ(depth - 1))
	case 1:
		return reflect.ArrayOf(m.below(4), m.typ(depth-1))
	case 2:
		return reflect.MapOf(m.comparable(depth-1), m.typ(depth-1))
	case 3:
		return reflect.PointerTo(m.typ(depth - 1))
	case 4, 5:
		return m.structOf(depth, m.typ)
	case 6:
		return reflect.TypeFor[any]()
	case 7:
		return reflect.TypeFor[parts]()
	}
	return m.typ(0)
}

// comparable makes a type for the keys of a map.
func (m maker) comparable(depth int) reflect.Type {
	if depth <= 0 {
		return m.typ(0)
	}
	switch m.below(6) {
	case 0:
		return reflect.ArrayOf(m.below(3), m.comparable(depth-1))
	case 1:
		return reflect.PointerTo(m.typ(depth - 1))
	case 2:
		return m.structOf(depth, m.comparable)
	case 3:
		return reflect.TypeFor[any]()
	}
	return m.typ(0)
}

func (m maker) structOf(depth int, typ func(int) reflect.Type) reflect.Type {
	fields := make([]reflect.StructField, m.below(4))
	for i := range fields {
		fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: typ(depth - 1)}
	}
	return reflect.StructOf(fields)
}

// value makes an addressable value of t.
func (m maker) value(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	m.fill(v, 3, false)
	return v
}

// fill fills v, with at most depth layers where its type does not end by itself.
// As a part of a map's key, v has to be hashable, and is made so that Go calls
// no two of them equal which clone makes equal.
func (m maker) fill(v reflect.Value, depth int, inKey bool) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(m.time(inKey)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			m.fill(field(v, i), depth-1, inKey)
		}
	case reflect.Array:
		for i := range v.Len() {
			m.fill(v.Index(i), depth, inKey)
		}
	case reflect.Slice:
		if n := m.below(4); n > 0 && depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range n - 1 {
				m.fill(v.Index(i), depth-1, false)
			}
		}
	case reflect.Map:
		if n := m.below(4); n > 0 && depth > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n - 1 {
				m.put(v, depth)
			}
		}
	case reflect.Pointer:
		if depth > 0 && m.below(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			m.fill(v.Elem(), depth-1, false)
		}
	case reflect.Interface:
		if t := m.held(depth, inKey); t != nil {
			e := reflect.New(t).Elem()
			m.fill(e, depth-1, inKey)
			v.Set(e)
		}
	default:
		m.scalar(v)
	}
}

// put puts one more entry into the map v.
func (m maker) put(v reflect.Value, depth int) {
	k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	m.fill(k, depth-1, true)
	m.fill(e, depth-1, false)
	v.SetMapIndex(k, e)
}

// held returns the type of what an interface is to hold, nil for nothing.
func (m maker) held(depth int, inKey bool) reflect.Type {
	switch {
	case depth <= 0 || m.below(4) == 0:
		return nil
	case inKey:
		return m.comparable(0)
	case m.dynamic != nil:
		return m.dynamic[m.below(len(m.dynamic))]
	}
	return m.typ(min(depth-1, 2))
}

var (
	aMoment = time.Now() // with a monotonic reading
	zones   = []*time.Location{
		time.UTC, time.Local, time.FixedZone("A", 3600), time.FixedZone("B", 3600), time.FixedZone("A", 7200),
		location("A", "B", 3600), location("B", "A", 3600), ruled("A", "A-1B,M3.2.0,M11.1.0"), ruled("A", "A-1B,M4.2.0,M11.1.0"),
	}
)

// location returns a place where zone is the only zone there ever was. A
// FixedZone is named after its zone.
func location(name, zone string, offset uint32) *time.Location {
	return locationOf(name, zone, offset, "")
}

// ruled returns a place where the zone A is in force for good or, by a rule in the form
// of the TZ variable, for a part of each year.
func ruled(name, rule string) *time.Location { return locationOf(name, "A", 3600, rule) }

func locationOf(name, zone string, offset uint32, rule string) *time.Location {
	block := append([]byte("TZif2"), make([]byte, 15+4*4)...) // RFC 8536, section 3.1: no leap seconds, no transitions
	block = binary.BigEndian.AppendUint32(block, 1)           // one type of local time
	block = binary.BigEndian.AppendUint32(block, uint32(len(zone)+1))
	block = binary.BigEndian.AppendUint32(block, offset)
	block = append(block, 0, 0) // no daylight saving; the name begins at 0
	block = append(append(block, zone...), 0)
	data := append(slices.Concat(block, block), "\n"+rule+"\n"...) // for readers of version 1, and of version 2
	l, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		panic(err)
	}
	return l
}

func (m maker) time(inKey bool) time.Time {
	switch m.below(4) {
	case 0:
		return time.Time{}
	case 1:
		return time.Unix(int64(m.below(3)), int64(m.below(2))).In(zones[m.below(len(zones))])
	case 2:
		if !inKey {
			return aMoment.Add(time.Duration(m.below(2))).In(zones[m.below(len(zones))])
		}
	}
	return aMoment.Round(0).In(zones[m.below(len(zones))])
}

var (
	strs   = []string{"", "a", "b", "ab", "ba", ",", "a,", ",a", "!nil", "#", "\x00", "\x01a", "\x00\x00", "0", "1", "-1", "é", " "}
	floats = []float64{0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Float64frombits(0x7ff8_0000_8000_0000), math.Inf(1), math.Inf(-1), 0.1}
)

// scalar sets v to one of few values, most of the time, so that equal ones meet.
func (m maker) scalar(v reflect.Value) {
	n := m.below(4)
	w := uint64(n)
	if n == 3 {
		w = m.word()
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(w&1 == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(w) - 1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(w)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(m.float())
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(m.float(), m.float()))
	case reflect.String:
		v.SetString(strs[m.below(len(strs))])
		if n == 3 {
			v.SetString(v.String() + fmt.Sprint(w))
		}
	default:
		panic("cannot make a " + v.Kind().String())
	}
}

func (m maker) float() float64 {
	if n := m.below(len(floats) + 1); n < len(floats) {
		return floats[n]
	}
	return math.Float64frombits(m.word())
}

// mutate changes one thing about v, if v has anything to change.
func (m maker) mutate(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		m.mutateTime(v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if n := v.NumField(); n > 0 {
			m.mutate(field(v, m.below(n)))
		}
	case reflect.Array:
		if n := v.Len(); n > 0 {
			m.mutate(v.Index(m.below(n)))
		}
	case reflect.Slice:
		m.mutateSlice(v)
	case reflect.Map:
		m.mutateMap(v)
	case reflect.Pointer:
		switch {
		case v.IsNil():
			v.Set(reflect.New(v.Type().Elem()))
		case m.below(4) == 0:
			v.SetZero()
		default:
			m.mutate(v.Elem())
		}
	case reflect.Interface:
		switch {
		case v.IsNil() || m.below(4) == 0:
			m.fill(v, 2, false)
		default:
			e := addressable(v.Elem())
			m.mutate(e)
			v.Set(e)
		}
	case reflect.String:
		s := v.String()
		switch {
		case len(s) > 0 && m.below(2) == 0:
			v.SetString(s[1:])
		default:
			v.SetString(s + strs[m.below(len(strs))])
		}
	case reflect.Float32, reflect.Float64:
		v.SetFloat(-v.Float())
	default:
		m.scalar(v)
	}
}

func (m maker) mutateTime(v reflect.Value) {
	t := v.Interface().(time.Time)
	if m.below(2) == 0 {
		t = t.In(zones[m.below(len(zones))])
	} else {
		t = t.Add(1)
	}
	v.Set(reflect.ValueOf(t))
}

func (m maker) mutateSlice(v reflect.Value) {
	n := v.Len()
	switch op := m.below(4); {
	case op == 0 && n == 0 && v.IsNil():
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	case op == 0 && n == 0:
		v.SetZero()
	case op <= 1 || n == 0:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case op == 2:
		v.Set(v.Slice(0, n-1))
	default:
		m.mutate(v.Index(m.below(n)))
	}
}

func (m maker) mutateMap(v reflect.Value) {
	keys := v.MapKeys()
	switch op := m.below(4); {
	case v.IsNil():
		v.Set(reflect.MakeMap(v.Type()))
	case op == 0 && len(keys) == 0:
		v.SetZero()
	case op <= 1 || len(keys) == 0:
		m.put(v, 2)
	default:
		k := keys[m.below(len(keys))]
		e := v.MapIndex(k)
		if !e.IsValid() { // a NaN
			return
		}
		if op == 3 {
			e = addressable(e)
			m.mutate(e)
			v.SetMapIndex(k, e)
			return
		}
		v.SetMapIndex(k, reflect.Value{})
	}
}

// clone returns a deep copy of v that shares no memory with it and differs where
// keys must not: in the bits of a NaN, the monotonic reading of a time and
// the order in which a map was filled.
func clone(v reflect.Value) reflect.Value {
	v = addressable(v)
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	if v.Type() == reflect.TypeFor[time.Time]() {
		c.Set(reflect.ValueOf(v.Interface().(time.Time).Round(0)))
		return c
	}
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		if math.IsNaN(v.Float()) {
			c.SetFloat(math.Float64frombits(0xfff8_0000_4000_0000))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field(c, i).Set(clone(field(v, i)))
		}
	case reflect.Slice:
		if !v.IsNil() {
			c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()+1))
			cloneElems(c, v)
		}
	case reflect.Array:
		cloneElems(c, v)
	case reflect.Map:
		if !v.IsNil() {
			c.Set(reflect.MakeMap(v.Type()))
			keys := v.MapKeys()
			slices.Reverse(keys)
			for _, k := range keys {
				if e := v.MapIndex(k); e.IsValid() {
					c.SetMapIndex(clone(k), clone(e))
				}
			}
			for it := v.MapRange(); it.Next(); { // what is not equal to itself cannot be looked up
				if !v.MapIndex(it.Key()).IsValid() {
					c.SetMapIndex(clone(it.Key()), clone(it.Value()))
				}
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			c.Set(clone(v.Elem()).Addr().Convert(v.Type()))
		}
	case reflect.Interface:
		if !v.IsNil() {
			c.Set(clone(v.Elem()))
		}
	}
	return c
}

func cloneElems(c, v reflect.Value) {
	for i := range v.Len() {
		c.Index(i).Set(clone(v.Index(i)))
	}
}

func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// field returns a field of an addressable struct, for reading and writing even
// if it is unexported.
func field(v reflect.Value, i int) reflect.Value {
	f := v.Field(i)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}
