package httpcache

import (
	"testing"
	"time"

	"github.com/seed-0226adef/memo/httpcache/internal/rules"
)

func termsOf(p *rules.Policy, lines ...string) *rules.Terms {
	r := receivedNow(p, 200, lines...)
	return &rules.Terms{Life: p.LifeOf(r, 0, false, false), CacheControl: r.CacheControl, Status: 200, Authorizes: r.Authorizes()}
}

func TestJudge(t *testing.T) {
	const later = 60 * time.Second
	tests := []struct {
		name            string
		response        []string
		request         string
		shared, private rules.Verdict
	}{
		{"fresh", []string{"Cache-Control: max-age=100"}, "", rules.IsFresh, rules.IsFresh},
		{"stale", []string{"Cache-Control: max-age=50"}, "", rules.MustValidate, rules.MustValidate},
		{"just stale", []string{"Cache-Control: max-age=60"}, "", rules.MustValidate, rules.MustValidate},
		{"no-cache", []string{"Cache-Control: max-age=100, no-cache"}, "", rules.MustValidate, rules.MustValidate},
		{"no-cache of fields", []string{`Cache-Control: max-age=100, no-cache="a"`}, "", rules.IsFresh, rules.IsFresh},
		{"must-revalidate is about what is stale", []string{"Cache-Control: max-age=100, must-revalidate"}, "", rules.IsFresh, rules.IsFresh},
		{"asked for validation", []string{"Cache-Control: max-age=100"}, "no-cache", rules.MustValidate, rules.MustValidate},
		{"asked for a younger one", []string{"Cache-Control: max-age=100"}, "max-age=59", rules.MustValidate, rules.MustValidate},
		{"young enough", []string{"Cache-Control: max-age=100"}, "max-age=60", rules.IsFresh, rules.IsFresh},
		{"asked for one that lasts", []string{"Cache-Control: max-age=100"}, "min-fresh=41", rules.MustValidate, rules.MustValidate},
		{"lasts long enough", []string{"Cache-Control: max-age=100"}, "min-fresh=40", rules.IsFresh, rules.IsFresh},
		{"a reload of what never changes", []string{"Cache-Control: max-age=100, immutable"}, "max-age=0", rules.IsFresh, rules.IsFresh},
		{"a reload of what never changed", []string{"Cache-Control: max-age=50, immutable"}, "max-age=0", rules.MustValidate, rules.MustValidate},
		{"a forced reload of what never changes", []string{"Cache-Control: max-age=100, immutable"}, "no-cache", rules.MustValidate, rules.MustValidate},
		{"stale will do", []string{"Cache-Control: max-age=50"}, "max-stale", rules.IsStale, rules.IsStale},
		{"a little stale will do", []string{"Cache-Control: max-age=50"}, "max-stale=10", rules.IsStale, rules.IsStale},
		{"too stale", []string{"Cache-Control: max-age=50"}, "max-stale=9", rules.MustValidate, rules.MustValidate},
		{"stale must not do", []string{"Cache-Control: max-age=50, must-revalidate"}, "max-stale", rules.MustValidate, rules.MustValidate},
		{"stale must not do for many", []string{"Cache-Control: max-age=50, proxy-revalidate"}, "max-stale", rules.MustValidate, rules.IsStale},
		{"s-maxage forbids stale use", []string{"Cache-Control: max-age=50, s-maxage=50"}, "max-stale", rules.MustValidate, rules.IsStale},
		{"refreshing", []string{"Cache-Control: max-age=50, stale-while-revalidate=11"}, "", rules.IsRefreshing, rules.IsRefreshing},
		{"after the window", []string{"Cache-Control: max-age=50, stale-while-revalidate=10"}, "", rules.MustValidate, rules.MustValidate},
		{"both windows are said", []string{"Cache-Control: s-maxage=50, max-age=50, stale-while-revalidate=11"}, "", rules.IsRefreshing, rules.IsRefreshing},
		{"refreshing is forbidden", []string{"Cache-Control: max-age=50, must-revalidate, stale-while-revalidate=11"}, "", rules.MustValidate, rules.MustValidate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := rules.ParseCacheControl([]string{tt.request})
			s, p := sharedPolicy(), privatePolicy()
			if got := s.Judge(termsOf(s, tt.response...), &asked, false, someDay.Add(later)); got != tt.shared {
				t.Errorf("shared: got %v, want %v", got, tt.shared)
			}
			if got := p.Judge(termsOf(p, tt.response...), &asked, false, someDay.Add(later)); got != tt.private {
				t.Errorf("private: got %v, want %v", got, tt.private)
			}
		})
	}
}

func TestAnAuthorizedRequestGetsOnlyWhatIsMeantForAll(t *testing.T) {
	p := sharedPolicy()
	if got := p.Judge(termsOf(p, "Cache-Control: max-age=100"), &rules.Directives{}, true, someDay); got != rules.MustFetch {
		t.Errorf("got %v, want %v", got, rules.MustFetch)
	}
	if got := p.Judge(termsOf(p, "Cache-Control: max-age=100, public"), &rules.Directives{}, true, someDay); got != rules.IsFresh {
		t.Errorf("with public: got %v, want %v", got, rules.IsFresh)
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
		asked := rules.ParseCacheControl([]string{tt.request})
		if got := p.MayServeOnError(termsOf(p, "Cache-Control: "+tt.response), &asked, false, someDay.Add(time.Minute)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
