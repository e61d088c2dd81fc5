package codec

import (
	"fmt"
	"reflect"
	"sync"
	"time"
)

// A dialect is what a codec does with Go types, as far as losing data is
// concerned. The plan of a type is compiled from it once, and then answers
// Check and guides the walk over each value.
type dialect struct {
	name string

	// writes reports whether values of a scalar kind can be written at all.
	writes func(reflect.Kind) bool

	// methods names the interfaces by which a type writes and reads itself.
	methods []selfMethod

	// own finds which of methods writes t, and which reads it; -1 is none.
	own func(t reflect.Type, addressable bool) (writer, reader int)

	// members resolves the fields of a struct.
	members func(t reflect.Type) []member

	// key refuses types of map keys that the codec cannot write. It is asked
	// for keys that do not write themselves.
	key func(reflect.Type) string

	// implementations reports whether interfaces with methods can be read.
	implementations bool

	// fieldlessFails reports whether a struct that has only fields that are not
	// written is refused by the codec.
	fieldlessFails bool

	// textKeys reports whether keys are written by the text interface alone.
	textKeys bool

	// inside answers for a value in an interface: an error, or nil after it
	// has walked on as far as need be.
	inside func(w *walk, v reflect.Value) error

	// pointee says why a non-nil pointer to n.elem cannot be kept, or "".
	// field tells whether the pointer is a field of a struct.
	pointee func(n *node, v reflect.Value, field bool) string

	// absent says why a nil pointer that is an element cannot be kept, or "". It may
	// be nil.
	absent func(n *node) string

	// instant says why a time cannot be kept, or "". It may be nil.
	instant func(time.Time) string

	plans sync.Map // reflect.Type → *plan
}

// A member is a field of a struct, or of one embedded in it, with its fate.
type member struct {
	path   string // Go names, joined by dots
	index  []int
	typ    reflect.Type
	lost   string // why it is not written; "" when it is
	fails  bool   // lost, and an error or worse rather than silence
	exempt bool   // tagged memo:"-"
}

// A watch says what has to be looked at in a value because its type alone does
// not tell.
type watch uint8

const (
	watchInterface watch = 1 << iota
	watchPointer         // to something that may itself be nil or left out
	watchTime
	watchNumber
	watchDepth // the type contains itself
	watchString
	watchSelf // writes itself
	watchKey  // a string as a key, which is written as it is and read by UnmarshalText
)

// A node is a type, as seen by one codec in one place.
type node struct {
	typ       reflect.Type
	kind      reflect.Kind
	self      bool  // writes itself, or is time.Time: a leaf
	here      watch // what to look at in this very value
	below     watch // here, and that of every node that can be reached
	elem, key *node
	fields    []fieldNode
}

type fieldNode struct {
	path   string
	index  []int
	exempt bool
	node   *node
}

// A plan is the compiled answer for one type.
type plan struct {
	err  error
	root *node
}

// planFor returns the plan of t, compiled on first use.
func (d *dialect) planFor(t reflect.Type) *plan {
	if p, ok := d.plans.Load(t); ok {
		return p.(*plan)
	}
	p := d.compile(t, true)
	d.plans.Store(t, p)
	return p
}

func (d *dialect) compile(t reflect.Type, addressable bool) *plan {
	c := compiler{dialect: d, nodes: map[place]*node{}, open: map[*node]bool{}}
	root := c.node(t, place{t, addressable, false}, "")
	c.settle()
	return &plan{err: c.err, root: root}
}

// A place is where a type occurs, as far as that decides how it is written.
type place struct {
	typ         reflect.Type
	addressable bool
	exempt      bool
}

type compiler struct {
	*dialect
	nodes map[place]*node
	open  map[*node]bool
	err   error
}

var timeType = reflect.TypeFor[time.Time]()

func (c *compiler) node(t reflect.Type, at place, path string) *node {
	at.typ = t
	if n := c.nodes[at]; n != nil {
		if c.open[n] {
			n.here |= watchDepth
		}
		return n
	}
	n := &node{typ: t, kind: t.Kind()}
	c.nodes[at] = n
	c.open[n] = true
	c.fill(n, at, path)
	delete(c.open, n)
	return n
}

// fill looks into n, whose type is at.typ.
func (c *compiler) fill(n *node, at place, path string) {
	if n.typ == timeType {
		n.self = true
		n.here |= watchTime
		return
	}
	if n.kind != reflect.Interface && n.kind != reflect.Pointer && c.writesItself(n, at, path) {
		return
	}
	switch n.kind {
	case reflect.Struct:
		c.structure(n, at, path)
	case reflect.Pointer:
		if pointee(n.typ) == nil {
			// Package msgpack follows such a type until the stack is exhausted.
			c.refuse(path, n.typ, "is a pointer to itself and can hold nothing; use another type")
			return
		}
		n.elem = c.node(n.typ.Elem(), place{addressable: true, exempt: at.exempt}, path)
		n.here |= watchPointer
	case reflect.Slice:
		n.elem = c.node(n.typ.Elem(), place{addressable: true, exempt: at.exempt}, path+"[]")
	case reflect.Array:
		n.elem = c.node(n.typ.Elem(), at, path+"[]")
	case reflect.Map:
		c.mapping(n, at, path)
	case reflect.Interface:
		n.here |= watchInterface
		if n.typ.NumMethod() > 0 && !c.implementations {
			c.refuse(path, n.typ, fmt.Sprintf("is an interface with methods, and %s cannot know which type to read it back into; use a concrete type or another codec", c.name))
		}
	default:
		c.scalar(n, path)
	}
}

func (c *compiler) scalar(n *node, path string) {
	if n.kind == reflect.String {
		n.here |= watchString
		if n.typ == numberType {
			n.here |= watchNumber
		}
		return
	}
	if !c.writes(n.kind) {
		c.refuse(path, n.typ, fmt.Sprintf("cannot be written by %s; leave it out of the result or use another codec", c.name))
	}
}

func (c *compiler) mapping(n *node, at place, path string) {
	in := place{exempt: at.exempt}
	key := n.typ.Key()
	if key.Kind() == reflect.Pointer {
		c.refuse(path, n.typ, "is a map keyed by pointers, which do not survive being written; key it by what they point to")
	} else if why := c.key(key); why != "" {
		c.refuse(path, n.typ, why)
	} else if c.textKeys {
		n.key = c.textKey(key, in, path+"[key]")
	} else {
		n.key = c.node(key, in, path+"[key]")
	}
	n.elem = c.node(n.typ.Elem(), in, path+"[]")
}

// textKey returns the node of keys that are strings, integers, or what MarshalText
// makes of them.
func (c *compiler) textKey(t reflect.Type, at place, path string) *node {
	n := &node{typ: t, kind: t.Kind()}
	switch {
	case n.kind == reflect.String:
		n.here = watchString
		if reflect.PointerTo(t).Implements(textMethod.reader) {
			n.here |= watchKey
		}
	case t == timeType:
		n.self, n.here = true, watchTime
	case t.Implements(textMethod.writer):
		n.self = true
		c.inherited(n, at, path, textMethod)
	}
	n.below = n.here
	return n
}

func (c *compiler) structure(n *node, at place, path string) {
	written := 0
	for _, m := range c.members(n.typ) {
		exempt := at.exempt || m.exempt
		full := join(path, m.path)
		if m.lost != "" {
			if m.fails || !exempt {
				c.refuse(full, m.typ, m.lost)
			}
			continue
		}
		written++
		in := place{addressable: at.addressable, exempt: exempt}
		n.fields = append(n.fields, fieldNode{m.path, m.index, m.exempt, c.node(m.typ, in, full)})
	}
	if c.fieldlessFails && written == 0 && n.typ.NumField() > 0 {
		c.refuse(path, n.typ, fmt.Sprintf("has no field that %s writes, which %s refuses; use another codec", c.name, c.name))
	}
}

// pointee returns what is at the end of a chain of pointers, or nil when the
// chain has no end, as in type T *T.
func pointee(t reflect.Type) reflect.Type {
	seen := map[reflect.Type]bool{}
	for t.Kind() == reflect.Pointer {
		if seen[t] {
			return nil
		}
		seen[t] = true
		t = t.Elem()
	}
	return t
}

// refuse records why the type cannot be used. The first reason is the one told.
func (c *compiler) refuse(path string, t reflect.Type, why string) {
	if c.err != nil {
		return
	}
	if path == "" {
		c.err = fmt.Errorf("%s %s", t, why)
		return
	}
	c.err = fmt.Errorf("field %s (%s) %s", path, t, why)
}

// settle computes what is watched below each node. Types may be recursive, so
// it repeats until nothing changes.
func (c *compiler) settle() {
	for changed := true; changed; {
		changed = false
		for _, n := range c.nodes {
			below := n.below | n.here | n.elem.watched() | n.key.watched()
			for _, f := range n.fields {
				below |= f.node.watched()
			}
			if below != n.below {
				n.below, changed = below, true
			}
		}
	}
}

func (n *node) watched() watch {
	if n == nil {
		return 0
	}
	return n.below | n.here
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
