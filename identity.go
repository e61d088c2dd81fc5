package memo

import (
	"slices"

	"github.com/seed-0226adef/memo/internal/function"
)

// Name names the function, in shared keys, logs and events. It is needed with a
// shared store, where it must stay the same when the code is moved or renamed.
// By default it is the name that the runtime gives to fn, for display only. An
// empty s panics.
//
// A name in a store belongs to one function. A second New, of whatever function, under
// the same name and [Prefix] and with the same value for a [Store] panics, and says
// where the first one is: two functions with one key would return each other's
// results, and nothing about two function values tells whether they compute the
// same. [SharedName] is how to say that they do. A function whose store or prefix is
// a default of [SetDefault]'s, which New does not know, panics at its first use.
//
// So a constructor that memoizes a method gives each receiver a prefix of its own:
//
//	func newUsers(db *sql.DB, tenant string) *Users {
//		u := &Users{db: db}
//		u.byID = memo.Wrap(u.loadByID, memo.Store(s), memo.Prefix(tenant), memo.Name("users.byID"))
//		return u
//	}
//
// A name stays taken as long as its store is in use, also when the function is not
// any more. A store of a type that == cannot compare is not checked.
//
// It may be given to [New].
func Name(s string) Option {
	if s == "" {
		panic("memo: Name(\"\"): a name must not be empty")
	}
	return option(func(o *function.Settings) { o.Name = s })
}

// SharedName says that all functions of this [Name] in this store, under this
// [Prefix], compute the same, so that each may return what another has stored: they
// are made of one function in several places, or again for each request or test. All
// of them have to say so; by default the second one panics.
//
// Each of them has results of its own in this process, and counts by itself. An
// Invalidate of one reaches the others.
//
// It may be given to [New]. Without a shared store it does nothing.
func SharedName() Option {
	return option(func(o *function.Settings) { o.SharedName = true })
}

// Prefix sets what every shared key begins with, so that several programs can
// use one store. The default is "".
//
// It may be given to [SetDefault], [NewGroup] and [New].
func Prefix(s string) Option {
	return option(func(o *function.Settings) { o.Prefix = s })
}

// Version sets the part of every shared key that tells results of one shape from
// those of another. The default is a fingerprint of the types A and R, so a
// program whose types have changed never reads the results of an older one. What is
// invalidated or cleared is so in all versions.
// Whoever sets it has to change it where the meaning of results changes. An
// empty s restores the default.
//
// It may be given to [SetDefault], [NewGroup] and [New].
func Version(s string) Option {
	return option(func(o *function.Settings) { o.Version = s })
}

// Tags gives every result of the function these tags, by which
// [Group.InvalidateTags] of its group finds them. The default is none; fn adds
// others to a single result with [AddTags]. A function with tags that belongs to no
// group is logged, once: nothing can invalidate them.
//
// It may be given at every level; the last one wins, so tags of a group and of a
// function do not add up.
func Tags(t ...string) CallOption {
	t = slices.Clone(t)
	return callOption(func(s *function.Settings) { s.Tags = t })
}

// KeyFunc replaces the canonical key of an argument by the string that key
// returns. Arguments with the same string share a result. It is called on every
// call, possibly by several goroutines at once. A nil key restores the default.
//
// Unless A is a string, fn gets the argument itself and no copy: the caller must not
// change what it leads to after the call, when fn may still be running.
//
// A must be the function's argument type: New panics otherwise. It may be given
// to [New].
func KeyFunc[A any](key func(A) string) Option {
	if key == nil {
		return option(func(s *function.Settings) { s.KeyFunc = nil })
	}
	return option(func(s *function.Settings) { s.KeyFunc = key })
}
