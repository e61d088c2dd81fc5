package memo_test

import (
	"os/exec"
	"strings"
	"testing"
)

// heavy are packages that a program gets only by importing what needs them: a
// store's package, or httpcache.
var heavy = []string{
	"net/http",
	"github.com/redis/go-redis",
	"github.com/bradfitz/gomemcache",
	"github.com/aws",
}

func TestImportingMemoCompilesNoClient(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", importPath).Output()
	if err != nil {
		t.Fatalf("go list -deps: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 20 {
		t.Fatalf("go list -deps gave %q; that cannot be all", deps)
	}
	for _, dep := range deps {
		for _, h := range heavy {
			if dep == h || strings.HasPrefix(dep, h+"/") {
				t.Errorf("a program that imports memo alone compiles %s", dep)
			}
		}
	}
}
