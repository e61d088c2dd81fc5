package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMembersAreWhatStandsBetweenCommas(t *testing.T) {
	tests := []struct {
		lines []string
		want  []string
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{" , ,\t,"}, nil},
		{[]string{"a"}, []string{"a"}},
		{[]string{" a , b", "c"}, []string{"a", "b", "c"}},
		{[]string{`a="b, c", d`}, []string{`a="b, c"`, "d"}},
		{[]string{`a="b\", c", d`}, []string{`a="b\", c"`, "d"}},
		{[]string{`a="b, c`, "d"}, []string{`a="b, c`, "d"}},
		{[]string{`\, a`}, []string{`\`, "a"}},
	}
	for _, tt := range tests {
		got := slices.Collect(Members(tt.lines))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("members(%q): (-want +got)\n%s", tt.lines, diff)
		}
	}
}

func TestUnquote(t *testing.T) {
	tests := []struct {
		s, want string
		ok      bool
	}{
		{`""`, "", true}, {`"a b"`, "a b", true}, {`"a\"b\\"`, `a"b\`, true},
		{`a`, "", false}, {`"a`, "", false}, {`"a" `, "", false}, {`"`, "", false}, {`"a\"`, "", false}, {`"a\`, "", false},
	}
	for _, tt := range tests {
		got, ok := unquote(tt.s)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("unquote(%s) = %q, %v; want %q, %v", tt.s, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzMembers(f *testing.F) {
	f.Add(`a, "b, c", d="e\"f"`)
	f.Fuzz(func(t *testing.T, line string) {
		total := 0
		for m := range Members([]string{line}) {
			if m == "" || m != Trim(m) {
				t.Errorf("members(%q) yields %q", line, m)
			}
			if !strings.Contains(line, m) {
				t.Errorf("members(%q) yields %q, which is no part of it", line, m)
			}
			total += len(m)
		}
		if total > len(line) {
			t.Errorf("members(%q) are longer than the line", line)
		}
		unquote(line)
	})
}
