package memo_test

import (
	"go/doc"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// obvious are methods that the standard library's interfaces ask for: what they do
// is known. Apply is memo's own, and takes what only memo can name.
var obvious = map[string]bool{"Error": true, "Unwrap": true, "String": true, "Apply": true}

func TestEveryExportedFunctionHasAnExample(t *testing.T) {
	p := packageDoc(t)
	want := func(name string, f *doc.Func) {
		if len(f.Examples) == 0 && !obvious[f.Name] {
			t.Errorf("%s has no Example", name)
		}
	}
	for _, f := range p.Funcs {
		want(f.Name, f)
	}
	for _, typ := range p.Types {
		for _, f := range typ.Funcs {
			want(f.Name, f)
		}
		for _, m := range typ.Methods {
			want(typ.Name+"."+m.Name, m)
		}
	}
}

// purposes are the sections of docs/options.md, in the order in which the options are
// presented everywhere.
var purposes = []string{
	"freshness", "failure", "this process", "the store", "keys and identity", "batches", "looking inside",
}

func TestEveryOptionIsPresentedByItsPurpose(t *testing.T) {
	want := map[string]bool{}
	for _, typ := range packageDoc(t).Types {
		for _, f := range typ.Funcs {
			if typ.Name == "Option" || typ.Name == "CallOption" {
				want[f.Name] = true
			}
		}
	}
	if len(want) < 25 {
		t.Fatalf("found %d options in the package; that cannot be all", len(want))
	}
	for place, c := range map[string]struct {
		begin, end string
		of         func(purpose string) string // what the part of a purpose begins with
		option     *regexp.Regexp
	}{
		"doc.go": {"// # Options by purpose", "// # Testing",
			func(p string) string { return "- " + strings.ToUpper(p[:1]) + p[1:] + ":" }, regexp.MustCompile(`\[(\w+)\]`)},
		"README.md": {"## Options, by purpose", "None of them",
			func(p string) string { return "| " + p + " |" }, regexp.MustCompile("`(\\w+)`")},
		"docs/options.md": {"# Options, by purpose", "## With `httpcache`",
			func(p string) string { return "\n## " + strings.ToUpper(p[:1]) + p[1:] + "\n" }, regexp.MustCompile("(?m)^\\| `(\\w+)\\(")},
	} {
		text, err := os.ReadFile(place)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), c.begin)
		part, _, _ := strings.Cut(rest, c.end)
		for _, p := range purposes {
			_, part, _ = strings.Cut(part, c.of(p))
			if part == "" {
				t.Errorf("%s does not have %q, or not in its place", place, p)
			}
		}
		_, rest, _ = strings.Cut(rest, c.of(purposes[0]))
		rest, _, _ = strings.Cut(rest, c.end)
		found := map[string]bool{"Group": true}
		for _, m := range c.option.FindAllStringSubmatch(rest, -1) {
			if found[m[1]] && m[1] != "Group" {
				t.Errorf("%s has %s twice", place, m[1])
			}
			found[m[1]] = true
		}
		delete(found, "Group")
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%s (-want +got):\n%s", place, diff)
		}
	}
}
