package httpcache

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

func TestNotModified(t *testing.T) {
	both := rules.Validators{ETag: `"a"`, Modified: someDay, Text: "x", Date: someDay.Add(time.Hour)}
	weak := rules.Validators{ETag: `W/"a"`, Date: someDay}
	dated := rules.Validators{Modified: someDay, Date: someDay.Add(time.Hour)}
	bare := rules.Validators{Date: someDay}
	tests := []struct {
		name  string
		v     rules.Validators
		lines []string
		want  bool
	}{
		{"the tag", both, []string{`If-None-Match: "a"`}, true},
		{"another tag", both, []string{`If-None-Match: "b"`}, false},
		{"one of a list", both, []string{`If-None-Match: "b", "c"`, `If-None-Match: "d" , "a"`}, true},
		{"a weak one for a strong one", both, []string{`If-None-Match: W/"a"`}, true},
		{"a strong one for a weak one", weak, []string{`If-None-Match: "a"`}, true},
		{"a tag with a comma", rules.Validators{ETag: `"a,b"`}, []string{`If-None-Match: "c", "a,b"`}, true},
		{"any", bare, []string{"If-None-Match: *"}, true},
		{"no tag to compare with", bare, []string{`If-None-Match: ""`, `If-None-Match: "a"`}, false},
		{"the tag counts for more than the date", both, []string{`If-None-Match: "b"`, "If-Modified-Since: NOW+1"}, false},
		{"and the other way round", both, []string{`If-None-Match: "a"`, "If-Modified-Since: NOW-1"}, true},
		{"the date", dated, []string{"If-Modified-Since: NOW"}, true},
		{"a later date", dated, []string{"If-Modified-Since: NOW+1"}, true},
		{"an earlier date", dated, []string{"If-Modified-Since: NOW-1"}, false},
		{"no date", dated, []string{"If-Modified-Since: 0"}, false},
		{"two dates", dated, []string{"If-Modified-Since: NOW", "If-Modified-Since: NOW"}, false},
		{"Date in place of Last-Modified", bare, []string{"If-Modified-Since: NOW"}, true},
		{"Date in place of Last-Modified, later", bare, []string{"If-Modified-Since: NOW-1"}, false},
		{"nothing", both, nil, false},
	}
	for _, tt := range tests {
		if got := tt.v.NotModified(header(tt.lines...), someDay); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestIfRangeNeedsAStrongValidator(t *testing.T) {
	strong := rules.Validators{ETag: `"a"`, Modified: someDay, Date: someDay.Add(time.Hour)}
	tests := []struct {
		name  string
		v     rules.Validators
		lines []string
		want  bool
	}{
		{"none", strong, nil, true},
		{"the tag", strong, []string{`If-Range: "a"`}, true},
		{"another tag", strong, []string{`If-Range: "b"`}, false},
		{"a weak tag", rules.Validators{ETag: `W/"a"`}, []string{`If-Range: W/"a"`}, false},
		{"the date", strong, []string{"If-Range: NOW"}, true},
		{"a later date", strong, []string{"If-Range: NOW+1"}, false},
		{"a weak date", rules.Validators{Modified: someDay, Date: someDay}, []string{"If-Range: NOW"}, false},
		{"no date", strong, []string{"If-Range: soon"}, false},
		{"two", strong, []string{`If-Range: "a"`, `If-Range: "a"`}, false},
	}
	for _, tt := range tests {
		if got := tt.v.IfRange(header(tt.lines...), someDay); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAConditionalRequestHasTheStoredValidatorsAlone(t *testing.T) {
	v := rules.Validators{ETag: `"a"`, Text: "yesterday"}
	h := header(`If-None-Match: "b"`, "If-Range: x", "Range: bytes=0-1", "Accept: c")
	v.Condition(h)
	if len(h) != 3 || h.Get("If-None-Match") != `"a"` || h.Get("If-Modified-Since") != "yesterday" || h.Get("Accept") != "c" {
		t.Errorf("got %v", h)
	}
}

func TestOnlyA304AboutTheStoredResponseValidatesIt(t *testing.T) {
	tests := []struct {
		name string
		v    rules.Validators
		h    http.Header
		want bool
	}{
		{"the same tag", rules.Validators{ETag: `"a"`}, header(`Etag: "a"`), true},
		{"another strong tag", rules.Validators{ETag: `"a"`}, header(`Etag: "b"`), false},
		{"the same weak tag", rules.Validators{ETag: `W/"a"`}, header(`Etag: W/"a"`), true},
		{"another weak tag", rules.Validators{ETag: `W/"a"`}, header(`Etag: W/"b"`), false},
		{"the same date", rules.Validators{Text: "x"}, header("Last-Modified: x"), true},
		{"another date", rules.Validators{Text: "x"}, header("Last-Modified: y"), false},
		{"nothing", rules.Validators{ETag: `"a"`}, header(), true},
	}
	for _, tt := range tests {
		if got := tt.v.Validates(tt.h); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAnUpdateLeavesWhatDescribesTheStoredBytes(t *testing.T) {
	stored := header("Content-Length: 36", "Content-Encoding: gzip", "A: 1", "B: 1", `Etag: "a"`)
	rules.UpdateFields(stored, header("Content-Length: 10", "Content-Encoding: br", "A: 2", "C: 2", `Etag: W/"a"`))
	want := header("Content-Length: 36", "Content-Encoding: gzip", "A: 2", "B: 1", "C: 2", `Etag: "a"`)
	for name := range want {
		if stored.Get(name) != want.Get(name) {
			t.Errorf("%s is %q, want %q", name, stored.Get(name), want.Get(name))
		}
	}
}
