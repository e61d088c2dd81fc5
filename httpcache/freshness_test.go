package httpcache

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

// header makes a header of lines such as "Age: 5". NOW+n stands for an HTTP-date n
// seconds after someDay.
var someDay = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if rest, ok := strings.CutPrefix(value, "NOW"); ok {
			d := time.Duration(0)
			if rest != "" {
				d, _ = time.ParseDuration(rest + "s")
			}
			value = someDay.Add(d).Format(http.TimeFormat)
		}
		h.Add(name, value)
	}
	return h
}

func sharedPolicy() *rules.Policy  { return new(Options).policy(true) }
func privatePolicy() *rules.Policy { return new(Options).policy(false) }

func receivedNow(p *rules.Policy, status int, lines ...string) *rules.Reception {
	return p.ReceptionOf(status, header(lines...), someDay, someDay)
}

func TestFreshnessLifetime(t *testing.T) {
	tests := []struct {
		name    string
		lines   []string
		shared  time.Duration
		private time.Duration
	}{
		{"max-age", []string{"Cache-Control: max-age=5", "Expires: NOW+100"}, 5 * time.Second, 5 * time.Second},
		{"s-maxage is for shared caches", []string{"Cache-Control: s-maxage=5, max-age=1"}, 5 * time.Second, time.Second},
		{"Expires, from Date", []string{"Expires: NOW+100", "Date: NOW-10"}, 110 * time.Second, 110 * time.Second},
		{"Expires without Date", []string{"Expires: NOW+100"}, 100 * time.Second, 100 * time.Second},
		{"Expires in the past", []string{"Expires: NOW-100", "Last-Modified: NOW-1000"}, 0, 0},
		{"Expires: 0", []string{"Expires: 0", "Last-Modified: NOW-1000"}, 0, 0},
		{"two Expires", []string{"Expires: NOW+100", "Expires: NOW+100"}, 0, 0},
		{"a tenth of what has passed since the modification", []string{"Last-Modified: NOW-1000"}, 100 * time.Second, 100 * time.Second},
		{"no guess beside an invalid max-age", []string{"Cache-Control: max-age=x", "Last-Modified: NOW-1000"}, 0, 0},
		{"a guess is bounded", []string{"Last-Modified: NOW-10000000"}, 24 * time.Hour, 24 * time.Hour},
		{"modified in the future", []string{"Last-Modified: NOW+1000"}, 0, 0},
		{"nothing", nil, 0, 0},
		{"a targeted field hides Expires, in a shared cache", []string{"CDN-Cache-Control: foo", "Expires: NOW+100"}, 0, 100 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, p := sharedPolicy(), privatePolicy()
			if l := s.LifeOf(receivedNow(s, 200, tt.lines...), 0, false, false); l.Lifetime != tt.shared {
				t.Errorf("in a shared cache: got %v, want %v", l.Lifetime, tt.shared)
			}
			if l := p.LifeOf(receivedNow(p, 200, tt.lines...), 0, false, false); l.Lifetime != tt.private {
				t.Errorf("in a private cache: got %v, want %v", l.Lifetime, tt.private)
			}
		})
	}
}

func TestHeuristicsAreForStatusCodesThatAllowThem(t *testing.T) {
	p := sharedPolicy()
	for status, want := range map[int]bool{200: true, 203: true, 204: true, 404: true, 405: true, 410: true, 414: true, 501: true,
		201: false, 202: false, 302: false, 403: false, 500: false, 502: false, 503: false, 504: false, 599: false} {
		l := p.LifeOf(receivedNow(p, status, "Last-Modified: NOW-1000"), 0, false, false)
		if got := l.Lifetime > 0; got != want {
			t.Errorf("%d: fresh by heuristics is %v, want %v", status, got, want)
		}
		if l := p.LifeOf(receivedNow(p, status, "Last-Modified: NOW-1000", "Cache-Control: public"), 0, false, false); l.Lifetime == 0 {
			t.Errorf("%d with public is not fresh by heuristics", status)
		}
	}
}

func TestOptionsTTLStandsInForWhatAResponseDoesNotSay(t *testing.T) {
	p := (&Options{TTL: time.Minute}).policy(true)
	tests := []struct {
		name     string
		status   int
		personal bool
		lines    []string
		want     time.Duration
	}{
		{"says nothing", 200, false, nil, time.Minute},
		{"says something", 200, false, []string{"Cache-Control: max-age=1"}, time.Second},
		{"no-cache", 200, false, []string{"Cache-Control: no-cache"}, 0},
		{"a missing page", 404, false, nil, time.Minute},
		{"an error", 500, false, nil, 0},
		{"a method that is not allowed", 405, false, nil, 0},
		{"somebody's own", 200, true, nil, 0},
	}
	for _, tt := range tests {
		if l := p.LifeOf(receivedNow(p, tt.status, tt.lines...), 0, false, tt.personal); l.Lifetime != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, l.Lifetime, tt.want)
		}
	}
}

func TestAge(t *testing.T) {
	tests := []struct {
		name  string
		delay time.Duration
		lines []string
		want  time.Duration
	}{
		{"made here", 5 * time.Second, nil, 0},
		{"Date", 0, []string{"Date: NOW-10"}, 10 * time.Second},
		{"Date in the future", 0, []string{"Date: NOW+10"}, 0},
		{"Age", 0, []string{"Date: NOW", "Age: 30"}, 30 * time.Second},
		{"Age without Date", 0, []string{"Age: 30"}, 30 * time.Second},
		{"the larger of the two", 0, []string{"Date: NOW-50", "Age: 30"}, 50 * time.Second},
		{"the way here counts", 5 * time.Second, []string{"Date: NOW", "Age: 30"}, 35 * time.Second},
		{"the first member of a list", 0, []string{"Date: NOW", "Age: 7200, 0"}, 7200 * time.Second},
		{"the first line", 0, []string{"Date: NOW", "Age: 0", "Age: 7200"}, 0},
		{"no number", 0, []string{"Date: NOW", "Age: abc"}, 0},
		{"a fraction", 0, []string{"Date: NOW", "Age: 7200.0"}, 0},
		{"a negative number", 0, []string{"Date: NOW", "Age: -7200"}, 0},
		{"a quoted number", 0, []string{"Date: NOW", `Age: "7200"`}, 0},
		{"a huge number", 0, []string{"Date: NOW", "Age: 99999999999999999999"}, rules.Forever},
	}
	p := sharedPolicy()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := p.ReceptionOf(200, header(tt.lines...), someDay.Add(-tt.delay), someDay)
			l := p.LifeOf(r, 0, false, false)
			if got := l.Age(someDay); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := l.Age(someDay.Add(7 * time.Second)); got != tt.want+7*time.Second && tt.name != "Date in the future" {
				t.Errorf("seven seconds later: got %v, want %v", got, tt.want+7*time.Second)
			}
		})
	}
}
