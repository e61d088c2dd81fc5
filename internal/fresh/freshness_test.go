package fresh

import (
	"testing"
	"time"
)

// The rows are those of the table of Verdict, from the top down.
func TestVerdictIsThatOfTheFirstRowThatApplies(t *testing.T) {
	const created, ttl, hour = int64(1e15), time.Minute, int64(time.Hour)
	w := Lifetime{TTL: ttl, Stale: 30 * time.Second, Inherit: 1<<63 - 1}.Window(created, int64(time.Millisecond), 1)
	limit, end := created+int64(ttl), created+int64(90*time.Second)
	at := func(from int64, d time.Duration) int64 { return from + int64(d) }
	for _, test := range []struct {
		row    string
		t      int64
		policy Policy
		draw   float64
		want   Verdict
	}{
		{"of another clock", created - hour - 1, Policy{MaxAge: -1, StaleIfError: time.Hour}, 1, Unusable},
		{"a little before it was created", created - hour, Policy{MaxAge: -1}, 1, Fresh},
		{"before the limit", limit - 1, Policy{MaxAge: -1}, 1, Fresh},
		{"before the limit, drawn early", limit - 1, Policy{MaxAge: -1, Beta: 1}, 1e-9, Early},
		{"before the limit, not drawn", created, Policy{MaxAge: -1, Beta: 1}, 1, Fresh},
		{"MaxAge is the limit", at(created, 10*time.Second), Policy{MaxAge: 10 * time.Second}, 1, Unusable},
		{"before MaxAge", at(created, 10*time.Second-1), Policy{MaxAge: 10 * time.Second}, 1, Fresh},
		{"MaxAge later than the limit", limit, Policy{MaxAge: time.Hour}, 1, Unusable},
		{"Oldest", at(created, 10*time.Second), Policy{MaxAge: -1, Oldest: 10 * time.Second, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour}, 1, Unusable},
		{"before Oldest", at(created, 10*time.Second-1), Policy{MaxAge: -1, Oldest: 10 * time.Second}, 1, Fresh},
		{"after the end", end, Policy{MaxAge: -1, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour}, 1, Unusable},
		{"StaleWhileRevalidate", at(limit, 10*time.Second-1), Policy{MaxAge: -1, StaleWhileRevalidate: 10 * time.Second, StaleIfError: 20 * time.Second}, 1, Revalidate},
		{"StaleIfError", at(limit, 10*time.Second), Policy{MaxAge: -1, StaleWhileRevalidate: 10 * time.Second, StaleIfError: 20 * time.Second}, 1, Fallback},
		{"both after MaxAge", at(created, 15*time.Second), Policy{MaxAge: 10 * time.Second, StaleWhileRevalidate: 10 * time.Second}, 1, Revalidate},
		{"later", at(limit, 20*time.Second), Policy{MaxAge: -1, StaleWhileRevalidate: 10 * time.Second, StaleIfError: 20 * time.Second}, 1, Unusable},
	} {
		if got := w.Verdict(test.t, &test.policy, func() float64 { return test.draw }); got != test.want {
			t.Errorf("%s: got verdict %d, want %d", test.row, got, test.want)
		}
	}
}

func TestBackoffDoublesFromTheSecondFailureOn(t *testing.T) {
	for failures, want := range map[uint32]time.Duration{0: 0, 1: 0, 2: firstBackoff, 3: 2 * firstBackoff, 4: 4 * firstBackoff, 100: maxBackoff} {
		if got := Backoff(failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}
