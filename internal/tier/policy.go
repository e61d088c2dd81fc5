package tier

import "math"

// A policy decides what stays. A new entry is in the window, a queue of a tenth of the room.
// What comes out of that at the other end is compared with the entry at the hand of the
// clock behind it, by how often a sketch has seen their keys: the one that was seen more
// often stays, as in W-TinyLFU (Einziger, Friedman and Manes, ACM ToS 2017), with queues that
// a hit leaves as they are, as in CLOCK and S3-FIFO (Yang et al., SOSP 2023), in place of
// lists in order of use.
//
// A hit counts in the entry, up to three. The sketch is told when the entry is added, and of
// the entry's count when the entry leaves the window or the hand passes it. The hand takes
// one off the count of what it passes, and stops where there is none, or after maxPasses.
//
// The tier's mu guards all of it.
type policy struct {
	limit     int64 // of what all weigh
	byBytes   bool  // an entry weighs its bytes, otherwise one
	windowMax int64 // what may be in the window while main is full
	window    queue
	main      clock
	bytes     int64 // of all
	evict     func(i *Item)
	freq      sketch
}

// windowShare is what part of the room is the window's. With a hundredth, as in W-TinyLFU,
// what is asked for again soon after the first time does not live to see it; with a quarter,
// what is asked for again and again in turn does not.
const windowShare = 10

// sketchFrom is from what part of the limit on keys are counted: nothing leaves before the
// limit, but what was asked for until then matters when it is reached.
const sketchFrom = 16

func newPolicy(entries int, limit int64, evict func(i *Item)) policy {
	p := policy{limit: int64(entries), evict: evict}
	if limit > 0 {
		p.limit, p.byBytes = limit, true
	}
	p.windowMax = max(p.limit/windowShare, 1)
	return p
}

// weight returns what i weighs against the limit.
func (p *policy) weight(i *Item) int64 {
	if p.byBytes {
		return i.Bytes()
	}
	return 1
}

func (p *policy) held() int { return p.window.held + len(p.main.items) }

func (p *policy) weighs() int64 { return p.window.weighs + p.main.weighs }

// makeRoom evicts what has to go for i, which is not larger than the limit.
func (p *policy) makeRoom(i *Item, hash uint64) {
	need := p.weight(i)
	for p.window.held > 0 && p.window.weighs+need > p.windowMax {
		c := p.window.front()
		if p.main.weighs+p.weight(c) > p.limit-p.windowMax {
			break
		}
		p.window.remove(c, p.weight(c))
		p.report(c)
		p.main.push(c, p.weight(c))
	}
	if w := p.weighs() + need; w > p.limit/sketchFrom && p.freq.held < p.held()+1 {
		p.freq.fit(int(float64(p.held()+1) * float64(p.limit) / float64(w)))
	}
	p.freq.add(hash, 1)
	for p.weighs()+need > p.limit {
		switch {
		case p.window.held > 0 && p.window.weighs+need > p.windowMax:
			p.contest()
		case len(p.main.items) > 0:
			p.drop(p.victim())
		default:
			p.drop(p.window.front())
		}
	}
}

// contest lets the oldest of the window take the place of what the hand of the clock stops
// at, or evicts it.
func (p *policy) contest() {
	c := p.window.front()
	if len(p.main.items) == 0 {
		p.drop(c)
		return
	}
	p.report(c)
	v := p.victim()
	if p.freq.of(Hash(c.Key)) <= p.freq.of(Hash(v.Key)) {
		p.drop(c)
		return
	}
	p.window.remove(c, p.weight(c))
	p.bytes -= v.Bytes()
	p.main.replace(v, c, p.weight(c)-p.weight(v))
	p.main.pass()
	p.evict(v)
}

// maxPasses is how many items in use the hand passes for one eviction. Where all are in use it
// would go round three times while writers wait.
const maxPasses = 1024

// victim moves the hand to what it stops at.
func (p *policy) victim() *Item {
	for range maxPasses {
		v := p.main.at()
		used := v.uses()
		if used == 0 {
			break
		}
		p.freq.add(Hash(v.Key), used)
		v.setUses(used - 1)
		p.main.pass()
	}
	return p.main.at()
}

// report tells the sketch of i's uses, and takes them off.
func (p *policy) report(i *Item) {
	if used := i.uses(); used > 0 {
		p.freq.add(Hash(i.Key), used)
		i.setUses(0)
	}
}

// drop evicts i.
func (p *policy) drop(i *Item) {
	p.remove(i)
	p.evict(i)
}

// add adds i, for which there is room.
func (p *policy) add(i *Item) {
	p.bytes += i.Bytes()
	p.window.push(i, p.weight(i))
}

// replace puts i in the place of old, and reports whether there is room for that.
func (p *policy) replace(old, i *Item) bool {
	more := p.weight(i) - p.weight(old)
	if p.weighs()+more > p.limit {
		return false
	}
	p.bytes += i.Bytes() - old.Bytes()
	i.setUses(old.uses())
	if old.place&inMain != 0 {
		p.main.replace(old, i, more)
	} else {
		p.window.replace(old, i, more)
	}
	return true
}

// remove takes i out.
func (p *policy) remove(i *Item) {
	p.bytes -= i.Bytes()
	if i.place&inMain != 0 {
		p.main.remove(i, p.weight(i))
	} else {
		p.window.remove(i, p.weight(i))
	}
}

// inMain is set in the place of an item that is in the clock. The rest of the place is where.
const inMain = 1 << 31

// A queue is the items in the order in which they were added, in a ring that has nil where
// one was removed.
type queue struct {
	ring       []*Item // a power of two
	head, tail uint32  // the first place in use, and the one after the last; modulo inMain
	held       int
	weighs     int64
}

func (q *queue) slot(place uint32) **Item { return &q.ring[int(place)&(len(q.ring)-1)] }

// front returns the oldest; there must be one.
func (q *queue) front() *Item {
	for *q.slot(q.head) == nil {
		q.head = (q.head + 1) &^ inMain
	}
	return *q.slot(q.head)
}

func (q *queue) push(i *Item, weight int64) {
	if int((q.tail-q.head)&^inMain) == len(q.ring) {
		q.compact()
	}
	*q.slot(q.tail) = i
	i.place = q.tail
	q.tail = (q.tail + 1) &^ inMain
	q.held++
	q.weighs += weight
}

// compact closes the gaps, in a ring twice the size if more than half of it is in use.
func (q *queue) compact() {
	size := max(len(q.ring), 8)
	if q.held > size/2 {
		size *= 2
	}
	items := make([]*Item, 0, size)
	for at := q.head; at != q.tail; at = (at + 1) &^ inMain {
		if i := *q.slot(at); i != nil {
			i.place = uint32(len(items))
			items = append(items, i)
		}
	}
	q.ring, q.head, q.tail = items[:size], 0, uint32(len(items))
}

func (q *queue) replace(old, i *Item, more int64) {
	i.place = old.place
	*q.slot(i.place) = i
	q.weighs += more
}

func (q *queue) remove(i *Item, weight int64) {
	*q.slot(i.place) = nil
	q.held--
	q.weighs -= weight
}

// A clock is items in a circle, and a hand that goes round.
type clock struct {
	items  []*Item
	hand   int
	weighs int64
}

// at returns what the hand is at; there must be something.
func (c *clock) at() *Item {
	if c.hand >= len(c.items) {
		c.hand = 0
	}
	return c.items[c.hand]
}

func (c *clock) pass() { c.hand++ }

func (c *clock) push(i *Item, weight int64) {
	i.place = inMain | uint32(len(c.items))
	c.items = append(c.items, i)
	c.weighs += weight
}

func (c *clock) replace(old, i *Item, more int64) {
	i.place = old.place
	c.items[i.place&^inMain] = i
	c.weighs += more
}

// remove puts the last one in i's place.
func (c *clock) remove(i *Item, weight int64) {
	last := len(c.items) - 1
	c.items[last].place = i.place
	c.items[i.place&^inMain] = c.items[last]
	c.items[last] = nil
	c.items = c.items[:last]
	c.weighs -= weight
}

// maxBytes is the most that an entry can weigh. Larger ones weigh as much.
const maxBytes = math.MaxUint32 >> usesBits * sizeUnit
