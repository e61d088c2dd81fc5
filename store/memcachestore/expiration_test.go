package memcachestore

import (
	"math"
	"testing"
	"time"
)

func TestExpirationIsRoundedUpAndStaysWithinWhatTheServerTakes(t *testing.T) {
	const day = 24 * time.Hour
	in2026 := time.Date(2026, 11, 23, 12, 0, 0, 999_999_999, time.UTC)
	in2038 := time.Unix(math.MaxInt32, 0)
	for _, test := range []struct {
		name string
		ttl  time.Duration
		now  time.Time
		want int64
	}{
		{"zero never expires", 0, in2026, 0},
		{"a nanosecond", 1, in2026, 3},
		{"less than a second", 999 * time.Millisecond, in2026, 3},
		{"a second", time.Second, in2026, 3},
		{"a little more", time.Second + 1, in2026, 4},
		{"an hour", time.Hour, in2026, 3602},
		{"the longest that is no date", 30*day - 2*time.Second, in2026, 30 * 24 * 3600},
		{"the shortest date", 30*day - 2*time.Second + 1, in2026, in2026.Unix() + 30*24*3600 + 1},
		{"30 days", 30 * day, in2026, in2026.Unix() + 30*24*3600 + 2},
		{"31 days", 31 * day, in2026, in2026.Unix() + 31*24*3600 + 2},
		{"100 years", 100 * 365 * day, in2026, math.MaxInt32},
		{"the longest", math.MaxInt64, in2026, math.MaxInt32},
		{"31 days when dates run out", 31 * day, in2038.Add(-31 * day), math.MaxInt32},
		{"31 days when dates have nearly run out", 31 * day, in2038.Add(-30 * day), 30 * 24 * 3600},
		{"31 days when dates have run out", 31 * day, in2038.Add(day), 30 * 24 * 3600},
		{"an hour when dates have run out", time.Hour, in2038.Add(day), 3602},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := expiration(test.ttl, test.now); int64(got) != test.want {
				t.Errorf("expiration(%v) = %d, want %d", test.ttl, got, test.want)
			}
		})
	}
}
