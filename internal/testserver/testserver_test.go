package testserver

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Main()
	goleak.VerifyTestMain(m)
}

// A recorder is a testing.TB that keeps what becomes of a test to itself.
type recorder struct {
	testing.TB
	said     string
	cleanups []func()
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.said = "failed: " + fmt.Sprintf(format, args...)
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) Skip(args ...any) {
	r.said = "skipped: " + fmt.Sprint(args...)
	runtime.Goexit()
}

// outcome returns what became of a test that does no more than to call f.
func outcome(t *testing.T, f func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
	return r.said
}

func TestMissingServerSkipsTheTestAndIsNoted(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CI", "")
	skipped := filepath.Join(t.TempDir(), "skipped")
	if err := os.WriteFile(skipped, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MEMO_SKIPPED", skipped)
	for server, start := range map[string]func(testing.TB){
		"redis-server":   func(t testing.TB) { Redis(t) },
		"redis-sentinel": func(t testing.TB) { NewRedisSentinel(t) },
		"memcached":      func(t testing.TB) { Memcached(t) },
		"node":           func(t testing.TB) { Dynalite(t) },
	} {
		want := server + " is missing; install "
		if got := outcome(t, start); !strings.HasPrefix(got, "skipped: "+want) {
			t.Errorf("a test that needs %s ended with %q", server, got)
		}
		noted, err := os.ReadFile(skipped)
		if err != nil || !strings.Contains(string(noted), want) {
			t.Errorf("noted is %q, %v, without %s", noted, err, server)
		}
		const where = "\tgithub.com/seed-0226adef/memo/internal/testserver\tTestMissingServerSkipsTheTestAndIsNoted\n"
		if !strings.HasSuffix(string(noted), where) {
			t.Errorf("noted is %q, which does not end with %q", noted, where)
		}
	}
}

func TestMissingServerFailsTheTestInCI(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CI", "true")
	got := outcome(t, func(t testing.TB) { Memcached(t) })
	if !strings.HasPrefix(got, "failed: memcached is missing; install ") {
		t.Errorf("a test without its server ended with %q in CI", got)
	}
}
