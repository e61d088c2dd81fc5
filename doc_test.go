package memo_test

import (
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// importPath is where the package under test is found.
const importPath = "github.com/seed-0226adef/memo"

// packageDoc reads the documentation of the package in this folder, its examples
// included.
func packageDoc(t *testing.T) *doc.Package {
	t.Helper()
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
	p, err := doc.NewFromFiles(fset, files, importPath)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDocShowsOnlyWhatCompiles(t *testing.T) {
	compiled, err := os.ReadFile("example_tour_test.go")
	if err != nil {
		t.Fatal(err)
	}
	p := packageDoc(t)
	shown := 0
	for _, block := range p.Parser().Parse(p.Doc).Content {
		code, ok := block.(*comment.Code)
		if !ok {
			continue
		}
		shown++
		// A blank line separates what may come from different places.
		for part := range strings.SplitSeq(code.Text, "\n\n") {
			if !strings.Contains(squeeze(string(compiled)), squeeze(part)) {
				t.Errorf("doc.go shows this, which example_tour_test.go does not have:\n%s", part)
			}
		}
	}
	if shown < 10 {
		t.Errorf("found %d snippets in the package documentation; want the tour's", shown)
	}
}

func TestReadmeProgramDoesWhatItsCommentsSay(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	program, _, _ := strings.Cut(rest, "```")
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command("go", "run", file).CombinedOutput()
	if want := "loading tea\nloading cup\nloading cup\n3998 <nil>\n"; string(got) != want || err != nil {
		t.Errorf("the program prints\n%s(%v), want\n%s", got, err, want)
	}
	if formatted, err := format.Source([]byte(program)); string(formatted) != program {
		t.Errorf("the program is not formatted as gofmt would (%v):\n%s", err, formatted)
	}
}

func TestGuaranteesNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	ofLayers, err := filepath.Glob("internal/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range append(tests, ofLayers...) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(b)
	}
	named := regexp.MustCompile("`((Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 30 {
		t.Errorf("the page names %d tests; want one for each promise", len(named))
	}
	for _, name := range named {
		if !strings.Contains(code.String(), "\nfunc "+name[1]+"(") {
			t.Errorf("docs/guarantees.md names %s, which does not exist", name[1])
		}
	}
}

// kept finds the second column of the rows of a table, and code the names in it.
var (
	kept = regexp.MustCompile(`(?m)^\|[^|]*\|([^|]*)\|`)
	code = regexp.MustCompile("`([a-zA-Z]\\w*(\\.\\w+)*)`")
)

func TestGuaranteesNameCodeThatExists(t *testing.T) {
	page, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	var places strings.Builder
	for _, row := range kept.FindAllStringSubmatch(string(page), -1) {
		places.WriteString(row[1])
	}
	nameCode(t, "docs/guarantees.md", places.String(), 20)
}

func TestInternalsNameCodeThatExists(t *testing.T) {
	page, err := os.ReadFile("docs/internals.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "## Where is decided")
	nameCode(t, "docs/internals.md", strings.ReplaceAll(after, "`store/`", ""), 60)
}

// nameCode checks that the names of code in a text of a page exist, and are at least so
// many.
func nameCode(t *testing.T, page, text string, least int) {
	t.Helper()
	declared, named := declarations(t), 0
	for _, name := range code.FindAllStringSubmatch(text, -1) {
		if named++; !declared[name[1]] {
			t.Errorf("%s names %s, which does not exist", page, name[1])
		}
	}
	if named < least {
		t.Errorf("%s names %d declarations, want at least %d", page, named, least)
	}
}

// declarations returns the names that the module's root, its layers and its contracts
// declare: those of methods and fields with their type's in front, and those of other
// packages with their package's.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.go", "internal/*/*.go", "httpcache/internal/*/*.go", "store/*.go", "store/storetest/*.go", "codec/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	declared := map[string]bool{}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		in := ""
		if dir := filepath.Dir(name); dir != "." {
			in = filepath.Base(dir) + "."
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, s := range d.Specs {
					declare(declared, in, s)
				}
			case *ast.FuncDecl:
				declared[in+receiver(d)+d.Name.Name] = true
			}
		}
	}
	return declared
}

// declare notes what s declares in a package.
func declare(declared map[string]bool, in string, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			declared[in+name.Name] = true
		}
	case *ast.TypeSpec:
		declared[in+s.Name.Name] = true
		if fields, ok := s.Type.(*ast.StructType); ok {
			for _, f := range fields.Fields.List {
				for _, name := range f.Names {
					declared[in+s.Name.Name+"."+name.Name] = true
				}
			}
		}
	}
}

// receiver returns the name of the type that f is a method of and a dot, or nothing.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	name := ""
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" { // type parameters come after it
			name = id.Name + "."
		}
		return true
	})
	return name
}

// squeeze makes texts that differ in white space alone the same.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// unlinked finds what was meant to be a link to a declaration. Where there is no
// such declaration, the brackets stay in the text.
var unlinked = regexp.MustCompile(`\[\*?([a-z]+\.)?[A-Z]\w*(\.\w+)?\]`)

func TestDocLinksLeadToDeclarations(t *testing.T) {
	p := packageDoc(t)
	for _, text := range docTexts(p) {
		for _, link := range unlinked.FindAllString(withoutLinks(p, text), -1) {
			begin, _, _ := strings.Cut(text, "\n")
			t.Errorf("%s leads nowhere, in the comment that begins %q", link, begin)
		}
	}
}

// withoutLinks returns the plain words of a doc comment: no links, no code.
func withoutLinks(p *doc.Package, text string) string {
	var b strings.Builder
	paragraph := func(words []comment.Text) {
		for _, w := range words {
			if plain, ok := w.(comment.Plain); ok {
				b.WriteString(string(plain))
			}
		}
		b.WriteByte('\n')
	}
	var blocks func([]comment.Block)
	blocks = func(content []comment.Block) {
		for _, block := range content {
			switch block := block.(type) {
			case *comment.Paragraph:
				paragraph(block.Text)
			case *comment.List:
				for _, item := range block.Items {
					blocks(item.Content)
				}
			}
		}
	}
	blocks(p.Parser().Parse(text).Content)
	return b.String()
}

// docTexts returns all doc comments of exported declarations.
func docTexts(p *doc.Package) []string {
	texts := []string{p.Doc}
	values := func(vs []*doc.Value) {
		for _, v := range vs {
			texts = append(texts, v.Doc)
		}
	}
	funcs := func(fs []*doc.Func) {
		for _, f := range fs {
			texts = append(texts, f.Doc)
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs(p.Funcs)
	for _, typ := range p.Types {
		texts = append(texts, typ.Doc)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		funcs(typ.Methods)
	}
	return texts
}
