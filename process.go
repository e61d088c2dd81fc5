package memo

import (
	"context"

	"github.com/seed-0226adef/memo/internal/function"
)

// SetDefault sets options for every function of the process. They are the
// weakest: those of a group and of the function itself win. Each call replaces
// the options of the one before; SetDefault without options restores memo's own
// defaults.
//
// A function reads them when it is first called, or first used in another way,
// and keeps what it read. So functions that are package-level variables see what
// main sets, and a SetDefault after that does not change them: it is logged, once. Only
// [Disabled] is different, and takes effect at once.
//
// SetDefault may be called concurrently with anything. It panics when given
// [Name] or [KeyFunc], which belong to one function.
func SetDefault(opts ...Option) { function.SetDefault(listOf(opts)) }

// Drain waits, before a program ends, until nothing is left that it would lose: executions,
// those in the background too; results on their way to a store; invalidations that a store
// could not be told. It is for all functions of the process, and for httpcache. It stops
// nobody: have your servers end first.
//
// If ctx ends before that, the error says what is left, and wraps ctx.Err().
func Drain(ctx context.Context) error { return function.Drain(ctx) }
