// Sockets measures what a hit of httpcache costs where requests come over
// sockets: the requests per second of a cached handler beside those of the same
// handler without a cache, and of one that has the body ready in a map.
//
// Usage:
//
//	go run ./cmd/sockets [-duration d] [-rounds n] [-connections n]
//
// Each handler is served by a process of its own, on a free port of the loopback
// interface, and asked by this one. A round asks every handler once, in random
// order, each for as long as -duration; the table shows medians over the rounds,
// the ratios being those within each round.
// Both sides share the processors of one machine, so the figures say nothing about
// how many requests a server can answer: only the ratios do.
//
// To ask with another program, such as wrk, start one handler alone:
//
//	go run ./cmd/sockets -serve cached
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	serve := flag.String("serve", "", "only serve `handler`: bare, map or cached; prints its URL")
	duration := flag.Duration("duration", 500*time.Millisecond, "how long to ask a handler at a time")
	rounds := flag.Int("rounds", 21, "ask all of them so often")
	connections := flag.Int("connections", 32, "over so many connections at once")
	flag.Parse()

	var err error
	if *serve != "" {
		err = serveAlone(*serve)
	} else {
		err = compare(os.Stdout, *rounds, *connections, *duration)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sockets:", err)
		os.Exit(1)
	}
}

// serveAlone serves one handler on a free port until stdin ends.
func serveAlone(name string) error {
	h, err := handlerNamed(name)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", l.Addr())
	go http.Serve(l, h)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// compare measures every handler and prints the table.
func compare(w io.Writer, rounds, connections int, d time.Duration) error {
	addresses := map[string]string{}
	for _, name := range names {
		address, stop, err := startServer(name)
		if err != nil {
			return err
		}
		defer stop()
		addresses[name] = address
	}
	rates, ratios := map[string][]float64{}, map[string][]float64{}
	for round := range rounds {
		for _, i := range rand.Perm(len(names)) {
			rate, err := load(addresses[names[i]], connections, d)
			if err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			rates[names[i]] = append(rates[names[i]], rate)
		}
		for _, name := range names {
			ratios[name] = append(ratios[name], rates[name][round]/rates["bare"][round])
		}
	}
	fmt.Fprintf(w, "medians of %d rounds, %d connections\n\n", rounds, connections)
	fmt.Fprintln(w, "| handler | requests per second | to bare |")
	fmt.Fprintln(w, "| --- | --: | --: |")
	for _, name := range names {
		fmt.Fprintf(w, "| %s | %.0f | %.2f |\n", name, median(rates[name]), median(ratios[name]))
	}
	return nil
}

// startServer serves a handler in a process of its own and returns its address.
func startServer(name string) (address string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self, "-serve", name)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { stdin.Close(); cmd.Wait() }
	var url string
	if _, err := fmt.Fscanln(stdout, &url); err != nil {
		stop()
		return "", nil, fmt.Errorf("the server of %s: %w", name, err)
	}
	return strings.Trim(strings.TrimPrefix(url, "http://"), "/"), stop, nil
}

func median(of []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(of), cmp.Compare[float64])
	return sorted[len(sorted)/2]
}
