package rules

import (
	"strings"
	"time"
)

// parseDate reads an HTTP-date (RFC 9110, section 5.6.7) in any of its three
// forms. It is stricter than [http.ParseTime], which takes one-digit hours and
// repeated spaces, and laxer in the one way that RFC 9111, section 4.2, asks
// caches for: names are matched whatever their case. No zone but GMT counts.
//
// now places the two-digit years of the obsolete RFC 850 form: one that seems
// to be more than 50 years ahead is in the past.
func parseDate(s string, now time.Time) (time.Time, bool) {
	switch {
	case len(s) == len("Sun, 06 Nov 1994 08:49:37 GMT") && s[3] == ',':
		return fixDate(s)
	case len(s) == len("Sun Nov  6 08:49:37 1994") && s[3] == ' ':
		return asctimeDate(s)
	}
	return rfc850Date(s, now)
}

// fixDate reads the preferred form: Sun, 06 Nov 1994 08:49:37 GMT.
func fixDate(s string) (time.Time, bool) {
	if !isDayName(s[:3]) || s[3:5] != ", " || s[7] != ' ' || s[11] != ' ' || s[16] != ' ' || !isGMT(s[25:]) {
		return time.Time{}, false
	}
	return instant(s[12:16], s[8:11], s[5:7], s[17:25])
}

// asctimeDate reads the form of C's asctime: Sun Nov  6 08:49:37 1994.
func asctimeDate(s string) (time.Time, bool) {
	if !isDayName(s[:3]) || s[3] != ' ' || s[7] != ' ' || s[10] != ' ' || s[19] != ' ' {
		return time.Time{}, false
	}
	day := s[8:10]
	if day[0] == ' ' {
		day = "0" + day[1:]
	}
	return instant(s[20:24], s[4:7], day, s[11:19])
}

// rfc850Date reads the form of RFC 850: Sunday, 06-Nov-94 08:49:37 GMT.
func rfc850Date(s string, now time.Time) (time.Time, bool) {
	name, rest, ok := strings.Cut(s, ", ")
	if !ok || !isLongDayName(name) || len(rest) != len("06-Nov-94 08:49:37 GMT") ||
		rest[2] != '-' || rest[6] != '-' || rest[9] != ' ' || !isGMT(rest[18:]) {
		return time.Time{}, false
	}
	two, ok := digits(rest[7:9])
	if !ok {
		return time.Time{}, false
	}
	year := now.Year() - now.Year()%100 + two
	if year > now.Year()+50 {
		year -= 100
	}
	return instantIn(year, rest[3:6], rest[:2], rest[10:18])
}

func isGMT(s string) bool { return len(s) == 4 && s[0] == ' ' && strings.EqualFold(s[1:], "GMT") }

func instant(year, month, day, clock string) (time.Time, bool) {
	y, ok := digits(year)
	if !ok {
		return time.Time{}, false
	}
	return instantIn(y, month, day, clock)
}

func instantIn(year int, month, day, clock string) (time.Time, bool) {
	m := monthNamed(month)
	d, okDay := digits(day)
	hour, okHour := digits(clock[:2])
	minute, okMinute := digits(clock[3:5])
	second, okSecond := digits(clock[6:])
	if m == 0 || !okDay || !okHour || !okMinute || !okSecond || clock[2] != ':' || clock[5] != ':' {
		return time.Time{}, false
	}
	if hour > 23 || minute > 59 || second > 60 { // 60 is a leap second
		return time.Time{}, false
	}
	t := time.Date(year, m, d, hour, minute, second, 0, time.UTC)
	return t, d >= 1 && time.Date(year, m, d, 0, 0, 0, 0, time.UTC).Day() == d
}

// digits reads s, which must hold nothing but digits.
func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, s != ""
}

func monthNamed(s string) time.Month {
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(m.String()[:3], s) {
			return m
		}
	}
	return 0
}

func isDayName(s string) bool {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String()[:3], s) {
			return true
		}
	}
	return false
}

func isLongDayName(s string) bool {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String(), s) {
			return true
		}
	}
	return false
}
