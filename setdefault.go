package memo

import "github.com/seed-0226adef/memo/internal/function"

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
