package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

var (
	timeType     = reflect.TypeFor[time.Time]()
	locationType = reflect.TypeFor[time.Location]()
)

// hasRules is set in the nanoseconds of a time, which leave two bits free, when the
// rules of its location follow.
const hasRules = 1 << 31

// appendTime appends the instant, the zone and the location of the time at p:
// functions may well print a time, and 12:00 in Oslo does not print as 11:00 in
// London does; or add a day to it, and where a zone has summer time that depends
// on rules which another location of the same name may not have. The monotonic
// reading does not count.
func appendTime(b []byte, p unsafe.Pointer) []byte {
	t := (*time.Time)(p)
	zone, offset := t.Zone()
	l, nanos := t.Location(), uint32(t.Nanosecond())
	fixed := IsFixed(l)
	if !fixed {
		nanos |= hasRules
	}
	b = room(b, 16)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Unix()))
	b = binary.LittleEndian.AppendUint32(b, nanos)
	b = binary.LittleEndian.AppendUint32(b, uint32(offset))
	b = appendString(appendString(b, zone), l.String())
	if fixed {
		return b
	}
	sum := sumOf(l)
	return append(room(b, len(sum)), sum[:]...)
}

// A locationLayout says where a time.Location has what tells whether its zone ever
// changes. Where this version of Go has that nowhere, no location is taken for a
// fixed one, which costs time and nothing else.
type locationLayout struct {
	known             bool
	zone, extend, dst uintptr
}

var layout = func() (l locationLayout) {
	zone, ok := locationType.FieldByName("zone")
	extend, ok2 := locationType.FieldByName("extend")
	if !ok || !ok2 || zone.Type.Kind() != reflect.Slice || extend.Type.Kind() != reflect.String || zone.Type.Elem().Kind() != reflect.Struct {
		return l
	}
	dst, ok := zone.Type.Elem().FieldByName("isDST")
	if !ok || dst.Type.Kind() != reflect.Bool {
		return l
	}
	return locationLayout{true, zone.Offset, extend.Offset, dst.Offset}
}()

// IsFixed reports whether the name and the offset of any of its times say everything
// about l, as they do for UTC and for what time.FixedZone returns.
func IsFixed(l *time.Location) bool {
	if !layout.known {
		return false
	}
	p := unsafe.Pointer(l)
	zones := *(*[]struct{})(unsafe.Add(p, layout.zone)) // any slice has this header
	switch {
	case *(*string)(unsafe.Add(p, layout.extend)) != "" || len(zones) > 1:
		return false
	case len(zones) == 0:
		return true
	}
	return !*(*bool)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(zones)), layout.dst))
}

// A locationSum is a hash of what a location's rules are.
type locationSum struct {
	location *time.Location
	sum      [sha256.Size]byte
}

// LocationSums holds the sums of the locations that were met last: as a rule a program
// has few, but [time.LoadLocation] makes a new one each time.
var LocationSums [32]atomic.Pointer[locationSum]

// sumOf returns the hash of l's rules, which are its fields but for its caches: these
// say which zone was in force when the location was made.
func sumOf(l *time.Location) [sha256.Size]byte {
	place := &LocationSums[uintptr(unsafe.Pointer(l))/unsafe.Sizeof(*l)%uintptr(len(LocationSums))]
	if found := place.Load(); found != nil && found.location == l {
		return found.sum
	}
	form, err := Append(nil, locationPlan(), unsafe.Pointer(l), 0)
	if err != nil {
		panic("memo: a time.Location has no key: " + err.Error()) // it has no cycles
	}
	defer Release(form)
	found := &locationSum{l, sha256.Sum256(form)}
	place.Store(found)
	return found.sum
}

// locationPlan returns the plan of a time.Location.
var locationPlan = sync.OnceValue(func() *Plan {
	pl, err := For(locationType)
	if err != nil {
		panic("memo: this version of Go has a time.Location that has no key: " + err.Error())
	}
	return pl
})
