package memo_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// layerRow finds the packages in the table of docs/internals.md, from the top down.
var layerRow = regexp.MustCompile("(?m)^\\| `((?:httpcache/)?(?:internal/)?\\w+)` \\|")

// layers returns the layers' import paths, from the top down.
func layers(t *testing.T) (paths []string) {
	t.Helper()
	page, err := os.ReadFile("docs/internals.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## The layers\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, row := range layerRow.FindAllStringSubmatch(table, -1) {
		if row[1] == "memo" {
			paths = append(paths, importPath)
		} else {
			paths = append(paths, importPath+"/"+row[1])
		}
	}
	if len(paths) < 10 {
		t.Fatalf("the table has %q; want all layers", paths)
	}
	return paths
}

func TestLayersImportOnlyWhatIsBelow(t *testing.T) {
	all := layers(t)
	for i, path := range all {
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, path).Output()
		if err != nil {
			t.Fatalf("go list %s: %v", path, err)
		}
		for _, imported := range strings.Fields(string(out)) {
			if at := slices.Index(all, imported); at >= 0 && at <= i {
				t.Errorf("%s imports %s, which is not below it", path, imported)
			}
		}
	}
}

// Whatever is not a layer must not bring one back in that stands above its importer.
func TestNothingBelowTheLayersImportsThem(t *testing.T) {
	all := layers(t)
	for _, path := range []string{"codec", "store", "internal/trial", "internal/beside", "internal/messages"} {
		out, err := exec.Command("go", "list", "-deps", importPath+"/"+path).Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", path, err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if slices.Contains(all, dep) {
				t.Errorf("%s depends on %s, which is above it", path, dep)
			}
		}
	}
}
