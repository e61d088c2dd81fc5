package httpcache

import "sync"

// What is sent to a client who reads slowly stays in memory when the tier has long
// dropped it. So a stored response is counted in Cache.sending as long as any request
// holds it. To a request that finds no room for it, it is not there: the handler is run,
// and its response streams through. (The account is not that of the copies that are to
// be stored: clients who read slowly must not keep the cache from storing.)
//
// Bodies of less than lentSize are not worth that: a connection takes about as much.
const lentSize = 16 << 10

// A lending counts the requests that hold a stored response.
type lending struct {
	mu sync.Mutex
	n  int // guarded by mu
}

// lend counts one request more that holds rec, if there is room.
func (c *Cache) lend(rec *record) bool { return len(rec.Body) < lentSize || c.lendLong(rec) }

func (c *Cache) lendLong(rec *record) bool {
	l := &rec.look().lending
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 && !c.sending.reserve(int64(len(rec.Body))) {
		return false
	}
	l.n++
	return true
}

// takeBack ends what lend began.
func (c *Cache) takeBack(rec *record) {
	if len(rec.Body) < lentSize {
		return
	}
	l := &rec.look().lending
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n--; l.n == 0 {
		c.sending.release(int64(len(rec.Body)))
	}
}

// holds counts rec as what this request holds, in place of what it has held, and
// reports whether there is room.
func (x *exchange) holds(rec *record) bool {
	if rec == x.lent {
		return true
	}
	if x.lent != nil { // of which nothing has been sent
		x.cache.takeBack(x.lent)
		x.lent = nil
	}
	if !x.cache.lend(rec) {
		return false
	}
	x.lent = rec
	return true
}

// giveBack ends a request's hold of a stored response: when the reader has read it, where
// there is one.
func (x *exchange) giveBack() {
	rec, c := x.lent, x.cache
	if x.lent = nil; rec == nil {
		return
	}
	done := func() { c.takeBack(rec) } // which must not hold the reader
	switch w := x.w.(type) {
	case *pipe:
		w.whenRead(done)
	case *answered:
		w.done = done
	default:
		done()
	}
}
