// Package tags is what is invalidated together in this process: by tags, and by the
// Clear of a group.
//
//   - A Namespace is where tags have their meaning: a group's, or that of one function.
//   - A Tag is a tag in its namespace, and a Set is several.
//   - The Sequence orders invalidations and executions.
//
// The package knows names, and which keyspaces of stores results with a tag may be in. It
// knows no results: those remember a sequence number, and ask.
package tags

import "slices"

// A Tag is a tag in the namespace that can invalidate it. A result that was made from
// another function's result carries that function's tags in that function's namespace.
type Tag struct {
	Space *Namespace
	Name  string
}

// AnyInvalidated reports whether any of the tags was invalidated after the number born
// was taken.
func AnyInvalidated(tags []Tag, born uint64) bool {
	for _, t := range tags {
		if t.Space.invalidated(t.Name) > born {
			return true
		}
	}
	return false
}

// Names returns the names of tags, each once; nil without any.
func Names(tags []Tag) []string {
	if len(tags) == 0 {
		return nil
	}
	names := make([]string, 0, len(tags))
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		if !seen[t.Name] {
			seen[t.Name] = true
			names = append(names, t.Name)
		}
	}
	return names
}

// A Set holds tags in the order in which they were first added. The zero Set is empty.
type Set struct {
	List  []Tag            // only ever appended to
	index map[Tag]struct{} // what List holds, once that is long
}

// fewTags is how many tags are faster to go through than to index.
const fewTags = 16

// Add adds those of tags that are not in the set yet.
func (s *Set) Add(tags ...Tag) {
	for _, t := range tags {
		if s.Has(t) {
			continue
		}
		s.List = append(s.List, t)
		switch {
		case s.index != nil:
			s.index[t] = struct{}{}
		case len(s.List) > fewTags:
			s.index = make(map[Tag]struct{}, 2*len(s.List))
			for _, t := range s.List {
				s.index[t] = struct{}{}
			}
		}
	}
}

// Has reports whether t is in the set.
func (s *Set) Has(t Tag) bool {
	if s.index == nil {
		return slices.Contains(s.List, t)
	}
	_, ok := s.index[t]
	return ok
}
