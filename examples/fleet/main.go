// Fleet shows three processes of one program that share results through a Redis, and
// what becomes of them when that is killed:
//
//	go run ./examples/fleet
//
// It starts a redis-server of its own, on a free port, and starts itself three times
// more. It ends by itself within seconds and leaves nothing behind.
//
// The file to read first is member.go: it has the memoized function, and is all that a
// program with a fleet would have. The steps that are shown are in steps.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings as parameters. It returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	var err error
	switch {
	case len(args) == 4 && args[0] == "member":
		err = serve(args[1], args[2], args[3], in, out, errs)
	case len(args) > 0:
		err = errors.New("it takes no arguments")
	default:
		_, err = tour(ctx, out)
	}
	if err != nil {
		fmt.Fprintf(errs, "fleet: %v\n", err)
		return 2
	}
	return 0
}
