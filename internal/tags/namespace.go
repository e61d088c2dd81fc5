package tags

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-0226adef/memo/internal/fleet"
)

// A Namespace is where tags have their meaning: a group's, or that of a single
// function outside of all groups.
type Namespace struct {
	Path     string        // names the group in shared stores, empty outside of all groups; see Move
	cleared  atomic.Uint64 // when all of it was invalidated last
	mu       sync.Mutex
	tags     map[string]uint64   // guarded by mu; when each tag was invalidated last
	floor    uint64              // guarded by mu; stands for all tags that were dropped from the map
	children []*Namespace        // guarded by mu; the namespaces of groups within this group
	expired  expiries            // guarded by mu; when all of it was expired
	marked   map[string]expiries // guarded by mu; when each tag was expired
	ended    atomic.Uint64       // when all of it was expired last
	claimed  bool                // guarded by spaces; there is a group

	keyspaces map[*fleet.Keyspace]struct{} // guarded by mu; where there may be results that carry its tags
}

// maxTags bounds how many invalidated tags a namespace remembers one by one.
// When more come, all of them are forgotten together, and every tagged result
// from before counts as overtaken: too much is executed again, nothing old is
// returned.
const maxTags = 1 << 16

// Clear invalidates everything in the namespace and below it.
func (n *Namespace) Clear() {
	NextSequence(n.noteClear)
}

func (n *Namespace) noteClear(seq uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cleared.Store(seq)
	for _, c := range n.children {
		c.noteClear(seq)
	}
}

// Invalidate invalidates what carries any of the tags, here and below.
func (n *Namespace) Invalidate(tags []string) {
	NextSequence(func(seq uint64) { n.noteTags(tags, seq) })
}

func (n *Namespace) noteTags(tags []string, seq uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.makeRoom(len(tags), seq) { // for which floor stands, too
		for _, t := range tags {
			if n.tags == nil {
				n.tags = make(map[string]uint64)
			}
			n.tags[t] = seq
			delete(n.marked, t)
		}
	}
	for _, c := range n.children {
		c.noteTags(tags, seq)
	}
}

// makeRoom forgets all tags if so many more are too many, and reports whether it did.
func (n *Namespace) makeRoom(more int, seq uint64) bool {
	if len(n.tags)+len(n.marked)+more <= maxTags {
		return false
	}
	n.tags, n.marked, n.floor = nil, nil, seq
	return true
}

// Adopt makes child's results subject to this namespace's invalidations.
func (n *Namespace) Adopt(child *Namespace) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.children = append(n.children, child)
}

// Reaches notes that results in k carry tags of the namespace.
func (n *Namespace) Reaches(k *fleet.Keyspace) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.keyspaces == nil {
		n.keyspaces = map[*fleet.Keyspace]struct{}{}
	}
	n.keyspaces[k] = struct{}{}
}

// Reached returns these keyspaces, and those of the groups within.
func (n *Namespace) Reached() []*fleet.Keyspace {
	n.mu.Lock()
	defer n.mu.Unlock()
	in := slices.Collect(maps.Keys(n.keyspaces))
	for _, c := range n.children {
		in = append(in, c.Reached()...)
	}
	return in
}

// ClearedAfter reports whether all of the namespace was invalidated after the number born
// was taken.
func (n *Namespace) ClearedAfter(born uint64) bool { return n.cleared.Load() > born }

// invalidated returns when tag was last invalidated, 0 for never.
func (n *Namespace) invalidated(tag string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return max(n.tags[tag], n.floor)
}

// PathOf returns the path of the group name in the group at around, if that is
// not empty.
func PathOf(around, name string) string {
	name = strings.NewReplacer("%", "%25", "/", "%2F").Replace(name)
	if around == "" {
		return name
	}
	return around + "/" + name
}

// spaces are the namespaces of groups that results in shared stores name.
var spaces = struct {
	sync.Mutex
	at map[string]*Namespace // guarded by the mutex; the last group's of each path
}{at: map[string]*Namespace{}}

// Claim returns a namespace for a new group at path. Results that were read
// before there was a group may refer to it already.
func Claim(path string) *Namespace {
	spaces.Lock()
	defer spaces.Unlock()
	if n := spaces.at[path]; n != nil && !n.claimed {
		n.claimed = true
		return n
	}
	n := &Namespace{Path: path, claimed: true}
	spaces.at[path] = n
	return n
}

// Move gives the namespace of a group another path, before what belongs to the group is
// used. Results that were read before may
// name that path already; they become subject to what the group invalidates.
func (n *Namespace) Move(path string) {
	spaces.Lock()
	defer spaces.Unlock()
	if old := spaces.at[path]; old != nil && !old.claimed {
		n.Adopt(old)
	}
	n.Path = path
	spaces.at[path] = n
}

// Name returns the namespace's path, also while a group may still move.
func (n *Namespace) Name() string {
	spaces.Lock()
	defer spaces.Unlock()
	return n.Path
}

// At returns the namespace of the group at path.
func At(path string) *Namespace {
	spaces.Lock()
	defer spaces.Unlock()
	n := spaces.at[path]
	if n == nil {
		n = &Namespace{Path: path}
		spaces.at[path] = n
	}
	return n
}
