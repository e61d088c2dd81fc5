package rules

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseCacheControl(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  Directives
	}{
		{"nothing", nil, Directives{}},
		{"names have no case", []string{"No-StOrE, MaX-aGe=5"}, Directives{Has: NoStore | maxAge, maxAge: 5 * time.Second}},
		{"lines count as one", []string{"max-age=5", "private"}, Directives{Has: maxAge | private, maxAge: 5 * time.Second}},
		{"unknown ones are ignored", []string{"foobar, a=b, max-age=5"}, Directives{Has: maxAge, maxAge: 5 * time.Second}},
		{"numbers may be quoted", []string{`max-age="5"`}, Directives{Has: maxAge, maxAge: 5 * time.Second}},
		{"quotes hide what they hold", []string{`a="max-age=99", max-age=1, b="max-age=99"`}, Directives{Has: maxAge, maxAge: time.Second}},
		{"the first of two counts", []string{"max-age=1, max-age=1800"}, Directives{Has: maxAge, maxAge: time.Second}},
		{"leading zeros", []string{"max-age=005"}, Directives{Has: maxAge, maxAge: 5 * time.Second}},
		{"too large a number", []string{"max-age=99999999999999999999999"}, Directives{Has: maxAge, maxAge: Forever}},
		{"no number", []string{"max-age=a5"}, Directives{Has: maxAge}},
		{"a number and more", []string{"max-age=5a"}, Directives{Has: maxAge}},
		{"a fraction", []string{"max-age=5.0"}, Directives{Has: maxAge}},
		{"a negative number", []string{"max-age=-5"}, Directives{Has: maxAge}},
		{"quotes of the wrong kind", []string{"max-age='5'"}, Directives{Has: maxAge}},
		{"a space before the sign", []string{"max-age =5"}, Directives{Has: maxAge}},
		{"a space after the sign", []string{"max-age= 5"}, Directives{Has: maxAge}},
		{"no argument", []string{"max-age"}, Directives{Has: maxAge}},
		{"stale windows need a number", []string{"stale-if-error=x, stale-while-revalidate"}, Directives{}},
		{"stale windows", []string{"stale-if-error=1, stale-while-revalidate=2"},
			Directives{Has: staleIfError | staleWhileRevalidate, staleIfError: time.Second, staleWhileRevalidate: 2 * time.Second}},
		{"max-stale without limit", []string{"max-stale"}, Directives{Has: maxStale, maxStale: Forever}},
		{"max-stale with one", []string{"max-stale=9"}, Directives{Has: maxStale, maxStale: 9 * time.Second}},
		{"fields", []string{`no-cache="Set-Cookie, x-a", private=X-B`}, Directives{noCacheFields: []string{"Set-Cookie", "X-A"}, privateFields: []string{"X-B"}}},
		{"fields and everything", []string{`no-cache="a", no-cache`}, Directives{Has: NoCache, noCacheFields: []string{"A"}}},
		{"fields that are none", []string{`no-cache="", private="a b"`}, Directives{Has: NoCache | private}},
		{"arguments of those that have none", []string{"no-store=1, public=x"}, Directives{Has: NoStore | Public}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, ParseCacheControl(tt.lines), cmp.AllowUnexported(Directives{})); diff != "" {
				t.Errorf("parseCacheControl(%q): (-want +got)\n%s", tt.lines, diff)
			}
		})
	}
}

func TestPragmaCountsOnlyWithoutCacheControl(t *testing.T) {
	alone := RequestDirectives(http.Header{"Pragma": {"foo, No-Cache"}})
	if !alone.Any(NoCache) {
		t.Error("Pragma: no-cache alone is not honoured")
	}
	both := RequestDirectives(http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"max-age=5"}})
	if both.Any(NoCache) {
		t.Error("Pragma: no-cache is honoured beside Cache-Control")
	}
}

func TestATargetedFieldIsADictionary(t *testing.T) {
	targets := []string{"My-Cache-Control", "CDN-Cache-Control"}
	tests := []struct {
		name     string
		h        http.Header
		want     Directives
		targeted bool
	}{
		{"it stands in place of Cache-Control", http.Header{"Cdn-Cache-Control": {"max-age=5"}, "Cache-Control": {"no-store"}},
			Directives{Has: maxAge, maxAge: 5 * time.Second}, true},
		{"the most specific first", http.Header{"Cdn-Cache-Control": {"max-age=5"}, "My-Cache-Control": {"max-age=6, private"}},
			Directives{Has: maxAge | private, maxAge: 6 * time.Second}, true},
		{"one that cannot be parsed is ignored", http.Header{"Cdn-Cache-Control": {"max-age=5, &&&"}, "Cache-Control": {"no-store"}},
			Directives{Has: NoStore}, false},
		{"an empty one is ignored", http.Header{"Cdn-Cache-Control": {""}, "Cache-Control": {"no-store"}}, Directives{Has: NoStore}, false},
		{"keys have a case", http.Header{"Cdn-Cache-Control": {"Max-Age=5"}, "Cache-Control": {"no-store"}}, Directives{Has: NoStore}, false},
		{"strings are no numbers", http.Header{"Cdn-Cache-Control": {`max-age="5"`}}, Directives{Has: maxAge}, true},
		{"negative numbers", http.Header{"Cdn-Cache-Control": {`max-age=-5`}}, Directives{Has: maxAge}, true},
		{"what is false is not said", http.Header{"Cdn-Cache-Control": {"no-store=?0, public"}}, Directives{Has: Public}, true},
		{"parameters mean nothing", http.Header{"Cdn-Cache-Control": {"max-age=5;a=b"}}, Directives{Has: maxAge, maxAge: 5 * time.Second}, true},
		{"fields are a string", http.Header{"Cdn-Cache-Control": {`private="a, b"`}}, Directives{privateFields: []string{"A", "B"}}, true},
		{"the last of two counts, as in any dictionary", http.Header{"Cdn-Cache-Control": {"max-age=5", "max-age=6"}},
			Directives{Has: maxAge, maxAge: 6 * time.Second}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, targeted := ResponseDirectives(tt.h, targets)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Directives{})); diff != "" || targeted != tt.targeted {
				t.Errorf("targeted is %v, want %v; (-want +got)\n%s", targeted, tt.targeted, diff)
			}
		})
	}
}

func FuzzCacheControl(f *testing.F) {
	f.Add(`max-age=5, private="a, b", no-cache`)
	f.Add(`max-age="5";a, foo=(1 2)`)
	f.Fuzz(func(t *testing.T, line string) {
		for _, d := range []Directives{ParseCacheControl([]string{line}), RequestDirectives(http.Header{"Pragma": {line}})} {
			check(t, line, d)
		}
		if d, ok := parseTargeted([]string{line}); ok {
			check(t, line, d)
		}
	})
}

func check(t *testing.T, line string, d Directives) {
	for _, n := range []time.Duration{d.maxAge, d.sMaxAge, d.maxStale, d.minFresh, d.staleIfError, d.staleWhileRevalidate} {
		if n < 0 || n > Forever {
			t.Errorf("%q has a number that is %v", line, n)
		}
	}
	for _, name := range d.withheld(true) {
		if !IsToken(name) {
			t.Errorf("%q names the field %q", line, name)
		}
	}
}
