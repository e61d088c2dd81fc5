package codec

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// A jsonField is a member with what decides between fields of one name.
type jsonField struct {
	member
	name    string // in the JSON object
	tagged  bool
	depth   int
	omitted bool // may be left out of the object
}

// jsonMembers resolves fields as encoding/json does: embedded structs are
// flattened, and of several fields with one name at most one is written.
func jsonMembers(t reflect.Type) []member {
	fields := jsonCollect(t, nil)
	byName := map[string][]int{}
	for i, f := range fields {
		if f.lost == "" {
			byName[f.name] = append(byName[f.name], i)
		}
	}
	for name, same := range byName {
		if len(same) > 1 {
			hide(fields, same, name)
		}
	}
	members := make([]member, len(fields))
	for i, f := range fields {
		members[i] = f.member
	}
	return members
}

// hide marks those of the same-named fields that encoding/json leaves out: all
// but the shallowest, tags before names, and all of them when that is a tie.
func hide(fields []jsonField, same []int, name string) {
	better := func(a, b jsonField) bool {
		if a.depth != b.depth {
			return a.depth < b.depth
		}
		return a.tagged && !b.tagged
	}
	best, tie := same[0], false
	for _, i := range same[1:] {
		switch {
		case better(fields[i], fields[best]):
			best, tie = i, false
		case !better(fields[best], fields[i]):
			tie = true
		}
	}
	for _, i := range same {
		other := fields[best].path
		if i == best {
			if !tie {
				continue
			}
			other = fields[same[len(same)-1]].path
		}
		fields[i].lost = fmt.Sprintf(`shares the name %q with %s, and json does not write it; give it a name of its own, tag it memo:"-" or use another codec`, name, other)
	}
}

// jsonCollect lists the fields of t and, in place of a struct embedded in it,
// the fields of that. above is the chain of structs that t is embedded in.
func jsonCollect(t reflect.Type, above []reflect.Type) []jsonField {
	above = append(above, t)
	var fields []jsonField
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Name == "_" {
			continue
		}
		f := jsonField{depth: len(above), member: member{path: sf.Name, index: []int{i}, typ: sf.Type, exempt: mayBeLost(sf)}}
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if !validName(name) {
			name = ""
		}
		switch {
		case !sf.IsExported() && !(sf.Anonymous && isStruct(sf.Type)):
			f.lost = unexported("json")
		case sf.Tag.Get("json") == "-":
			f.lost = excluded("json", "json")
		case !sf.IsExported() && sf.Type.Kind() == reflect.Pointer:
			f.lost, f.fails = "is an embedded pointer to an unexported struct, which json cannot allocate; embed the struct itself or use another codec", true
		case name == "" && sf.Anonymous && isStruct(sf.Type):
			fields = append(fields, jsonEmbedded(f, above)...)
			continue
		}
		if strings.Contains(","+options+",", ",string,") && jsonTextScalar(sf.Type) {
			f.lost, f.fails = "is tagged string and writes itself with MarshalText, which json cannot read back; take the option away", true
		}
		f.name, f.tagged = name, name != ""
		if name == "" {
			f.name = sf.Name
		}
		f.omitted = strings.Contains(","+options+",", ",omitempty,") || strings.Contains(","+options+",", ",omitzero,")
		fields = append(fields, f)
	}
	return fields
}

// jsonEmbedded lists the fields of the struct embedded as f.
func jsonEmbedded(f jsonField, above []reflect.Type) []jsonField {
	t := f.typ
	pointer := t.Kind() == reflect.Pointer
	if pointer {
		t = t.Elem()
	}
	for _, a := range above {
		if a == t {
			f.lost = `embeds a struct in itself, and json writes its fields once; name the field, tag it memo:"-" or use another codec`
			return []jsonField{f}
		}
	}
	inner := jsonCollect(t, above)
	present := false
	for i := range inner {
		present = present || inner[i].lost == "" && !inner[i].omitted
		inner[i].path = f.path + "." + inner[i].path
		inner[i].index = append([]int{f.index[0]}, inner[i].index...)
		inner[i].exempt = inner[i].exempt || f.exempt
	}
	if pointer && !present {
		f.lost = `is an embedded pointer, and when every field behind it is left out json brings it back as nil; name the field, tag it memo:"-" or use another codec`
		return append(inner, f)
	}
	return inner
}

// jsonTextScalar reports whether encoding/json would obey the option string for t, had
// t, or what it points to, not the methods of text.
func jsonTextScalar(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer && t.Name() == "" {
		t = t.Elem()
	}
	w, _ := jsonOwn(t, true)
	return w >= 0 && jsonMethods[w].write == textMethod.write && (t.Kind() <= reflect.Float64 || t.Kind() == reflect.String)
}

func isStruct(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// validName reports whether encoding/json takes the name in a tag; it ignores
// others and falls back to the name of the field.
func validName(s string) bool {
	for _, c := range s {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return s != ""
}
