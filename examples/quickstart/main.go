// Quickstart shows what memo does on files of the machine it runs on:
//
//	go run ./examples/quickstart [folder]
//
// Without a folder it reads the source of Go's standard library. It needs no
// network and no server, and changes nothing in the folder.
//
// The file to read first is survey.go: it has the memoized functions. The steps
// that are shown are in steps.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

const usage = "usage: go run ./examples/quickstart [folder]"

// run is main with its surroundings as parameters. It returns the exit status.
func run(args []string, out, errs io.Writer) int {
	folder, err := chooseFolder(args)
	if err != nil {
		fmt.Fprintf(errs, "quickstart: %v\n%s\n", err, usage)
		return 2
	}
	if _, err := tour(context.Background(), folder, out); err != nil {
		fmt.Fprintf(errs, "quickstart: %v\n", explain(folder, err))
		return 2
	}
	return 0
}

// chooseFolder returns the folder to look at.
func chooseFolder(args []string) (string, error) {
	switch {
	case len(args) > 1:
		return "", fmt.Errorf("%d arguments were given, but it takes one folder at most", len(args))
	case len(args) == 0:
		return defaultFolder(), nil
	}
	info, err := os.Stat(args[0])
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot use the folder %q: %w; name one that exists and can be read", args[0], errors.Unwrap(err))
	case !info.IsDir():
		return "", fmt.Errorf("%q is a file; name the folder that it is in: %q", args[0], filepath.Dir(args[0]))
	}
	return filepath.Abs(args[0])
}

// defaultFolder returns the source folder of the Go installation, which every
// machine that can run this has, or else the current folder.
func defaultFolder() string {
	if root, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
		src := filepath.Join(strings.TrimSpace(string(root)), "src")
		if _, err := os.Stat(src); err == nil {
			return src
		}
	}
	here, err := os.Getwd()
	if err != nil {
		return "."
	}
	return here
}

// explain says what to do about an error of the tour.
func explain(folder string, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s could not be read within %v; give a smaller folder", folder, patience)
	case errors.Is(err, errNoFiles):
		return fmt.Errorf("%s: %w; give a folder that has some", folder, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w; give a folder that you may read", folder, err)
	}
	return err
}
