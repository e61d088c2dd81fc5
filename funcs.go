package memo

import "github.com/seed-0226adef/memo/internal/function"

// A FuncInfo describes a memoized function, a [Func] or a [Batch], at one moment: for a
// page that shows the caches of a program, or a collector of metrics. [Funcs] returns
// those of the process, and [Group.Funcs] those of a group. The caller owns it.
type FuncInfo struct {
	// Name is the function's name in logs and events: its [Name], or what the runtime
	// calls fn. Several functions may have one name, such as those that are made in
	// one line of code for several tenants.
	Name string

	// Group names the group that the function is in and those around it, the outermost
	// first, with slashes between them; in a name, "/" is written as "%2F" and "%" as
	// "%25". It is empty outside of all groups. A group of [SetDefault] takes a
	// function in when that is first used.
	Group string

	// Batch reports whether it is a [Batch].
	Batch bool

	// Used reports whether the function was used since it was made, be it by a call, a
	// Peek, or a look at its Stats. From then on it keeps its Options, but for
	// [Disabled].
	Used bool

	// Options are the options in force for calls without [Func.With], memo's own
	// defaults among them, in an order that stays the same. Options that are off, or
	// have no effect on this function, are left out. If the function was not used yet,
	// they are what it would have if it were used now.
	Options []Setting

	// Stats are the function's counters, as [Func.Stats] returns them.
	Stats Stats
}

// A Setting is an option in force.
type Setting struct {
	// Option is its name, such as "TTL".
	Option string

	// Value is what was given, for people to read: durations as [time.Duration.String]
	// writes them ("forever" for [Forever]), numbers in decimal, functions by the
	// runtime's name, stores, observers and loggers by their type, tags with commas
	// between them, "true" for options that are only on or off.
	Value string
}

// String returns the two in a line: "TTL 5m0s".
func (s Setting) String() string { return s.Option + " " + s.Value }

// Funcs returns the functions of the process, in groups and outside of them, sorted by
// name; those of one name by group, and then in the order in which they were made. It
// includes functions that were not used yet. A function that was dropped is left out
// when the garbage collector has found that nobody uses it any more: being returned by
// Funcs does not keep it.
//
// The functions go on while Funcs looks at them, one after the other. It takes no longer
// where they hold many results.
func Funcs() []FuncInfo { return infosOf(function.Describe()) }

// Funcs returns the group's functions, those of groups within it included, as the
// function [Funcs] does.
func (g *Group) Funcs() []FuncInfo {
	return infosOf(g.inner.Describe())
}

// infosOf returns what there is to say of functions.
func infosOf(all []function.Info) []FuncInfo {
	infos := make([]FuncInfo, len(all))
	for i, f := range all {
		infos[i] = FuncInfo{Name: f.Name, Group: f.Group, Batch: f.Batch, Used: f.Used, Options: make([]Setting, len(f.Options)), Stats: Stats(f.Stats)}
		for j, o := range f.Options {
			infos[i].Options[j] = Setting(o)
		}
	}
	return infos
}
