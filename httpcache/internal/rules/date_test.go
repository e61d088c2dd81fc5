package rules

import (
	"net/http"
	"testing"
	"time"
)

var someDay = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func TestParseDateReadsItsThreeFormsWhateverTheCase(t *testing.T) {
	want := time.Date(2050, time.August, 18, 2, 1, 18, 0, time.UTC)
	for _, s := range []string{
		"Thu, 18 Aug 2050 02:01:18 GMT",
		"THU, 18 AUG 2050 02:01:18 gMT",
		"Thursday, 18-Aug-50 02:01:18 GMT",
		"Thu Aug 18 02:01:18 2050",
	} {
		if got, ok := parseDate(s, someDay); !ok || !got.Equal(want) {
			t.Errorf("parseDate(%q) = %v, %v; want %v", s, got, ok, want)
		}
	}
	if got, ok := parseDate("Sun Nov  6 08:49:37 1994", someDay); !ok || got.Day() != 6 {
		t.Errorf("a day of one digit: got %v, %v", got, ok)
	}
}

func TestParseDateReadsNothingElse(t *testing.T) {
	for _, s := range []string{
		"", "0", "-1", "now",
		"Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 2050 02:01:18 AEST", "Thu, 18 Aug 2050 02:01:18",
		"Thu, 18 Aug 50 02:01:18 GMT", "Thu 18 Aug 2050 02:01:18 GMT", "Thu, 18  Aug  2050 02:01:18 GMT",
		"Thu, 18-Aug-2050 02:01:18 GMT", "Thu, 18 Aug 2050 02.01.18 GMT", "Thu, 18 Aug 2050 2:01:18 GMT",
		"Thu, 31 Feb 2050 02:01:18 GMT", "Thu, 00 Aug 2050 02:01:18 GMT", "Thu, 18 Aug 2050 24:01:18 GMT",
		"Thu, 18 Aug 2050 02:60:18 GMT", "Thu, 18 Aug 2050 02:01:61 GMT", "Foo, 18 Aug 2050 02:01:18 GMT",
		"Thu, 18 Foo 2050 02:01:18 GMT", "Thu, 18 Aug 205x 02:01:18 GMT", " Thu, 18 Aug 2050 02:01:18 GMT",
		"Thu, 18-Aug-50 02:01:18 GMT", "Thursday, 18-Aug-2050 02:01:18 GMT", "Thu Aug 8 02:01:18 2050",
	} {
		if got, ok := parseDate(s, someDay); ok {
			t.Errorf("parseDate(%q) = %v; want none", s, got)
		}
	}
}

func TestTwoDigitYearsAreAtMostFiftyAhead(t *testing.T) {
	for year, want := range map[string]int{"26": 2026, "76": 2076, "77": 1977, "99": 1999, "00": 2000} {
		got, ok := parseDate("Thursday, 18-Aug-"+year+" 02:01:18 GMT", someDay)
		if !ok || got.Year() != want {
			t.Errorf("the year %s is %v, %v; want %d", year, got.Year(), ok, want)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT")
	f.Add("Sunday, 06-Nov-94 08:49:37 GMT")
	f.Add("Sun Nov  6 08:49:37 1994")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseDate(s, someDay)
		if !ok {
			return
		}
		again, ok := parseDate(got.Format(http.TimeFormat), someDay)
		if got.Year() < 10000 && (!ok || !again.Equal(got)) {
			t.Errorf("parseDate(%q) = %v, which reads back as %v, %v", s, got, again, ok)
		}
	})
}
