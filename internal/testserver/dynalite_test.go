package testserver

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
