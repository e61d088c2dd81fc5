package function

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0226adef/memo/internal/entry"
	"github.com/seed-0226adef/memo/internal/fresh"
)

// functions are all functions of the process.
var functions roll[Function]

// An Info is memo.FuncInfo.
type Info struct {
	Name, Group string
	Batch, Used bool
	Options     []Setting
	Stats       entry.Stats
}

// A Setting is memo.Setting.
type Setting struct{ Option, Value string }

// Enlist makes the function one of those that Describe describes, for as long as it is in
// use.
func (f *Function) Enlist() { functions.enter(f) }

// Describe describes the functions of the group, in the order of the function Describe.
func (g *Group) Describe() []Info {
	in := map[*Function]bool{}
	for _, f := range g.functions() {
		in[f] = true
	}
	return describe(slices.DeleteFunc(functions.all(), func(f *Function) bool { return !in[f] }))
}

// Describe describes the functions of the process, sorted by name; those of one name by
// group, and then in the order in which they were made.
func Describe() []Info { return describe(functions.all()) }

// describe returns what there is to say of functions, which are in the order in which they
// were made.
func describe(functions []*Function) []Info {
	infos := make([]Info, len(functions))
	for i, c := range functions {
		infos[i] = c.info()
	}
	slices.SortStableFunc(infos, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group))
	})
	return infos
}

// info describes the function as it is now.
func (c *Function) info() Info {
	s, group, used := c.now()
	return Info{Name: c.Label, Group: group, Batch: c.Batched, Used: used, Options: s.inForce(c.Batched), Stats: c.Cache.Stats()}
}

// now returns the settings in force, the path of the group, and whether the function was
// used.
func (c *Function) now() (s Settings, group string, used bool) {
	c.settling.Lock()
	defer c.settling.Unlock()
	if c.Policy != nil {
		return c.Policy.Settings, c.Space.Name(), true
	}
	return c.Settings(currentDefaults()), c.Space.Name(), false
}

// inForce lists the settings that have an effect: freshness, failure, this process, the
// store, keys and identity, batches, looking inside.
func (s *Settings) inForce(batch bool) (list []Setting) {
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
	duration(s.maxAgeSaid, "MaxAge", s.maxAge)
	add(s.InheritTTL, "InheritTTL", "true")

	duration(s.StaleIfError > 0, "StaleIfError", s.StaleIfError)
	duration(s.SoftTimeout > 0, "SoftTimeout", s.SoftTimeout)
	duration(s.LoadTimeout > 0, "LoadTimeout", s.LoadTimeout)
	duration(s.ErrorTTL > 0, "CacheErrors", s.ErrorTTL)
	function("CacheIf", s.Keep)

	add(s.NoLocal, "NoLocal", "true")
	add(!s.NoLocal && s.Bytes > 0, "LocalBytes", strconv.FormatInt(s.Bytes, 10))
	add(!s.NoLocal && s.Bytes == 0, "Local", strconv.Itoa(s.Entries))
	function("Clone", s.Clone)
	function("ContextFrom", s.ContextFrom)
	add(s.Disabled(), "Disabled", "true")

	if s.Store != nil {
		add(true, "Store", fmt.Sprintf("%T", s.Store))
		duration(s.StoreTimeout > 0, "StoreTimeout", s.StoreTimeout)
		duration(s.LocalTTL >= 0, "LocalTTL", s.LocalTTL)
		add(s.Bus != nil, "Bus", fmt.Sprintf("%T", s.Bus))
		add(true, "Codec", s.Codec.Name())
		add(s.Prefix != "", "Prefix", s.Prefix)
		add(s.Version != "", "Version", s.Version)
		add(s.SharedName, "SharedName", "true")
	}
	function("KeyFunc", s.KeyFunc)
	add(len(s.Tags) > 0, "Tags", strings.Join(s.Tags, ", "))

	add(batch && s.MaxBatch > 0, "MaxBatch", strconv.Itoa(s.MaxBatch))
	duration(batch && s.MissingTTL > 0, "CacheMissing", s.MissingTTL)

	for _, o := range s.Observers {
		add(true, "Observe", fmt.Sprintf("%T", o.Value))
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
	return FuncName(f)
}

func durationText(d time.Duration) string {
	if d == fresh.Forever {
		return "forever"
	}
	return d.String()
}
