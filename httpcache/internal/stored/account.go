package stored

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// An Account counts the bytes that requests under way hold: copies of responses that
// are to be stored, and request bodies that are part of a key. What the tier holds is
// not among them. Without a bound on the sum, clients who ask for many long pages at
// once would end the process, however small the cache is.
type Account struct {
	Limit func() int64 // not called before the first use: memo's defaults may still change
	Used  atomic.Int64
}

// NewAccount returns an account of as much as limit returns when it is first asked.
func NewAccount(limit func() int64) *Account { return &Account{Limit: sync.OnceValue(limit)} }

// Reserve takes n bytes from what is left, if there are as many. What does not fit takes
// nothing, not even for a moment: else others would be refused on its account.
func (a *Account) Reserve(n int64) bool {
	limit := a.Limit()
	for {
		used := a.Used.Load()
		if n > limit-used {
			return false
		}
		if a.Used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (a *Account) Release(n int64) { a.Used.Add(-n) }

// IsWasteful reports whether a body had better be copied before it is held for long.
func IsWasteful(body []byte) bool { return cap(body)-len(body) > len(body)/8 }

// ReadBody reads a request's body of at most limit bytes, and takes as much from the
// account as the caller has to release. What it returns is not whole if there is more,
// if reading fails, or if nothing is left in the account; rest is what follows it then.
func (a *Account) ReadBody(r *http.Request, limit int64) (body []byte, whole bool, rest io.Reader, taken int64) {
	for {
		if len(body) == cap(body) {
			grown := min(max(2*taken, MinCopy), limit+1)
			if int64(len(body)) > limit || !a.Reserve(grown) {
				return body, false, r.Body, taken
			}
			body = append(make([]byte, 0, grown), body...)
			a.Release(taken)
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

// failing returns the rest of a body, or what has kept it from being read.
func failing(rest io.Reader, err error) io.Reader {
	if err == nil {
		return rest
	}
	return errorReader{err}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// MinCopy is the room that the copy of a response begins with.
const MinCopy = 1 << 10
