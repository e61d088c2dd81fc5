package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRange(t *testing.T) {
	const size = 10
	type parts = []ByteRange
	tests := []struct {
		field string
		want  parts
		ok    bool
	}{
		{"bytes=0-1", parts{{0, 2}}, true},
		{"BYTES=0-1", parts{{0, 2}}, true},
		{"bytes=1-", parts{{1, 10}}, true},
		{"bytes=-1", parts{{9, 10}}, true},
		{"bytes=-99", parts{{0, 10}}, true},
		{"bytes=9-99", parts{{9, 10}}, true},
		{"bytes=0-99999999999999999999999", parts{{0, 10}}, true},
		{"bytes=0-0, 2-3,-1", parts{{0, 1}, {2, 4}, {9, 10}}, true},
		{"bytes=10-", nil, true},
		{"bytes=-0", nil, true},
		{"bytes=10-, 0-0", parts{{0, 1}}, true},
		{"bytes=2-1", nil, false},
		{"bytes=", nil, false},
		{"bytes=a-b", nil, false},
		{"bytes=-", nil, false},
		{"bytes=1", nil, false},
		{"bytes= 0-1", parts{{0, 2}}, true},
		{"bytes=+1-2", nil, false},
		{"bytes=0--1", nil, false},
		{"lines=0-1", nil, false},
		{"bytes", nil, false},
		{"", nil, false},
		{"bytes=0-5,4-6", nil, false},
		{"bytes=0-4,5-9", nil, false},
		{"bytes=" + strings.Repeat("0-0,", maxRanges) + "0-0", nil, false},
	}
	for _, tt := range tests {
		got, ok := ParseRange(tt.field, size)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(ByteRange{})); ok != tt.ok || diff != "" {
			t.Errorf("parseRange(%q): %v, want %v; (-want +got)\n%s", tt.field, ok, tt.ok, diff)
		}
	}
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-1, -5, 7-", int64(10))
	f.Fuzz(func(t *testing.T, field string, size int64) {
		size &= 1<<40 - 1
		parts, ok := ParseRange(field, size)
		if !ok && parts != nil {
			t.Errorf("parseRange(%q) gives parts that are to be ignored", field)
		}
		total := int64(0)
		for _, p := range parts {
			if p.Start < 0 || p.Start >= p.End || p.End > size {
				t.Errorf("parseRange(%q, %d) gives %v", field, size, p)
			}
			total += p.End - p.Start
			var first, last, of int64
			if n, _ := fmt.Sscanf(p.ContentRange(size), "bytes %d-%d/%d", &first, &last, &of); n != 3 || first != p.Start || last != p.End-1 || of != size {
				t.Errorf("Content-Range of %v is %q", p, p.ContentRange(size))
			}
		}
		if len(parts) > maxRanges || total > size {
			t.Errorf("parseRange(%q, %d) asks for %d bytes in %d parts", field, size, total, len(parts))
		}
	})
}
