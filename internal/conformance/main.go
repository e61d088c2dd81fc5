// Conformance measures examples/proxy, and with it httpcache, by the public test
// suite of HTTP caches (https://cache-tests.fyi), and compares what it finds with
// the table in results.txt.
//
// Usage, in the module's root folder:
//
//	make conformance            # go run ./internal/conformance
//	make conformance UPDATE=1   # go run ./internal/conformance -update
//
// It fails when a required or optimal test does not pass that passes according
// to the table, and when the table lists other tests than the suite has. With
// -update it writes the table anew instead. With -v it prints what the suite says
// about every test that did not pass.
//
// The suite is a program for Node.js; make fetches it with npm as
// package-lock.json says. It waits for seconds pass in most of its tests, so both
// faces of the proxy are measured at the same time, with a hundred tests under
// way on each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// folder is where the table and the programs for Node.js are.
const folder = "internal/conformance"

// faces are the places where examples/proxy can have its cache, and the columns of
// the table.
var faces = []string{"handler", "transport"}

func main() {
	update := flag.Bool("update", false, "write the table anew")
	verbose := flag.Bool("v", false, "say why tests did not pass")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := run(ctx, *update, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, update, verbose bool) error {
	measured, err := measure(ctx)
	if err != nil {
		return err
	}
	got := tabulate(measured)
	for i, face := range faces {
		fmt.Printf("%-10s %s\n", face+":", got.counts(i))
		printLate(measured[i])
		if verbose {
			printFailures(measured[i])
		}
	}
	if update {
		return os.WriteFile(tableFile, got.text(), 0o644)
	}
	want, err := readTable()
	if err != nil {
		return err
	}
	worse, outdated := want.compare(got)
	for _, line := range worse {
		fmt.Println("worse than the table:", line)
	}
	for _, line := range outdated {
		fmt.Println("not as in the table: ", line)
	}
	if len(outdated) > 0 {
		fmt.Println("make conformance UPDATE=1 brings the table up to date")
	}
	if len(worse) > 0 {
		return errors.New("what the table promises does not hold; -v says why")
	}
	return nil
}

// printLate names the tests that passed only when they were run again: if that
// happens on an idle machine, something is wrong.
func printLate(results []result) {
	for _, r := range results {
		if r.Passed && r.Second {
			fmt.Printf("  %s %s passed only when it was run again\n", r.Kind, r.ID)
		}
	}
}

func printFailures(results []result) {
	for _, r := range results {
		if !r.Passed {
			fmt.Printf("  %s %s: %s\n", r.Kind, r.ID, r.Why)
		}
	}
}
