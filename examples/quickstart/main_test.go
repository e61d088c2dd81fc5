package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder makes a folder of five files, the deepest of which is in three folders.
func folder(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"a.txt":          "one two\nthree\n",
		"b.go":           "package b\n",
		"sub/c.txt":      "x\ny\nz\n",
		"sub/deep/d.txt": "hello, world\n",
		"other/e.md":     "",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTourFindsTheNumbersThatItPromises(t *testing.T) {
	root := folder(t)
	f, err := tour(t.Context(), root, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.report.Total, (tally{Files: 5, Lines: 7, Words: 10}); got != want || f.report.Folders != 4 {
		t.Errorf("report = %+v in %d folders, want %+v in 4", got, f.report.Folders, want)
	}
	if got, want := f.report.ByKind[".txt"], (tally{Files: 3, Lines: 6, Words: 8}); got != want {
		t.Errorf("report of .txt = %+v, want %+v", got, want)
	}
	if got, want := f.report.Longest, filepath.Join(root, "sub", "c.txt"); got != want {
		t.Errorf("longest file = %s, want %s", got, want)
	}
	if s := f.stampede; s.executions != 1 || s.joined+s.hits != 999 {
		t.Errorf("stampede = %+v, want 1 execution, which served the 999 others", s)
	}
	want := touch{files: 5, folders: 4, before: 7, unaware: 7, after: 8, countsExecuted: 1, reportsRemade: 3}
	if f.touch != want {
		t.Errorf("touch = %+v, want %+v", f.touch, want)
	}
	if got, want := f.old, (old{first: 3, stale: 3, refreshed: 4, staleHits: 1}); got != want {
		t.Errorf("old results = %+v, want %+v", got, want)
	}
}

func TestRunPrintsEveryStep(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run([]string{folder(t)}, &out, &errs); status != 0 || errs.Len() > 0 {
		t.Fatalf("status %d, errors %q; want 0 and none", status, &errs)
	}
	for _, want := range []string{
		"5 files with 7 lines and 10 words in 4 folders",
		"Executions: 1.",
		"the counts of 1 of 5 files and the reports of 3 of 4 folders",
		"returns the old count at once: 3 lines",
		"all of the group",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
}

func TestRunLeavesTheFolderAsItIs(t *testing.T) {
	root := folder(t)
	if status := run([]string{root}, new(bytes.Buffer), new(bytes.Buffer)); status != 0 {
		t.Fatalf("status %d, want 0", status)
	}
	if got, err := os.ReadFile(filepath.Join(root, "sub", "deep", "d.txt")); string(got) != "hello, world\n" {
		t.Errorf("file = %q, %v; want it unchanged", got, err)
	}
}

func TestRunNamesTheFolderThatItCannotUse(t *testing.T) {
	root := folder(t)
	empty := t.TempDir()
	for _, c := range []struct{ folder, want string }{
		{filepath.Join(root, "nowhere"), "name one that exists"},
		{filepath.Join(root, "a.txt"), "is a file; name the folder"},
		{empty, "give a folder that has some"},
	} {
		var errs bytes.Buffer
		status := run([]string{c.folder}, new(bytes.Buffer), &errs)
		if status != 2 || !strings.Contains(errs.String(), c.folder) || !strings.Contains(errs.String(), c.want) {
			t.Errorf("run(%q) = %d, %q; want 2, the folder and %q", c.folder, status, &errs, c.want)
		}
	}
}
