package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// tableFile is the committed table.
var tableFile = filepath.Join(folder, "results.txt")

// A table says for each test what was found on every face.
type table map[string]row

// A row is a line of the table.
type row struct {
	kind   string
	passed []bool // in the order of faces
}

// tabulate makes a table of the results of every face.
func tabulate(results [][]result) table {
	t := table{}
	for i, face := range results {
		for _, r := range face {
			if _, ok := t[r.ID]; !ok {
				t[r.ID] = row{r.Kind, make([]bool, len(faces))}
			}
			t[r.ID].passed[i] = r.Passed
		}
	}
	return t
}

// word says in the table whether a test passed. A check asks what a cache does, and
// the RFCs allow either answer.
func (r row) word(face int) string {
	switch {
	case r.kind == "check" && r.passed[face]:
		return "yes"
	case r.kind == "check":
		return "no"
	case r.passed[face]:
		return "pass"
	}
	return "fail"
}

func passed(word string) (is, known bool) {
	switch word {
	case "pass", "yes":
		return true, true
	case "fail", "no":
		return false, true
	}
	return false, false
}

// text returns the table as it is written to the file, a line for each test in
// the order of their ids.
func (t table) text() []byte {
	var b bytes.Buffer
	b.WriteString("# Written by make conformance UPDATE=1; docs/conformance.md says what it means.\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "# test\tkind\t%s\n", strings.Join(faces, "\t"))
	for _, id := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(w, "%s\t%s", id, t[id].kind)
		for i := range faces {
			fmt.Fprintf(w, "\t%s", t[id].word(i))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	return b.Bytes()
}

// readTable reads the committed table.
func readTable() (table, error) {
	text, err := os.ReadFile(tableFile)
	if err != nil {
		return nil, err
	}
	return parseTable(string(text))
}

func parseTable(text string) (table, error) {
	t := table{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 2+len(faces) {
			return nil, fmt.Errorf("%s: not a line of the table: %q", tableFile, line)
		}
		r := row{kind: fields[1]}
		for _, word := range fields[2:] {
			is, known := passed(word)
			if !known {
				return nil, fmt.Errorf("%s: not a result: %q", tableFile, word)
			}
			r.passed = append(r.passed, is)
		}
		t[fields[0]] = r
	}
	return t, nil
}

// compare says where got is worse than t, and where t is out of date otherwise: more
// passes, or a check found something else.
func (t table) compare(got table) (worse, outdated []string) {
	for _, id := range slices.Sorted(maps.Keys(t)) {
		now, ok := got[id]
		if !ok {
			worse = append(worse, id+" is no test of the suite")
			continue
		}
		for i, face := range faces {
			line := fmt.Sprintf("%s %s on %s: %s, was %s", now.kind, id, face, now.word(i), t[id].word(i))
			switch was, is := t[id].passed[i], now.passed[i]; {
			case was == is:
			case was && now.kind != "check":
				worse = append(worse, line)
			default:
				outdated = append(outdated, line)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := t[id]; !ok {
			worse = append(worse, id+" is not in the table")
		}
	}
	return worse, outdated
}

// counts says how many tests of each kind passed on one face.
func (t table) counts(face int) string {
	var parts []string
	for _, kind := range []string{"required", "optimal", "check"} {
		all, passed := 0, 0
		for _, r := range t {
			if r.kind == kind {
				all++
				if r.passed[face] {
					passed++
				}
			}
		}
		parts = append(parts, fmt.Sprintf("%d of %d %s", passed, all, kind))
	}
	return strings.Join(parts, ", ")
}
