package httpcache

import (
	"testing"
	"time"
)

func termsOf(p *policy, lines ...string) *terms {
	r := receivedNow(p, 200, lines...)
	return &terms{life: p.lifeOf(r, 0, false, false), cc: r.cc, status: 200, authorizes: r.authorizes()}
}

func TestJudge(t *testing.T) {
	const later = 60 * time.Second
	tests := []struct {
		name            string
		response        []string
		request         string
		shared, private verdict
	}{
		{"fresh", []string{"Cache-Control: max-age=100"}, "", isFresh, isFresh},
		{"stale", []string{"Cache-Control: max-age=50"}, "", mustValidate, mustValidate},
		{"just stale", []string{"Cache-Control: max-age=60"}, "", mustValidate, mustValidate},
		{"no-cache", []string{"Cache-Control: max-age=100, no-cache"}, "", mustValidate, mustValidate},
		{"no-cache of fields", []string{`Cache-Control: max-age=100, no-cache="a"`}, "", isFresh, isFresh},
		{"must-revalidate is about what is stale", []string{"Cache-Control: max-age=100, must-revalidate"}, "", isFresh, isFresh},
		{"asked for validation", []string{"Cache-Control: max-age=100"}, "no-cache", mustValidate, mustValidate},
		{"asked for a younger one", []string{"Cache-Control: max-age=100"}, "max-age=59", mustValidate, mustValidate},
		{"young enough", []string{"Cache-Control: max-age=100"}, "max-age=60", isFresh, isFresh},
		{"asked for one that lasts", []string{"Cache-Control: max-age=100"}, "min-fresh=41", mustValidate, mustValidate},
		{"lasts long enough", []string{"Cache-Control: max-age=100"}, "min-fresh=40", isFresh, isFresh},
		{"a reload of what never changes", []string{"Cache-Control: max-age=100, immutable"}, "max-age=0", isFresh, isFresh},
		{"a reload of what never changed", []string{"Cache-Control: max-age=50, immutable"}, "max-age=0", mustValidate, mustValidate},
		{"a forced reload of what never changes", []string{"Cache-Control: max-age=100, immutable"}, "no-cache", mustValidate, mustValidate},
		{"stale will do", []string{"Cache-Control: max-age=50"}, "max-stale", isStale, isStale},
		{"a little stale will do", []string{"Cache-Control: max-age=50"}, "max-stale=10", isStale, isStale},
		{"too stale", []string{"Cache-Control: max-age=50"}, "max-stale=9", mustValidate, mustValidate},
		{"stale must not do", []string{"Cache-Control: max-age=50, must-revalidate"}, "max-stale", mustValidate, mustValidate},
		{"stale must not do for many", []string{"Cache-Control: max-age=50, proxy-revalidate"}, "max-stale", mustValidate, isStale},
		{"s-maxage forbids stale use", []string{"Cache-Control: max-age=50, s-maxage=50"}, "max-stale", mustValidate, isStale},
		{"refreshing", []string{"Cache-Control: max-age=50, stale-while-revalidate=11"}, "", isRefreshing, isRefreshing},
		{"after the window", []string{"Cache-Control: max-age=50, stale-while-revalidate=10"}, "", mustValidate, mustValidate},
		{"both windows are said", []string{"Cache-Control: s-maxage=50, max-age=50, stale-while-revalidate=11"}, "", isRefreshing, isRefreshing},
		{"refreshing is forbidden", []string{"Cache-Control: max-age=50, must-revalidate, stale-while-revalidate=11"}, "", mustValidate, mustValidate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := parseCacheControl([]string{tt.request})
			s, p := sharedPolicy(), privatePolicy()
			if got := s.judge(termsOf(s, tt.response...), &asked, false, someDay.Add(later)); got != tt.shared {
				t.Errorf("shared: got %v, want %v", got, tt.shared)
			}
			if got := p.judge(termsOf(p, tt.response...), &asked, false, someDay.Add(later)); got != tt.private {
				t.Errorf("private: got %v, want %v", got, tt.private)
			}
		})
	}
}

func TestAnAuthorizedRequestGetsOnlyWhatIsMeantForAll(t *testing.T) {
	p := sharedPolicy()
	if got := p.judge(termsOf(p, "Cache-Control: max-age=100"), &directives{}, true, someDay); got != mustFetch {
		t.Errorf("got %v, want %v", got, mustFetch)
	}
	if got := p.judge(termsOf(p, "Cache-Control: max-age=100, public"), &directives{}, true, someDay); got != isFresh {
		t.Errorf("with public: got %v, want %v", got, isFresh)
	}
}

func TestStaleOnError(t *testing.T) {
	p := (&Options{StaleIfError: 20 * time.Second}).policy(true)
	tests := []struct {
		name, response, request string
		want                    bool
	}{
		{"by the options", "max-age=50", "", true},
		{"later than the options say", "max-age=40", "", false},
		{"by the response", "max-age=10, stale-if-error=51", "", true},
		{"the response says less than the options", "max-age=50, stale-if-error=5", "", false},
		{"by the request", "max-age=10", "stale-if-error=51", true},
		{"must-revalidate", "max-age=50, must-revalidate, stale-if-error=60", "", false},
		{"proxy-revalidate", "max-age=50, proxy-revalidate", "", false},
		{"no-cache", "max-age=50, no-cache", "", false},
		{"s-maxage", "s-maxage=50", "", false},
		{"s-maxage, and the response says so", "s-maxage=50, stale-if-error=60", "", true},
		{"asked not to", "max-age=50", "no-cache", false},
	}
	for _, tt := range tests {
		asked := parseCacheControl([]string{tt.request})
		if got := p.mayServeOnError(termsOf(p, "Cache-Control: "+tt.response), &asked, false, someDay.Add(time.Minute)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
