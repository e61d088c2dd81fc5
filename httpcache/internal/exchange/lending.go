package exchange

import (
	"github.com/seed-0226adef/memo/httpcache/internal/stored"
	"github.com/seed-0226adef/memo/httpcache/internal/stream"
)

// holds counts rec as what this request holds, in place of what it has held, and
// reports whether there is room.
func (x *exchange) holds(rec *stored.Record) bool {
	if rec == x.lent {
		return true
	}
	if x.lent != nil { // of which nothing has been sent
		x.cache.Sending.TakeBack(x.lent)
		x.lent = nil
	}
	if !x.cache.Sending.Lend(rec) {
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
	done := func() { c.Sending.TakeBack(rec) } // which must not hold the reader
	switch w := x.w.(type) {
	case *stream.Pipe:
		w.WhenRead(done)
	case *stream.Answer:
		w.Done = done
	default:
		done()
	}
}

// reserve takes n bytes for this request from the cache's account.
func (x *exchange) reserve(n int64) bool {
	if !x.cache.Inflight.Reserve(n) {
		return false
	}
	x.reserved += n
	return true
}

// settle returns what the request has taken. A pipe returns it when its reader has
// read what it shares with the exchange.
func (x *exchange) settle() {
	n := x.reserved
	if x.reserved = 0; n == 0 {
		return
	}
	account := x.cache.Inflight
	release := func() { account.Release(n) } // which must not hold the pipe
	if p, ok := x.w.(*stream.Pipe); ok {
		p.WhenRead(release)
	} else {
		release()
	}
}

// unreserve returns n bytes of what the request has taken.
func (x *exchange) unreserve(n int64) {
	x.cache.Inflight.Release(n)
	x.reserved -= n
}
