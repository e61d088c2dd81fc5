package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A result is what the suite found in one test.
type result struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"` // required, optimal, or check
	Passed bool   `json:"passed"`
	Why    string `json:"why"` // it did not pass
	Second bool   `json:"-"`   // this is what the second run found
}

// measure runs the suite against every face at the same time, and returns the
// results in the order of faces.
func measure(ctx context.Context) (results [][]result, err error) {
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		return nil, errors.New("the suite is not there; make conformance fetches it")
	}
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	proxy := filepath.Join(dir, "proxy")
	build := exec.CommandContext(ctx, "go", "build", "-o", proxy, "./examples/proxy")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("go build: %w", err)
	}
	origin, stop, err := start(ctx, "node", filepath.Join(folder, "origin.mjs"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	results = make([][]result, len(faces))
	errs := make([]error, len(faces))
	var wg sync.WaitGroup
	for i, face := range faces {
		wg.Go(func() { results[i], errs[i] = measureFace(ctx, proxy, origin, face) })
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

// measureFace runs the suite against one face. The suite waits for three seconds
// where something is to become stale after two, so on a busy machine a test may fail
// for being late: what did not pass is run a second time, and that counts.
func measureFace(ctx context.Context, proxy, origin, face string) (results []result, err error) {
	base, stop, err := start(ctx, proxy, "-origin", origin, "-listen", "127.0.0.1:0", "-face", face)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	results, err = runSuite(ctx, base)
	if err != nil {
		return nil, err
	}
	var again []string
	for _, r := range results {
		if !r.Passed {
			again = append(again, r.ID)
		}
	}
	if len(again) == 0 {
		return results, nil
	}
	second, err := runSuite(ctx, base, again...)
	if err != nil {
		return nil, err
	}
	return replace(results, second), nil
}

// replace puts the results of a second run in the place of the first ones.
func replace(results, second []result) []result {
	byID := map[string]result{}
	for _, r := range second {
		byID[r.ID] = r
	}
	for i, r := range results {
		if s, ok := byID[r.ID]; ok {
			s.Second = true
			results[i] = s
		}
	}
	return results
}

// runSuite runs the tests with the given ids, or all, against the cache at base.
func runSuite(ctx context.Context, base string, ids ...string) ([]result, error) {
	cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join(folder, "client.mjs"), base}, ids...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the suite's client: %w", err)
	}
	var results []result
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var r result
		if err := decoder.Decode(&r); err != nil {
			return nil, fmt.Errorf("the suite's client printed: %w", err)
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		return nil, errors.New("the suite's client printed no result")
	}
	return results, nil
}

// start runs a server and returns the URL that it prints first. stop interrupts
// it and says whether it ended well.
func start(ctx context.Context, name string, args ...string) (url string, stop func() error, err error) {
	ctx, interrupt := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second // then it is killed
	cmd.Stderr = &tail{}
	out, err := cmd.StdoutPipe()
	if err == nil {
		_, err = cmd.StdinPipe() // which ends when this process does
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		interrupt()
		return "", nil, err
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	stop = func() error {
		interrupt()
		err := cmd.Wait()
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, cmd.Stderr)
		}
		return nil
	}
	if url = strings.TrimSpace(line); !strings.HasPrefix(url, "http://") {
		return "", nil, errors.Join(fmt.Errorf("%s printed %q, not its URL", filepath.Base(name), line), stop())
	}
	return url, stop, nil
}

// A tail keeps the last kilobytes of what a server logs.
type tail struct {
	kept []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = t.kept[over:]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }
