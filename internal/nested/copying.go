package nested

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
)

// A Copying is where copies are made of the results that a function holds. Some are noted: of
// those that are made for one execution the first few, and one in many of all. A Clone that
// calls its function for the result that it copies does so for as long as there is memory
// for the stack, and is found out.
type Copying struct {
	noted atomic.Int64 // how many copies are being made that are noted
}

const (
	copiesNoted = 8
	copySample  = 1 << 10
)

// Look reports whether the copy of a held result is to be noted, for a call under ctx, also
// because another one is: perhaps in this goroutine.
func (c *Copying) Look(ctx context.Context) bool {
	if c.noted.Load() > 0 || rand.Uint32()%copySample == 0 {
		return true
	}
	return Executing.Load() != 0 && Of(ctx).Clones(copiesNoted)
}

// Note notes that a copy is being made of a result of key, in a call under ctx, until
// done is called. It returns ErrRecursive if the call was made by what makes a copy of the
// same result.
func (c *Copying) Note(ctx context.Context, key string) (done func(), err error) {
	cb := &Callback{Copies: c, Key: key}
	if around := Of(ctx); around != nil {
		cb.Of = around.Execution
	}
	leave, err := cb.Enter()
	if err != nil {
		return nil, err
	}
	c.noted.Add(1)
	return func() {
		c.noted.Add(-1)
		leave()
	}, nil
}
