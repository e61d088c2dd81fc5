// Package hints lets packages of this module read what a function has said about
// the result that it is about to return, by memo.SetTTL and memo.NoStore.
package hints

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed-0226adef/memo/store"
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

// Notes is a place in a function's shared store for one value of a package's own, which
// is changed by Add and Swap only; what has no token is deleted. It keeps the value
// for NotesLife from the last change. Operations take no longer than the function's
// StoreTimeout.
type Notes interface {
	Get(ctx context.Context) ([]byte, error) // nil if there is none
	Add(ctx context.Context, value []byte) error
	Swap(ctx context.Context, old store.Token, value []byte) error
	Delete(ctx context.Context) error
}

// NotesLife is how long a store keeps Notes that are not changed.
const NotesLife = 30 * 24 * time.Hour

// NotesOf returns the Notes of a *memo.Func; nil without a shared store. Package memo
// sets it when it is initialised.
var NotesOf func(f any) Notes

// JoinsDefault makes a *memo.Group that nobody else knows, and that is in no other, one of
// the default group when its function is first used, which Settle counts as. Package
// memo sets them when it is initialised.
var (
	JoinsDefault func(g any)
	Settle       func(f any)
)

// Forget drops what a *memo.Func holds under a key in this process; a store keeps what it
// has. Package memo sets it when it is initialised.
var Forget func(f any, key string)

// Given returns the names of those among options, which are memo.Options, that say which
// results a function keeps, for how long, and under which name. Package memo sets it when it
// is initialised.
var Given func(opts any) []string

// A Weigher is a result that leads to memory from fields that are not exported: how much,
// once it is in use. allocated returns what Go's allocator takes for n bytes.
type Weigher interface {
	Hidden(allocated func(n int64) int64) int64
}

// Bypassed reports whether ctx is one of memo.WithBypass. Package memo sets it when it is
// initialised.
var Bypassed = func(context.Context) bool { return false }

// An Abstainer is an argument that wants to know when its call will not run the
// function now, but waits for somebody else's execution.
type Abstainer interface{ Abstain() }
