package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-0226adef/memo/internal/testserver"
)

// TestMain lets the test binary be what the example starts: itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "member" {
		main()
	}
	os.Exit(m.Run())
}

func TestTourFindsWhatItPromises(t *testing.T) {
	testserver.RedisTCP(t) // which skips the test where there is no redis-server
	var out bytes.Buffer
	began := time.Now()
	f, err := tour(t.Context(), &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for name, step := range map[string]struct {
		total
		want uint64
	}{
		"cold": {f.cold, 1}, "warm": {f.warm, 0}, "changed": {f.changed, 1},
		"alone": {f.alone, 3 * 5}, "alone again": {f.aloneAgain, 0}, "back": {f.back, 1},
	} {
		if step.Executed != step.want || step.Failed > 0 {
			t.Errorf("%s: %d executions and %d failures, want %d and none", name, step.Executed, step.Failed, step.want)
		}
	}
	if got := strings.Count(out.String(), "a store does not answer"); got != 3 {
		t.Errorf("the store's loss was logged %d times, want once by each process", got)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", &out)
	}
}

func TestRunSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := exec.LookPath("redis-server"); err == nil {
		t.Fatal("redis-server is found although there is no path to it")
	}
	var errs bytes.Buffer
	status := run(t.Context(), nil, nil, new(bytes.Buffer), &errs)
	if status != 2 || !strings.Contains(errs.String(), "apt-get install redis-server") {
		t.Errorf("run = %d, %q; want 2 and what to install", status, &errs)
	}
}
