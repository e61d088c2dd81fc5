// Package clock gives the time to everything that decides about results.
//
// An instant is an int64: the nanoseconds since the process began, read from the monotonic
// clock, so that a step of the wall clock neither expires nor revives anything. Now reads
// it. Coarse is cheaper and late by a little: what a hit uses.
//
// The package knows instants, and nothing of what they are for.
package clock

import (
	"math"
	"sync/atomic"
	"time"
)

// Reading the monotonic clock costs as much as the whole look-up of a result. So while
// results are being looked up thousands of times a second, a goroutine publishes the
// time every Tick, and a hit loads one word. A result whose freshness ends within Slack
// of that word is judged by a precise read, so the coarse time must be late by Slack to
// let a result live too long. Where the goroutine is held up, or the whole process was,
// one in HitsPerLook hits sees it and brings the time up to date: it is then late for no
// more than that many hits of each stripe of the counter of hits.
//
// Inside a testing/synctest bubble time is faked. Results that are stored there are
// never judged by the coarse time.
const (
	Tick  = 10 * time.Millisecond
	Slack = 100 * time.Millisecond

	// Demand is how close two precise reads must be for the goroutine to
	// be worth its start.
	Demand = time.Millisecond

	// HitsPerLook is how many hits are counted for one call of CatchUp.
	HitsPerLook = 64
)

// start is the zero of all instants.
var start = time.Now()

// Forever is the instant that never comes.
const Forever int64 = math.MaxInt64

// After returns the instant d after t: Forever if d is the longest of all durations,
// or leads beyond all instants.
func After(t int64, d time.Duration) int64 {
	if s := t + int64(d); d != math.MaxInt64 && s >= t {
		return s
	}
	return Forever
}

// Now reads the clock.
func Now() int64 { return int64(time.Since(start)) }

// At returns the instant of a reading of time.Now.
func At(reading time.Time) int64 { return int64(reading.Sub(start)) }

// Faked reports whether t was read inside a synctest bubble, where time begins
// with the year 2000.
func Faked(t int64) bool { return t < 0 }

// Bubbled reports whether reading, a result of time.Now, was made inside a synctest
// bubble, even in one that has slept until the present day. Only there has it
// no monotonic part, which is what Round takes off.
func Bubbled(reading time.Time) bool { return reading == reading.Round(0) }

// Wall returns the time of day at t, an instant read in the same bubble or
// outside of all as reading was.
func Wall(t int64, reading time.Time, readAt int64) time.Time {
	return reading.Add(time.Duration(t - readAt))
}

// Published is the published time. Its lowest bit asks the next caller to say that
// it was here, by clearing the bit: a tick that finds its own bit still set
// knows that nobody looked, and the goroutine ends. It holds stopped while no
// goroutine runs, which makes every result look too old for the coarse time.
var Published atomic.Int64

const Stopped = math.MaxInt64

func init() { Published.Store(Stopped) }

// Coarse loads the published time.
func Coarse() int64 {
	t := Published.Load()
	if t&1 != 0 && t != Stopped {
		Published.CompareAndSwap(t, t&^1)
	}
	return t
}

// CatchUp brings the published time up to date if it is late.
func CatchUp() {
	t, published := Now(), Published.Load()
	if published != Stopped && t > published+int64(2*Tick) {
		Published.CompareAndSwap(published, t&^1)
	}
}

// LastPrecise is when a look-up last had to read the clock itself.
var LastPrecise atomic.Int64

// Precise reads the clock for a look-up, and starts the coarse clock when
// look-ups come fast.
func Precise() int64 {
	t := Now()
	if Published.Load() == Stopped && !Faked(t) && !Bubbled(time.Now()) {
		// A bubble that has slept until the present day would leave a time here that
		// is yet to come, and which every later call were close to.
		if t-LastPrecise.Swap(t) < int64(Demand) {
			startCoarse(t)
		}
	}
	return t
}

// startCoarse starts the goroutine that publishes the time, unless it runs. It
// ends by itself within two ticks after the last look-up.
func startCoarse(t int64) {
	if Published.CompareAndSwap(Stopped, t&^1) {
		go publishTime()
	}
}

func publishTime() {
	for {
		time.Sleep(Tick)
		t := Published.Load()
		if t&1 != 0 && Published.CompareAndSwap(t, Stopped) {
			return
		}
		Published.Store(Now() | 1)
	}
}
