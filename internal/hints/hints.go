// Package hints lets packages of this module read what a function has said about
// the result that it is about to return, by memo.SetTTL and memo.NoStore.
package hints

import (
	"context"
	"time"
)

// A Hint is what has been said so far.
type Hint struct {
	TTL     time.Duration // SetTTL's, if HasTTL
	HasTTL  bool
	NoStore bool
}

// Of returns the hint of the execution that ctx belongs to. Package memo sets it
// when it is initialised.
var Of = func(context.Context) Hint { return Hint{} }
