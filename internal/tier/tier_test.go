package tier

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

type result struct {
	Item
	storeKey string
}

func (r *result) StoreKey() string { return r.storeKey }

func newResult(key string, bytes int64) *result {
	r := &result{Item: Item{Key: key}}
	r.SetBytes(bytes)
	return r
}

// A tier holds what a map would, apart from what it says that it has evicted; and never more
// than its bound.
func TestTierHoldsWhatAMapWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		byBytes, bound := rapid.Bool().Draw(t, "by bytes"), rapid.SampledFrom([]int{1, 2, 3, 10, 100, 5000}).Draw(t, "bound")
		evicted, model := 0, map[string]*result{}
		limit := int64(0)
		if byBytes {
			limit = int64(bound) * 32
		}
		c := New[result](bound, limit, func() { evicted++ })
		keys := rapid.IntRange(1, 3*bound).Draw(t, "keys")
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			before := evicted
			key := strconv.Itoa(rapid.IntRange(0, keys).Draw(t, "key"))
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				c.Delete(key)
				delete(model, key)
			case 1:
				if e := model[key]; e != nil {
					c.Remove(e)
					delete(model, key)
				}
			case 2:
				c.Remove(newResult(key, 1)) // which is not held
			case 3, 4, 5:
				if e := c.Get(key); e != model[key] {
					t.Fatalf("Get(%s) = %v, want %v", key, e, model[key])
				}
			default:
				e := newResult(key, int64(rapid.IntRange(0, 100).Draw(t, "bytes")))
				c.Set(e)
				model[key] = e
			}
			lost := 0
			var entries, bytes uint64
			for key, e := range model {
				if c.Get(key) == e {
					entries, bytes = entries+1, bytes+uint64(e.Bytes())
					continue
				}
				if lost++; !e.Retired() {
					t.Fatalf("%s is not held, and is not marked", key)
				}
				delete(model, key)
			}
			if lost != evicted-before {
				t.Fatalf("%d entries are lost, and %d were said to be", lost, evicted-before)
			}
			if n, b := c.Held(); n != entries || b != bytes || limit == 0 && n > uint64(bound) || limit > 0 && b > uint64(limit) {
				t.Fatalf("Held = %d, %d, want %d, %d and no more than the bound", n, b, entries, bytes)
			}
		}
	})
}

// Growing moves entries to other places: each has to be found there, and nothing else.
func TestEveryEntryIsFoundHoweverManyThereAre(t *testing.T) {
	const n = 20_000 // a directory of 8
	c := New[result](n, 0, func() { t.Error("evicted") })
	for i := range n {
		c.Set(newResult(fmt.Sprint("key", i), 8))
	}
	for i := range n {
		if e := c.Get(fmt.Sprint("key", i)); e == nil || e.Key != fmt.Sprint("key", i) {
			t.Fatalf("key%d: found %v", i, e)
		}
		if e := c.Get(fmt.Sprint("other", i)); e != nil {
			t.Fatalf("other%d: found %v", i, e)
		}
	}
	for i := range n / 2 {
		c.Delete(fmt.Sprint("key", 2*i))
	}
	for i := range n {
		if e := c.Get(fmt.Sprint("key", i)); (e == nil) != (i%2 == 0) {
			t.Fatalf("key%d: found %v", i, e)
		}
	}
}

// Keys whose hashes agree in what chooses a bucket fill the buckets after it.
func TestBucketsThatOverflow(t *testing.T) {
	var x index
	x.init()
	items := make([]*Item, 20)
	const hash = 5<<8 | 7
	for i := range items {
		items[i] = &Item{Key: fmt.Sprint("k", i)}
		x.segmentOf(hash).add(hash, items[i])
	}
	for i, item := range items {
		if got := x.get(hash, item.Key); got != item {
			t.Errorf("%s: found %v", item.Key, got)
		}
		x.remove(hash, item)
		if got := x.get(hash, item.Key); got != nil {
			t.Errorf("%s: found %v after its removal", item.Key, got)
		}
		for _, later := range items[i+1:] {
			if got := x.get(hash, later.Key); got != later {
				t.Errorf("%s: found %v after the removal of %s", later.Key, got, item.Key)
			}
		}
	}
}

// Where all buckets of a segment have overflowed once and not been emptied since, a search for
// what is not there ended nowhere.
func TestSearchEndsWhereAllBucketsHaveOverflowed(t *testing.T) {
	var x index
	x.init()
	for b := range x.segmentOf(0).buckets {
		x.segmentOf(0).buckets[b].tags.Store(overflowOne)
	}
	if got := x.get(7, "none"); got != nil {
		t.Errorf("found %v", got)
	}
}

// No reader finds more than the bound allows, whatever sixteen writers do.
func TestBoundHoldsUnderSixteenWriters(t *testing.T) {
	const bound, writers = 50, 16
	for name, limit := range map[string]int64{"entries": 0, "bytes": bound * 64} {
		var evicted atomic.Int64
		c := New[result](bound, limit, func() { evicted.Add(1) })
		var found [4 * bound]*result
		stop, watched := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(watched)
			for {
				select {
				case <-stop:
					return
				default:
				}
				n, b := c.Held()
				if n > bound || b > bound*64 {
					t.Errorf("%s: %d entries of %d bytes are held", name, n, b)
				}
				now := 0 // how many of those that were found are still held
				for i := range found {
					found[i] = c.Get(strconv.Itoa(i))
				}
				c.table.mu.Lock()
				for _, e := range found {
					if e != nil && !e.Retired() {
						now++
					}
				}
				c.table.mu.Unlock()
				if now > bound+writers {
					t.Errorf("%s: %d entries are found", name, now)
				}
			}
		}()
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range 2000 {
					key := strconv.Itoa((i*7 + w*13) % (4 * bound))
					if c.Get(key) == nil {
						c.Set(newResult(key, 64))
					}
					if i%50 == 0 {
						c.Delete(key)
					}
				}
			})
		}
		wg.Wait()
		close(stop)
		<-watched
		if evicted.Load() == 0 {
			t.Errorf("%s: nothing was evicted", name)
		}
	}
}

// A reader beside a writer that replaces an entry finds the old or the new one.
func TestAnEntryThatIsReplacedIsAlwaysFound(t *testing.T) {
	c := New[result](1_000_000, 0, func() {})
	c.Set(newResult("k", 8))
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !done.Load() {
				if e := c.Get("k"); e == nil || e.Key != "k" {
					t.Errorf("found %v", e)
					return
				}
			}
		})
	}
	for i := range 20_000 { // which also makes the index grow
		c.Set(newResult("k", 8))
		c.Set(newResult(strconv.Itoa(i), 8))
	}
	done.Store(true)
	wg.Wait()
}

// A copy that was evicted before it was noted is not found.
func TestCopyOfWhatHasLeft(t *testing.T) {
	c := New[result](10, 0, func() {})
	e := newResult("k", 8)
	e.storeKey = "s"
	c.Set(e)
	c.NoteCopy(e)
	if got := c.CopyOf("s"); got != e {
		t.Errorf("CopyOf = %v, want the entry", got)
	}
	c.Delete("k")
	if got := c.CopyOf("s"); got != nil {
		t.Errorf("CopyOf = %v after the copy was dropped", got)
	}
	c.NoteCopy(e)
	if got := c.CopyOf("s"); got != nil {
		t.Errorf("CopyOf = %v, which had been dropped before", got)
	}
}

// What is added when everything is in use waits for a part of a round of the hand, not for three.
func TestTheHandPassesABoundedNumber(t *testing.T) {
	const entries = 1 << 14
	p := newPolicy(entries, 0, func(*Item) {})
	for n := range entries {
		i := &Item{Key: strconv.Itoa(n)}
		p.makeRoom(i, Hash(i.Key))
		p.add(i)
	}
	for _, i := range p.main.items {
		i.setUses(maxUses)
	}
	before := p.main.hand
	p.victim()
	if passed := p.main.hand - before; passed != maxPasses {
		t.Errorf("the hand has passed %d of %d items in use, want %d", passed, len(p.main.items), maxPasses)
	}
}

func TestWhatIsReplacedHasLeft(t *testing.T) {
	h := New[result](10, 0, func() {})
	old, next := newResult("k", 0), newResult("k", 0)
	h.Set(old)
	h.Set(next)
	if !old.Retired() || next.Retired() {
		t.Errorf("after a replacement the old entry is retired: %v, the new one: %v; want true and false", old.Retired(), next.Retired())
	}
}

// What is added once and not asked for again takes no place of what is: a scan passes through
// the window, whatever its length.
func TestAScanLeavesWhatIsUsed(t *testing.T) {
	const entries = 1000
	h := New[result](entries, 0, func() {})
	for range 3 {
		for n := range entries * 9 / 10 {
			key := "used" + strconv.Itoa(n)
			if h.Get(key) == nil {
				h.Set(newResult(key, 0))
			}
		}
	}
	for n := range 10 * entries {
		h.Set(newResult("scanned"+strconv.Itoa(n), 0))
	}
	left := 0
	for n := range entries * 9 / 10 {
		if h.Get("used"+strconv.Itoa(n)) != nil {
			left++
		}
	}
	if left < entries*8/10 {
		t.Errorf("of %d entries in use %d have survived a scan of %d others", entries*9/10, left, 10*entries)
	}
}
