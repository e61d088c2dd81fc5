package memo

import (
	"reflect"
	"time"

	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/wire"
)

// RaceEnabled lets the external tests know of the race detector.
const RaceEnabled = raceEnabled

// TagsHeld returns how many tags the entry for a string holds, repetitions
// included.
func TagsHeld[R any](f *Func[string, R], a string) int {
	return len(f.core.Held(a).Tags())
}

// Shifted returns a stored result with its time of creation moved by d, as a process
// writes it whose clock is off by that. Other values come back as they are.
func Shifted(key string, value []byte, d time.Duration) []byte {
	s, err := wire.Decode(key, value)
	if err != nil || s.Kind != wire.KindResult {
		return value
	}
	s.Created += int64(d)
	value, err = s.Encode(key, func(b []byte) ([]byte, error) { return append(b, s.Payload...), nil })
	if err != nil {
		panic(err)
	}
	return value
}

// CopiesArgument reports whether an execution gets a copy of an A that is more than the
// value itself.
func CopiesArgument[A any]() bool { return keys.CopierOf(reflect.TypeFor[A](), false) != nil }
