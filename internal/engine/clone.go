package engine

import (
	"context"
	"math/rand/v2"

	"github.com/seed-0226adef/memo/internal/nested"
)

// Which copies of held results are noted: of those that are made for one execution the
// first few, and one in many of all. A Clone that calls its function for the result that
// it copies does so for as long as there is memory for the stack, and is found out.
const (
	clonesNoted = 8
	cloneSample = 1 << 10
)

// LooksAtClone reports whether the copy of a held result is to be noted, for a call
// under ctx, also because one of the same key is: perhaps in this goroutine.
func (s *shard) LooksAtClone(ctx context.Context) bool {
	if s.cloning.Load() > 0 || rand.Uint32()%cloneSample == 0 {
		return true
	}
	return nested.Executing.Load() != 0 && nested.Of(ctx).Clones(clonesNoted)
}

// NoteClone notes that a copy is being made of a result of key, in a call under ctx, until
// done is called. It returns ErrRecursive if the call was made by what makes a copy of the
// same result.
func (c *Cache) NoteClone(ctx context.Context, key string) (done func(), err error) {
	cb := &nested.Callback{Copies: c, Key: key}
	if around := nested.Of(ctx); around != nil {
		cb.Of = around.Execution
	}
	leave, err := cb.Enter()
	if err != nil {
		return nil, err
	}
	noted := &c.Shard(key).cloning
	noted.Add(1)
	return func() {
		noted.Add(-1)
		leave()
	}, nil
}
