package httpcache

import (
	"io"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
)

// An account counts the bytes that requests under way hold: copies of responses that
// are to be stored, and request bodies that are part of a key. What the tier holds is
// not among them. Without a bound on the sum, clients who ask for many long pages at
// once would end the process, however small the cache is.
type account struct {
	limit func() int64 // not called before the first use: memo's defaults may still change
	used  atomic.Int64
}

// newAccount returns the account of a cache. See Options.MaxInFlight.
func newAccount(c *Cache) *account {
	return &account{limit: sync.OnceValue(func() int64 {
		switch given := c.opts.MaxInFlight; {
		case given < 0:
			return math.MaxInt64
		case given > 0:
			return given
		}
		return orDefault(c.records.localBytes(), defaultLocalBytes)
	})}
}

// reserve takes n bytes from what is left, if there are as many. What does not fit takes
// nothing, not even for a moment: else others would be refused on its account.
func (a *account) reserve(n int64) bool {
	limit := a.limit()
	for {
		used := a.used.Load()
		if n > limit-used {
			return false
		}
		if a.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (a *account) release(n int64) { a.used.Add(-n) }

// reserve takes n bytes for this request from the cache's account.
func (x *exchange) reserve(n int64) bool {
	if !x.cache.inflight.reserve(n) {
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
	account := x.cache.inflight
	release := func() { account.release(n) } // which must not hold the pipe
	if p, ok := x.w.(*pipe); ok {
		p.whenRead(release)
	} else {
		release()
	}
}

// makeRoom makes room in the copy for n bytes more, and reports whether there was any
// to be had. It counts the old copy beside the new one as long as both are held.
func (rec *recorder) makeRoom(n int64) bool {
	x, size := rec.exchange, int64(cap(rec.body))
	need := int64(len(rec.body)) + n
	if need <= size {
		return true
	}
	grown := max(need, min(2*size, x.policy.MaxBody), minCopy)
	if rec.declared >= need {
		grown = min(rec.declared, x.policy.MaxBody)
	}
	if !x.reserve(grown) {
		return false
	}
	rec.body = append(make([]byte, 0, grown), rec.body...)
	if rec.drain == nil { // or it may be writing what it has of the old one
		x.cache.inflight.release(size)
		x.reserved -= size
	}
	return true
}

// minCopy is the room that the copy of a response begins with.
const minCopy = 1 << 10

// makeRoomToStore reserves what storing the copy takes beside it: a copy of the right
// length, and the bytes for a shared store.
func (rec *recorder) makeRoomToStore() bool {
	n, size := int64(0), int64(len(rec.body))
	if isWasteful(rec.body) {
		n += size
	}
	if rec.exchange.cache.records.isShared() {
		n += size
	}
	return n == 0 || rec.exchange.reserve(n)
}

// isWasteful reports whether a body had better be copied before it is held for long.
func isWasteful(body []byte) bool { return cap(body)-len(body) > len(body)/8 }

// readBody reads a request's body of at most limit bytes, and takes as much from the
// account as the caller has to release. What it returns is not whole if there is more,
// if reading fails, or if nothing is left in the account; rest is what follows it then.
func (a *account) readBody(r *http.Request, limit int64) (body []byte, whole bool, rest io.Reader, taken int64) {
	for {
		if len(body) == cap(body) {
			grown := min(max(2*taken, minCopy), limit+1)
			if int64(len(body)) > limit || !a.reserve(grown) {
				return body, false, r.Body, taken
			}
			body = append(make([]byte, 0, grown), body...)
			a.release(taken)
			taken = grown
		}
		n, err := r.Body.Read(body[len(body):min(int64(cap(body)), limit+1)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return body, false, failing(r.Body, notEOF(err)), taken
		case err == io.EOF:
			return body, true, nil, taken
		case err != nil:
			return body, false, errorReader{err}, taken
		}
	}
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
