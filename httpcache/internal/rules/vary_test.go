package rules

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestVaryNames(t *testing.T) {
	tests := []struct {
		lines []string
		want  []string
		ok    bool
	}{
		{nil, nil, true},
		{[]string{"", " , "}, nil, true},
		{[]string{"foo, Accept-encoding", "FOO"}, []string{"Accept-Encoding", "Foo"}, true},
		{[]string{"*"}, nil, false},
		{[]string{"foo", ", *"}, nil, false},
		{[]string{"a b"}, nil, false},
	}
	for _, tt := range tests {
		got, ok := VaryNames(tt.lines)
		if ok != tt.ok || !slices.Equal(got, tt.want) {
			t.Errorf("varyNames(%q) = %q, %v; want %q, %v", tt.lines, got, ok, tt.want, tt.ok)
		}
	}
}

func selecting(names []string, h http.Header) string { return string(AppendSelecting(nil, names, h)) }

func TestSelectingFieldsAreComparedByWhatTheyMean(t *testing.T) {
	tests := []struct {
		name string
		a, b []string
		same bool
	}{
		{"Foo", []string{"1, 2"}, []string{"1", "2"}, true},
		{"Foo", []string{"1,2"}, []string{" 1 ,  2 "}, true},
		{"Foo", []string{"1,2"}, []string{"2,1"}, false},
		{"Foo", []string{"a"}, []string{"A"}, false},
		{"Foo", []string{""}, nil, false},
		{"Foo", nil, nil, true},
		{"Foo", []string{`"1, 2"`}, []string{`"1,2"`}, false},
		{"Accept-Language", []string{"en, de;q=0.5"}, []string{"DE; q=0.5,EN"}, true},
		{"Accept-Language", []string{"en, de;q=0.5"}, []string{"en, de"}, false},
		{"Accept-Encoding", []string{"gzip, br"}, []string{"br,gzip"}, true},
		{"Cookie", []string{"a=1, b"}, []string{"a=1,b"}, false},
		{"Cookie", []string{"a=1", "b=2"}, []string{"a=1b=2"}, false},
		{"Authorization", []string{"a,b"}, []string{"a, b"}, false},
	}
	for _, tt := range tests {
		names := []string{tt.name}
		a, b := selecting(names, http.Header{tt.name: tt.a}), selecting(names, http.Header{tt.name: tt.b})
		if (a == b) != tt.same {
			t.Errorf("%s: %q and %q are the same: %v, want %v", tt.name, tt.a, tt.b, a == b, tt.same)
		}
	}
}

// A value must not be able to pass for the end of itself and the start of
// another.
func TestSelectingFieldsKeepApartWhatDiffers(t *testing.T) {
	names := []string{"A", "B", "Cookie"}
	value := rapid.SliceOfN(rapid.StringMatching(`[a-c0:,"\- \\]{0,4}`), 0, 2)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) http.Header {
			h := http.Header{}
			for _, name := range names {
				if v := value.Draw(t, label+name); len(v) > 0 {
					h[name] = v
				}
			}
			return h
		}
		a, b := draw("a"), draw("b")
		same := true
		for _, name := range names {
			same = same && meansTheSame(name, a[name], b[name])
		}
		if got := selecting(names, a) == selecting(names, b); got != same {
			t.Errorf("%q and %q have one key: %v, want %v", a, b, got, same)
		}
	})
}

// meansTheSame is the rule as a comparison, without keys.
func meansTheSame(name string, a, b []string) bool {
	if name == "Cookie" || len(a) == 0 || len(b) == 0 {
		return slices.Equal(a, b)
	}
	return strings.Join(slices.Collect(Members(a)), ",") == strings.Join(slices.Collect(Members(b)), ",")
}

func FuzzVary(f *testing.F) {
	f.Add("Accept, Foo", "a, b")
	f.Fuzz(func(t *testing.T, vary, value string) {
		names, ok := VaryNames([]string{vary})
		if !ok {
			return
		}
		if len(names) > MaxVary || !slices.IsSorted(names) {
			t.Errorf("varyNames(%q) = %q", vary, names)
		}
		for _, name := range append(names, "Accept-Language") {
			h := http.Header{name: {value}}
			if selecting([]string{name}, h) == selecting([]string{name}, nil) {
				t.Errorf("%s: %q looks absent", name, value)
			}
		}
	})
}
