package sim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// root is that of the module.
const root = "../.."

func TestEveryGuardIsThere(t *testing.T) {
	for _, g := range guards {
		text, err := os.ReadFile(filepath.Join(root, g.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), g.text); n != 1 {
			t.Errorf("%s: %q is in %s %d times, want once", g.keeps, g.text, g.file, n)
		}
	}
}

// guilt is for how long the simulation may look for what is wrong without a guard.
const guilt = time.Minute

var violation = regexp.MustCompile(`#\d+ returned version .*`)

// MEMO_PROVE is a part of what the guards keep that are to be taken out, or 1 for all.
func TestEveryGuardIsNeeded(t *testing.T) {
	which := os.Getenv("MEMO_PROVE")
	if which == "" {
		t.Skip("make prove runs it: it takes minutes")
	}
	for _, g := range guards {
		if which != "1" && !strings.Contains(g.keeps, which) {
			continue
		}
		began := time.Now()
		out, err := g.simulateWithout(t)
		seed := regexp.MustCompile(`MEMO_SIM_SEED=\d+`).FindString(out)
		found := violation.FindString(out)
		if err == nil || found == "" || seed == "" {
			t.Errorf("NOT FOUND in %v: %s\n%s", time.Since(began).Round(time.Second), g.keeps, last(out, 2000))
			continue
		}
		t.Logf("%4.0f s  %s: %s (%s)", time.Since(began).Seconds(), g.keeps, found, seed)
	}
}

// simulateWithout builds the tests without the guard and runs histories until one is wrong.
func (g *guard) simulateWithout(t *testing.T) (out string, err error) {
	dir := t.TempDir()
	path, err := filepath.Abs(filepath.Join(root, g.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	without := filepath.Join(dir, "without.go")
	if err := os.WriteFile(without, []byte(strings.Replace(string(text), g.text, g.out, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: without}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sim.test")
	if out, err := exec.Command("go", "test", "-vet=off", "-c", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Errorf("without the guard that %s, the code does not compile: %s", g.keeps, out)
		return "", nil
	}
	run := exec.Command(binary, "-test.run", "TestNoHistory", "-test.timeout", (2 * guilt).String())
	run.Env = append(os.Environ(), "MEMO_SIM="+guilt.String(), "MEMO_SIM_SEED=")
	b, err := run.CombinedOutput()
	return string(b), err
}

// last returns the end of a text.
func last(text string, n int) string { return text[max(len(text)-n, 0):] }
