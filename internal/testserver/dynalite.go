package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Dynalite starts a DynamoDB that keeps its tables in memory and returns its
// endpoint, http://127.0.0.1 and a port. It ends with the test.
//
// It is dynalite, a program for Node.js. The first test on a machine fetches it
// with npm, as dynalite/package-lock.json says, into dynalite/node_modules.
//
// Unlike the service it takes any credentials, never throttles, does not know
// UpdateTimeToLive or transactions, and deletes nothing that has expired.
func Dynalite(t testing.TB) string {
	t.Helper()
	node := need(t, "node", "install Node.js 20 or later")
	folder := dynaliteFolder(t)
	if !installed(folder) {
		npm := need(t, "npm", "install it to fetch dynalite, a DynamoDB for tests")
		if err := install(folder, npm); err != nil {
			skipOrFail(t, fmt.Sprintf("dynalite, a DynamoDB for tests, cannot be fetched; try npm ci in %s: %v", folder, err))
		}
	}
	cmd := exec.Command(node, "server.js")
	cmd.Dir = folder
	if _, err := cmd.StdinPipe(); err != nil { // which ends when this process does
		t.Fatal(err)
	}
	var printed lockedBuffer
	cmd.Stdout = &printed
	var address string
	run(t, cmd, func() error {
		port, _, ok := strings.Cut(printed.String(), "\n")
		if !ok {
			return errors.New("it has not printed a port")
		}
		address = net.JoinHostPort("127.0.0.1", port)
		return nil
	})
	return "http://" + address
}

// skipOrFail does what need does about what is missing.
func skipOrFail(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// dynaliteFolder returns the folder with server.js, which is beside this file.
func dynaliteFolder(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	folder := filepath.Join(filepath.Dir(file), "dynalite")
	if !ok || !filepath.IsAbs(folder) {
		t.Fatal("the folder of dynalite is not known; run the tests without -trimpath")
	}
	return folder
}

const lockFile = "package-lock.json"

// installed reports whether folder/node_modules is what folder's lock file names.
func installed(folder string) bool {
	want, err := os.ReadFile(filepath.Join(folder, lockFile))
	if err != nil {
		return false
	}
	// install leaves a copy there.
	have, err := os.ReadFile(filepath.Join(folder, "node_modules", lockFile))
	return err == nil && bytes.Equal(have, want)
}

// install makes folder/node_modules what folder's lock file names.
//
// Test binaries of several packages may do so at once, and may be interrupted. So
// each installs into a folder of its own, and one renaming puts the whole in
// place: whoever finds node_modules finds it complete. The lock only saves the
// others the work.
func install(folder, npm string) error {
	unlock, err := lock(folder)
	if err != nil {
		return err
	}
	defer unlock()
	if installed(folder) {
		return nil
	}
	own, err := os.MkdirTemp(folder, "install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(own)
	for _, name := range []string{"package.json", lockFile} {
		if err := copyFile(filepath.Join(own, name), filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	cmd := exec.Command(npm, "ci", "--no-audit", "--no-fund")
	cmd.Dir = own
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	fresh, inPlace := filepath.Join(own, "node_modules"), filepath.Join(folder, "node_modules")
	if err := copyFile(filepath.Join(fresh, lockFile), filepath.Join(own, lockFile)); err != nil {
		return err
	}
	if err := os.Rename(inPlace, filepath.Join(own, "outdated")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, inPlace); err != nil && !installed(folder) {
		return err
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
