// Package bubble tells code that runs in a testing/synctest bubble, whose time is faked.
// What waits for the network there keeps the bubble's time from going on, and what goes
// on waiting for it keeps the bubble from ending.
package bubble

import "time"

// Inside reports whether the caller runs in a bubble. Only there has a reading of the
// clock no monotonic part, which is what Round takes off.
func Inside() bool {
	t := time.Now()
	return t == t.Round(0)
}
