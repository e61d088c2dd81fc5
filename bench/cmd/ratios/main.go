// Ratios runs the benchmarks of this module and prints how memo compares with
// each of its peers, as Markdown.
//
// Usage:
//
//	go run ./cmd/ratios [-bench regexp] [-benchtime d] [-rounds n] [-raw file]
//	go run ./cmd/ratios file...
//
// It runs every benchmark once a round, in a process of its own, so that what
// disturbs the machine for a while disturbs all peers alike; go test -count
// would run one benchmark n times before it turns to the next. With files, it
// runs nothing, and reads from them what go test -bench, or -raw, has written.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	var r runner
	flag.StringVar(&r.bench, "bench", ".", "run the benchmarks that match `regexp`")
	flag.StringVar(&r.benchtime, "benchtime", "100ms", "how long to run each, as go test -benchtime takes it")
	flag.IntVar(&r.rounds, "rounds", 9, "run all of them so often")
	raw := flag.String("raw", "", "also write to `file` what the benchmarks print, for benchstat")
	flag.Parse()

	s, err := collect(&r, *raw, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
	s.print(os.Stdout)
}

// collect gets the samples from the files or, without any, by running.
func collect(r *runner, raw string, files []string) (*samples, error) {
	s := newSamples()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		err = s.read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(files) > 0 {
		return s, nil
	}
	var copies io.Writer = io.Discard
	if raw != "" {
		f, err := os.Create(raw)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		copies = f
	}
	return s, r.run(s, copies)
}

// A runner runs the benchmarks of the module in the current directory.
type runner struct {
	bench, benchtime string
	rounds           int
}

// run adds the results of all rounds to s, and copies what is printed to raw.
func (r *runner) run(s *samples, raw io.Writer) error {
	dir, err := os.MkdirTemp("", "ratios")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "bench.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("go test -c: %w", err)
	}
	for i := range r.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", i+1, r.rounds)
		if err := r.round(binary, s, raw); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) round(binary string, s *samples, raw io.Writer) error {
	cmd := exec.Command(binary, "-test.run=^$", "-test.bench="+r.bench, "-test.benchtime="+r.benchtime)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := s.read(io.TeeReader(out, raw)); err != nil {
		return err
	}
	return cmd.Wait()
}
