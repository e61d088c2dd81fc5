package stored

import "sync"

// What is sent to a client who reads slowly stays in memory when the tier has long
// dropped it. So a stored response is counted in an account as long as any request
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

// Lend counts one request more that holds rec, if there is room.
func (a *Account) Lend(rec *Record) bool { return len(rec.Body) < lentSize || a.lendLong(rec) }

func (a *Account) lendLong(rec *Record) bool {
	l := &rec.Derived().lending
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 && !a.Reserve(int64(len(rec.Body))) {
		return false
	}
	l.n++
	return true
}

// TakeBack ends what lend began.
func (a *Account) TakeBack(rec *Record) {
	if len(rec.Body) < lentSize {
		return
	}
	l := &rec.Derived().lending
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n--; l.n == 0 {
		a.Release(int64(len(rec.Body)))
	}
}
