package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableIsReadAsItIsWritten(t *testing.T) {
	want := table{
		"age-parse":    {"required", []bool{true, false}},
		"interim-103":  {"optimal", []bool{false, true}},
		"pragma-fresh": {"check", []bool{true, false}},
	}
	got, err := parseTable(string(want.text()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Error(diff)
	}
}

func TestTableWithAnUnknownWordIsRefused(t *testing.T) {
	for _, text := range []string{
		"age-parse required pass\n",
		"age-parse required pass perhaps\n",
	} {
		if got, err := parseTable(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestComparisonTellsWorseFromOutdated(t *testing.T) {
	line := func(kind string, passed ...bool) table { return table{"a": {kind, passed}} }
	for _, c := range []struct {
		name            string
		want, got       table
		worse, outdated int
	}{
		{"the same", line("required", true, false), line("required", true, false), 0, 0},
		{"a required test no longer passes", line("required", true, true), line("required", true, false), 1, 0},
		{"an optimal test no longer passes", line("optimal", true, true), line("optimal", false, false), 2, 0},
		{"a test passes for the first time", line("optimal", false, true), line("optimal", true, true), 0, 1},
		{"a check finds something else", line("check", true, true), line("check", false, true), 0, 1},
		{"a test is gone", line("required", false, false), table{}, 1, 0},
		{"a test is new", table{}, line("required", true, true), 1, 0},
	} {
		worse, outdated := c.want.compare(c.got)
		if len(worse) != c.worse || len(outdated) != c.outdated {
			t.Errorf("%s: worse %q, outdated %q; want %d and %d of them", c.name, worse, outdated, c.worse, c.outdated)
		}
	}
}

func TestSecondRunReplacesWhatDidNotPass(t *testing.T) {
	first := []result{{ID: "a", Passed: true}, {ID: "b", Why: "late"}, {ID: "c", Why: "wrong"}}
	got := replace(first, []result{{ID: "b", Passed: true}, {ID: "c", Why: "wrong again"}})
	want := []result{{ID: "a", Passed: true}, {ID: "b", Passed: true, Second: true}, {ID: "c", Why: "wrong again", Second: true}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
