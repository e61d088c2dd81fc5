package dynamostore

import (
	"math"
	"testing"
	"time"
)

func TestExpiryIsRoundedUpToAMillisecond(t *testing.T) {
	whole := time.UnixMilli(1_700_000_000_000)
	for _, test := range []struct {
		now  time.Time
		ttl  time.Duration
		want int64
	}{
		{whole, 0, 0},
		{whole, 1, 1_700_000_000_001},
		{whole, time.Millisecond, 1_700_000_000_001},
		{whole, time.Millisecond + 1, 1_700_000_000_002},
		{whole.Add(1), time.Millisecond, 1_700_000_000_002},
		{whole.Add(1), time.Millisecond - 1, 1_700_000_000_001},
		{whole, math.MaxInt64, 1_700_000_000_000 + math.MaxInt64/1_000_000 + 1},
	} {
		if got := expiry(test.now, test.ttl); got != test.want {
			t.Errorf("expiry(%v, %v) = %d, want %d", test.now.UnixNano(), test.ttl, got, test.want)
		}
	}
	if got, now := expiry(time.Now(), math.MaxInt64), time.Now().UnixMilli(); got < now {
		t.Errorf("the longest ttl from now on ends at %d, before %d", got, now)
	}
}

func TestItemIsLiveUntilItsExpiry(t *testing.T) {
	end := time.UnixMilli(1_700_000_000_000)
	i := item{there: true, expiry: end.UnixMilli()}
	if !i.live(end.Add(-1)) {
		t.Error("a nanosecond before its expiry it is absent")
	}
	if i.live(end) {
		t.Error("at its expiry it is still there")
	}
	if (item{}).live(end) {
		t.Error("an item that is not there is live")
	}
}
