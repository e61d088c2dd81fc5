package httpcache_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

func TestEveryExportedFunctionHasAnExample(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, "github.com/seed-0226adef/memo/httpcache")
	if err != nil {
		t.Fatal(err)
	}
	funcs := p.Funcs
	for _, typ := range p.Types {
		funcs = append(append(funcs, typ.Funcs...), typ.Methods...)
	}
	for _, f := range funcs {
		if len(f.Examples) == 0 {
			t.Errorf("%s has no Example", f.Name)
		}
	}
}
