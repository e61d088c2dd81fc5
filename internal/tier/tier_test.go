package tier

import "testing"

type result struct{ Item }

func (*result) Bytes() int64     { return 1 }
func (*result) StoreKey() string { return "" }

// An eviction may come between the look-up of an entry and its being put in front,
// where nothing would take it out again.
func TestEntryThatWasDroppedDoesNotComeInFront(t *testing.T) {
	c := New[result](100, 0, func() {})
	e := &result{Item{Key: "k"}}
	c.Set(e)
	c.show(e, 1)
	if got := c.InFront(Hash("k")); got != e {
		t.Errorf("in front is %v, want the entry", got)
	}
	c.Delete("k")
	c.show(e, 2)
	if got := c.InFront(Hash("k")); got != nil {
		t.Errorf("in front is %v, which was dropped", got)
	}
}
