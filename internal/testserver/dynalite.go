package testserver

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const (
	installNode     = "install Node.js 18 or later (Debian: apt-get install nodejs npm; Homebrew: brew install node), then run make servers"
	installDynalite = "run make servers, which fetches it with npm"
)

// Dynalite starts a DynamoDB that keeps its tables in memory and returns its
// endpoint, http://127.0.0.1 and a port. It ends with the test.
//
// It is dynalite, a program for Node.js, which scripts/setup fetches.
//
// Unlike the service it takes any credentials, never throttles, does not know
// UpdateTimeToLive or transactions, and deletes nothing that has expired.
func Dynalite(t testing.TB) string {
	t.Helper()
	node := need(t, "node", installNode)
	folder := dynaliteFolder(t)
	if !installed(folder) {
		missing(t, "dynalite", installDynalite)
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

// installed reports whether folder/node_modules is what folder's lock file names:
// scripts/setup leaves a copy of the lock file there.
func installed(folder string) bool {
	want, err := os.ReadFile(filepath.Join(folder, lockFile))
	if err != nil {
		return false
	}
	have, err := os.ReadFile(filepath.Join(folder, "node_modules", lockFile))
	return err == nil && bytes.Equal(have, want)
}
