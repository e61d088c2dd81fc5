package memo_test

import (
	"go/doc"
	"testing"
)

// obvious are methods that the standard library's interfaces ask for: what they do
// is known.
var obvious = map[string]bool{"Error": true, "Unwrap": true, "String": true}

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
