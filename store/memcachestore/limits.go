package memcachestore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/seed-0226adef/memo/internal/bubble"
	"github.com/seed-0226adef/memo/internal/refuse"
	"github.com/seed-0226adef/memo/store"
)

// Limits of memcached. What exceeds one is refused with an error that wraps
// [store.ErrRefused], before anything is sent.
const (
	// MaxKeyLen is the length in bytes of the longest key: KEY_MAX_LENGTH, of which
	// its protocol.txt says "currently the length limit of a key is set at 250
	// characters".
	MaxKeyLen = 250

	// ItemOverhead is what is left of an item's limit for the key and memcached's
	// header, in bytes. They take 309 together at most in memcached 1.6.18; the
	// rest is for other versions.
	ItemOverhead = 512

	// MaxValue is the length in bytes of the longest value that is sent unless
	// [Options.MaxValue] says otherwise: an item of 1 MiB, the default of
	// memcached's option -I, less [ItemOverhead].
	MaxValue = 1<<20 - ItemOverhead

	// TTLGranularity is the tick that expiry is counted in: the exptime of
	// protocol.txt is a number of seconds. A ttl is rounded up to the next tick, and
	// sent with two more for the server's coarse clock.
	TTLGranularity = time.Second
)

func (s *Store) check(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return cmp.Or(checkContext(ctx), refuse.TTL(ttl), refuse.Value(value, s.maxValue, "memcachestore.Options.MaxValue"), checkKey(key))
}

// checkKey allows what protocol.txt does: "the key must not include control
// characters or whitespace".
func checkKey(key string) error {
	if key == "" { // the client lets it pass, the server hangs up
		return fmt.Errorf("%w: the key is empty", store.ErrRefused)
	}
	if len(key) > MaxKeyLen {
		return fmt.Errorf("%w: the key is %d bytes, and memcached takes %d", store.ErrRefused, len(key), MaxKeyLen)
	}
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf("%w: the key %q has a space or control character, which memcached does not take", store.ErrRefused, key)
		}
	}
	return nil
}

const (
	// maxRelative is how many seconds an expiry may have; memcached takes more for
	// a date (REALTIME_MAXDELTA, 30 days).
	maxRelative = 30 * 24 * 60 * 60

	// slow is how many seconds the server's clock may be late: one because it
	// shows whole seconds, and one because it skips a second now and then and
	// then was late by another one before.
	slow = 2
)

// expiration returns what memcached is to be told for a value written now.
func expiration(ttl time.Duration, now time.Time) int32 {
	if ttl == 0 {
		return 0 // never
	}
	seconds := int64(ttl / TTLGranularity)
	if ttl%TTLGranularity > 0 {
		seconds++
	}
	seconds += slow
	if seconds <= maxRelative {
		return int32(seconds)
	}
	if bubble.Inside() {
		return maxRelative // the server's dates are not those of the bubble
	}
	date := min(now.Unix()+seconds, math.MaxInt32) // the client has 32 bits: until January 2038
	if date <= now.Unix()+maxRelative {
		return maxRelative // the dates have run out, or nearly
	}
	return int32(date)
}
