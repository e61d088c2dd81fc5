package memo

import (
	"math"
	"sync/atomic"
	"time"
)

// Times inside the package are nanoseconds since the process began, read from
// the monotonic clock: a step of the wall clock neither expires nor revives
// anything.
//
// Reading that clock costs as much as the whole look-up of a result. So while
// results are being looked up thousands of times a second, a goroutine
// publishes the time every clockTick, and a hit loads one word. A result whose
// freshness ends within clockSlack of that word is judged by a precise read,
// so the coarse time must be late by clockSlack to let a result live too long.
// Where the goroutine is held up, or the whole process was, one in hitsPerLook
// hits sees it and brings the time up to date: it is then late for no more than
// that many hits of each stripe of the counter of hits.
//
// Inside a testing/synctest bubble time is faked. Results that are stored there
// are never judged by the coarse time; see [window.hot].
const (
	clockTick  = 10 * time.Millisecond
	clockSlack = 100 * time.Millisecond

	// clockDemand is how close two precise reads must be for the goroutine to
	// be worth its start.
	clockDemand = time.Millisecond

	hitsPerLook = 64
)

// epoch is the zero of the package's times.
var epoch = time.Now()

// now reads the clock.
func now() int64 { return int64(time.Since(epoch)) }

// at returns the instant of a reading of time.Now.
func at(reading time.Time) int64 { return int64(reading.Sub(epoch)) }

// faked reports whether t was read inside a synctest bubble, where time begins
// with the year 2000.
func faked(t int64) bool { return t < 0 }

// bubbled reports whether reading, a result of time.Now, was made inside a synctest
// bubble, even in one that has slept until the present day. Only there has it
// no monotonic part, which is what Round takes off.
func bubbled(reading time.Time) bool { return reading == reading.Round(0) }

// wall returns the time of day at t, an instant read in the same bubble or
// outside of all as reading was.
func wall(t int64, reading time.Time, readAt int64) time.Time {
	return reading.Add(time.Duration(t - readAt))
}

// coarse is the published time. Its lowest bit asks the next caller to say that
// it was here, by clearing the bit: a tick that finds its own bit still set
// knows that nobody looked, and the goroutine ends. It holds stopped while no
// goroutine runs, which makes every result look too old for the coarse time.
var coarse atomic.Int64

const stopped = math.MaxInt64

func init() { coarse.Store(stopped) }

// coarseNow loads the published time.
func coarseNow() int64 {
	t := coarse.Load()
	if t&1 != 0 && t != stopped {
		coarse.CompareAndSwap(t, t&^1)
	}
	return t
}

// catchUp brings the published time up to date if it is late.
func catchUp() {
	t, published := now(), coarse.Load()
	if published != stopped && t > published+int64(2*clockTick) {
		coarse.CompareAndSwap(published, t&^1)
	}
}

// lastPrecise is when a look-up last had to read the clock itself.
var lastPrecise atomic.Int64

// preciseNow reads the clock for a look-up, and starts the coarse clock when
// look-ups come fast.
func preciseNow() int64 {
	t := now()
	if coarse.Load() == stopped && !faked(t) && !bubbled(time.Now()) {
		// A bubble that has slept until the present day would leave a time here that
		// is yet to come, and which every later call were close to.
		if t-lastPrecise.Swap(t) < int64(clockDemand) {
			startCoarse(t)
		}
	}
	return t
}

// startCoarse starts the goroutine that publishes the time, unless it runs. It
// ends by itself within two ticks after the last look-up.
func startCoarse(t int64) {
	if coarse.CompareAndSwap(stopped, t&^1) {
		go publishTime()
	}
}

func publishTime() {
	for {
		time.Sleep(clockTick)
		t := coarse.Load()
		if t&1 != 0 && coarse.CompareAndSwap(t, stopped) {
			return
		}
		coarse.Store(now() | 1)
	}
}
