package memo

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

// functions are all functions of the process.
var functions roll[function]

// Funcs returns the functions of the process, in groups and outside of them, sorted by
// name; those of one name by group, and then in the order in which they were made. It
// includes functions that were not used yet. A function that was dropped is left out
// when the garbage collector has found that nobody uses it any more: being returned by
// Funcs does not keep it.
//
// The functions go on while Funcs looks at them, one after the other. It takes no longer
// where they hold many results.
func Funcs() []FuncInfo { return describe(functions.all()) }

// Funcs returns the group's functions, those of groups within it included, as the
// function [Funcs] does.
func (g *Group) Funcs() []FuncInfo {
	in := map[*function]bool{}
	for _, c := range g.functions() {
		in[c] = true
	}
	return describe(slices.DeleteFunc(functions.all(), func(c *function) bool { return !in[c] }))
}

// describe returns what there is to say of cores, which are in the order in which they
// were made.
func describe(cores []*function) []FuncInfo {
	infos := make([]FuncInfo, len(cores))
	for i, c := range cores {
		infos[i] = c.info()
	}
	slices.SortStableFunc(infos, func(a, b FuncInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group))
	})
	return infos
}

// info describes the function as it is now.
func (c *function) info() FuncInfo {
	s, group, used := c.now()
	return FuncInfo{Name: c.Label, Group: group, Batch: c.Batched, Used: used, Options: s.inForce(c.Batched), Stats: Stats(c.Cache.Stats())}
}

// now returns the settings in force, the path of the group, and whether the function was
// used.
func (c *function) now() (s settings, group string, used bool) {
	c.settling.Lock()
	defer c.settling.Unlock()
	if c.policy != nil {
		return c.policy.settings, c.Space.Name(), true
	}
	return c.settings(currentDefaults()), c.Space.Name(), false
}

// inForce lists the settings that have an effect: freshness, failure, this process, the
// store, keys and identity, batches, looking inside.
func (s *settings) inForce(batch bool) (list []Setting) {
	add := func(on bool, option, value string) {
		if on {
			list = append(list, Setting{option, value})
		}
	}
	duration := func(on bool, option string, d time.Duration) { add(on, option, durationText(d)) }
	function := func(option string, f any) {
		name := nameOf(f)
		add(name != "", option, name)
	}

	duration(true, "TTL", s.TTL)
	add(s.Jitter > 0, "Jitter", strconv.FormatFloat(s.Jitter, 'g', -1, 64))
	duration(s.StaleWhileRevalidate > 0, "StaleWhileRevalidate", s.StaleWhileRevalidate)
	add(s.Beta > 0, "EarlyRefresh", strconv.FormatFloat(s.Beta, 'g', -1, 64))
	add(s.InheritTTL, "InheritTTL", "true")

	duration(s.StaleIfError > 0, "StaleIfError", s.StaleIfError)
	duration(s.SoftTimeout > 0, "SoftTimeout", s.SoftTimeout)
	duration(s.LoadTimeout > 0, "LoadTimeout", s.LoadTimeout)
	duration(s.ErrorTTL > 0, "CacheErrors", s.ErrorTTL)
	function("CacheIf", s.keep)

	add(s.noLocal, "NoLocal", "true")
	add(!s.noLocal && s.bytes > 0, "LocalBytes", strconv.FormatInt(s.bytes, 10))
	add(!s.noLocal && s.bytes == 0, "Local", strconv.Itoa(s.entries))
	function("Clone", s.clone)
	function("ContextFrom", s.ContextFrom)
	add(s.disabled(), "Disabled", "true")

	if s.store != nil {
		add(true, "Store", fmt.Sprintf("%T", s.store))
		duration(s.StoreTimeout > 0, "StoreTimeout", s.StoreTimeout)
		duration(s.LocalTTL >= 0, "LocalTTL", s.LocalTTL)
		add(true, "Codec", s.Codec.Name())
		add(s.prefix != "", "Prefix", s.prefix)
		add(s.version != "", "Version", s.version)
		add(s.sharedName, "SharedName", "true")
	}
	function("KeyFunc", s.keyFunc)
	add(len(s.Tags) > 0, "Tags", strings.Join(s.Tags, ", "))

	add(batch && s.maxBatch > 0, "MaxBatch", strconv.Itoa(s.maxBatch))
	duration(batch && s.MissingTTL > 0, "CacheMissing", s.MissingTTL)

	if all, several := s.observer.(observers); several {
		for _, o := range all {
			add(true, "Observe", fmt.Sprintf("%T", o))
		}
	} else {
		add(s.observer != nil, "Observe", fmt.Sprintf("%T", s.observer))
	}
	if s.Logger != nil {
		add(true, "Logger", fmt.Sprintf("%T", s.Logger.Handler()))
	}
	return list
}

// nameOf returns the runtime's name of an option's function, or nothing if there is none.
func nameOf(f any) string {
	if f == nil || reflect.ValueOf(f).IsNil() {
		return ""
	}
	return funcName(f)
}

func durationText(d time.Duration) string {
	if d == Forever {
		return "forever"
	}
	return d.String()
}
