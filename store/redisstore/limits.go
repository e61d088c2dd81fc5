package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/seed-0226adef/memo/internal/refuse"
	"github.com/seed-0226adef/memo/store"
)

// Limits of Redis. What exceeds one is refused with an error that wraps
// [store.ErrRefused], before anything is sent.
const (
	// MaxKeyLen is the length in bytes of the longest key: "The maximum allowed key
	// size is 512 MB" (Keys and values, in Redis' documentation).
	MaxKeyLen = 512 << 20

	// MaxValue is the length in bytes of the longest value that is sent unless
	// [Options.MaxValue] says otherwise: 512 MB, the default of proto-max-bulk-len
	// in redis.conf.
	MaxValue = 512 << 20

	// TTLGranularity is the tick that expiry is counted in: the option PX of SET
	// takes milliseconds. A ttl is rounded up to the next tick.
	TTLGranularity = time.Millisecond
)

func (s *Store) check(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return cmp.Or(checkContext(ctx), refuse.TTL(ttl), refuse.Value(value, s.maxValue, "redisstore.Options.MaxValue"), checkKey(key))
}

func checkKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: the key is empty, and a cluster has no server for it", store.ErrRefused)
	}
	if len(key) > MaxKeyLen {
		return fmt.Errorf("%w: the key is %d bytes, and Redis takes %d", store.ErrRefused, len(key), MaxKeyLen)
	}
	return nil
}

// milliseconds rounds ttl up. They fit, since a Duration has at most 292 years of
// them and Redis counts to 2^63.
func milliseconds(ttl time.Duration) int64 {
	ms := int64(ttl / TTLGranularity)
	if ttl%TTLGranularity > 0 {
		ms++
	}
	return ms
}
