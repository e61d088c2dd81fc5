package testserver

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestDynaliteServesEachTestItsOwnTables(t *testing.T) {
	first, second := Dynalite(t), Dynalite(t)
	if first == second {
		t.Fatalf("two servers have the endpoint %s", first)
	}
	for _, endpoint := range []string{first, second} {
		if got := health(t, endpoint); !strings.HasPrefix(got, "healthy") {
			t.Errorf("GET %s = %q, want healthy", endpoint, got)
		}
	}
}

func TestDynaliteEndsWithItsTest(t *testing.T) {
	var endpoint string
	t.Run("test", func(t *testing.T) { endpoint = Dynalite(t) })
	if endpoint == "" {
		t.Skip("there is no dynalite")
	}
	if resp, err := http.Get(endpoint); err == nil {
		resp.Body.Close()
		t.Errorf("GET %s = %s after the test, want an error", endpoint, resp.Status)
	}
}

func TestLockFileNamesNoRegistry(t *testing.T) {
	lock, err := os.ReadFile(filepath.Join(dynaliteFolder(t), lockFile))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), `"resolved"`) {
		t.Error("the lock file says where its packages came from; npm takes those of its own registry without, so remove every resolved field")
	}
}

func TestConcurrentInstallsLeaveOneWholeFolder(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "package.json"), "{}", 0o600)
	write(t, filepath.Join(folder, lockFile), "version 1", 0o600)
	npm := filepath.Join(t.TempDir(), "npm")
	// It does nothing right away, and fails if another runs in the same folder.
	write(t, npm, "#!/bin/sh\nset -e\nmkdir node_modules\nsleep 0.05\ncp package-lock.json node_modules/module\n", 0o700)

	for _, version := range []string{"version 1", "version 2"} {
		write(t, filepath.Join(folder, lockFile), version, 0o600)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := install(folder, npm); err != nil {
					t.Error(err)
				}
				if got, err := os.ReadFile(filepath.Join(folder, "node_modules", "module")); err != nil || string(got) != version {
					t.Errorf("after install the module is %q, %v, want %q", got, err, version)
				}
			})
		}
		wg.Wait()
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "install-*")); len(left) > 0 {
		t.Errorf("install left %v", left)
	}
}

func TestInstallThatFailsLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "package.json"), "{}", 0o600)
	write(t, filepath.Join(folder, lockFile), "version 1", 0o600)
	npm := filepath.Join(t.TempDir(), "npm")
	write(t, npm, "#!/bin/sh\nmkdir node_modules\necho no network\nexit 1\n", 0o700)

	err := install(folder, npm)
	if err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("install = %v, want an error with npm's own words", err)
	}
	if installed(folder) {
		t.Error("it counts as installed")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("node_modules: %v, want none", err)
	}
}

func health(t *testing.T, endpoint string) string {
	t.Helper()
	resp, err := http.Get(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 100)
	n, _ := resp.Body.Read(b)
	return string(b[:n])
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
