package tier

import (
	"strconv"
	"testing"
)

// The counters were lost when the sketch grew, which it does until the tier is full.
func TestASketchKeepsItsCountersWhenItGrows(t *testing.T) {
	var s sketch
	s.fit(64)
	for i := range 16 {
		s.add(Hash(strconv.Itoa(i)), uint32(1+i%3))
	}
	for entries := 100; entries < 10_000; entries *= 3 {
		s.fit(entries)
		for i := range 16 {
			if got, want := s.of(Hash(strconv.Itoa(i))), uint64(1+i%3); got < want {
				t.Errorf("made for %d entries, it has seen key %d %d times, want at least %d", entries, i, got, want)
			}
		}
	}
}
