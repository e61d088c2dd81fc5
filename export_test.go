package memo

import (
	"reflect"
	"sync"
	"time"

	"github.com/seed-0226adef/memo/internal/keys"
	"github.com/seed-0226adef/memo/internal/wire"
)

// RaceEnabled lets the external tests know of the race detector.
const RaceEnabled = raceEnabled

// TagsHeld returns how many tags the entry for a string holds, repetitions
// included.
func TagsHeld[R any](f *Func[string, R], a string) int {
	return len(f.core.Held(a).Tags)
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

// ForgetBypass makes this a program that has never called WithBypass.
func ForgetBypass() { bypasses.Store(false) }

// ForgetGroups makes this a program that has no group yet.
func ForgetGroups() {
	outermost.mu.Lock()
	defer outermost.mu.Unlock()
	clear(outermost.of)
}

// ForgetTooLate has the next SetDefault that comes too late logged again.
func ForgetTooLate() { tooLate = sync.Once{} }

// CopiesArgument reports whether an execution gets a copy of an A that is more than the
// value itself.
func CopiesArgument[A any]() bool { return keys.CopierOf(reflect.TypeFor[A](), false) != nil }
