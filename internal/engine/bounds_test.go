package engine

import (
	"strconv"
	"testing"

	"github.com/seed-0226adef/memo/store"
)

func TestFailuresRememberedAreBounded(t *testing.T) {
	var s shard
	for i := range maxFailing + 100 {
		s.fails(&Entry{Key: strconv.Itoa(i), share: &share{Token: store.NewToken()}}, 0)
	}
	if got := len(s.failing); got > maxFailing {
		t.Errorf("the failures of %d results are remembered, want at most %d", got, maxFailing)
	}
}

// An eviction may come between the look-up of a result and its being put in front,
// where nobody would take it out again.
func TestResultThatWasDroppedDoesNotComeInFront(t *testing.T) {
	c := NewTier(100, 0, new(Counters))
	e := &Entry{Key: "k"}
	c.set(e)
	c.show(e, 1)
	if got := c.front.Load().place("k").Load(); got != e {
		t.Errorf("in front is %v, want the result", got)
	}
	c.delete("k")
	c.show(e, 2)
	if got := c.front.Load().place("k").Load(); got != nil {
		t.Errorf("in front is %v, which was dropped", got)
	}
}
