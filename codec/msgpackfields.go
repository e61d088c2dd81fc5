package codec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// msgpackMembers resolves fields as package msgpack does. It goes by their
// order: whether an embedded struct is flattened depends on the names seen
// before it, and a later field takes a name from an earlier one.
func msgpackMembers(t reflect.Type) []member {
	c := msgpackCollector{names: map[string]int{}}
	for i := range t.NumField() {
		c.field(t.Field(i))
	}
	return c.members
}

type msgpackCollector struct {
	members []member
	named   []string       // the name each member is written under
	names   map[string]int // what a name is read into
}

func (c *msgpackCollector) field(sf reflect.StructField) {
	if sf.Name == "_" || sf.Name == "_msgpack" { // the latter holds options of the struct
		return
	}
	m := member{path: sf.Name, index: sf.Index, typ: sf.Type, exempt: mayBeLost(sf)}
	name, rest, _ := strings.Cut(sf.Tag.Get("msgpack"), ",")
	options := strings.Split(rest, ",")
	inline := sf.Anonymous && !slices.Contains(options, "noinline")
	switch {
	case name == "-":
		m.lost = excluded("msgpack", "msgpack")
	case !sf.IsExported() && !sf.Anonymous:
		m.lost = unexported("msgpack")
	case slices.Contains(options, "intern"):
		// It confuses nil with the empty string in an interface, and its
		// indices are extensions that are read byte by byte: see msgpackReader.
		m.lost, m.fails = "is tagged intern, which this codec does not support; take the option away", true
	case inline && sf.Type.Kind() == reflect.Pointer && isStruct(sf.Type) && msgpackPlain(sf.Type.Elem()):
		m.lost = `is an embedded pointer, and msgpack brings a nil one back as a pointer to a zero struct; tag it msgpack:",noinline", tag it memo:"-" or use another codec`
	case inline && sf.Type.Kind() == reflect.Struct && msgpackPlain(sf.Type):
		if c.flatten(m, slices.Contains(options, "inline")) {
			return
		}
		fallthrough
	default:
		if !sf.IsExported() {
			m.lost, m.fails = "is an unexported embedded field that msgpack does not flatten, and cannot read; export it or use another codec", true
		}
	}
	if name == "" {
		name = sf.Name
	}
	c.add(m, name)
	for _, o := range options {
		if alias, ok := strings.CutPrefix(o, "alias:"); ok {
			c.claim(len(c.members)-1, alias)
		}
	}
}

// flatten puts the fields of the struct embedded as m in its place, unless one
// of their names is taken: then msgpack writes the struct as one field, or,
// when forced to inline it, leaves that field out.
func (c *msgpackCollector) flatten(m member, forced bool) bool {
	inner := msgpackCollector{names: map[string]int{}}
	for i := range m.typ.NumField() {
		inner.field(m.typ.Field(i))
	}
	taken := func(i int) bool {
		_, ok := c.names[inner.named[i]]
		return ok && inner.members[i].lost == ""
	}
	for i := range inner.members {
		if !forced && taken(i) {
			return false
		}
	}
	for i, f := range inner.members {
		if taken(i) {
			f.lost = fmt.Sprintf(`shares the name %q with %s, and msgpack does not write it; give it a name of its own, tag it memo:"-" or use another codec`, inner.named[i], c.members[c.names[inner.named[i]]].path)
		}
		f.path = m.path + "." + f.path
		f.index = append(slices.Clone(m.index), f.index...)
		f.exempt = f.exempt || m.exempt
		c.add(f, inner.named[i])
	}
	return true
}

func (c *msgpackCollector) add(m member, name string) {
	c.members = append(c.members, m)
	c.named = append(c.named, name)
	if m.lost == "" {
		c.claim(len(c.members)-1, name)
	}
}

// claim makes name read into member i, and so loses the one that had it.
func (c *msgpackCollector) claim(i int, name string) {
	if old, ok := c.names[name]; ok && old != i && c.members[old].lost == "" {
		c.members[old].lost = fmt.Sprintf(`shares the name %q with %s, and msgpack reads both into that one; give it a name of its own, tag it memo:"-" or use another codec`, name, c.members[i].path)
	}
	c.names[name] = i
}

// msgpackPlain reports whether a struct is written field by field.
func msgpackPlain(t reflect.Type) bool {
	w, r := msgpackOwn(t, true)
	return t != timeType && w < 0 && r < 0
}
