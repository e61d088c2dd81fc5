// Package hints lets packages of this module read what a function has said about
// the result that it is about to return, by memo.SetTTL and memo.NoStore.
package hints

import (
	"context"
	"log/slog"
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

// Log returns the logger of a *memo.Func, and IsShared reports whether it has a shared
// store. LocalBytes returns how many bytes it holds in this process, zero if that is not
// bounded in bytes. Package memo sets them when it is initialised.
var (
	Log      func(f any) *slog.Logger
	IsShared func(f any) bool

	LocalBytes func(f any) int64
)

// An Abstainer is an argument that wants to know when its call will not run the
// function now, but waits for somebody else's execution.
type Abstainer interface{ Abstain() }
