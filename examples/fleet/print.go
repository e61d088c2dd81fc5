package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// A total is what became of an order to the whole fleet.
type total struct {
	Reports  map[string]report // by process
	Executed uint64
	Failed   int
}

func (t total) add(o total) total {
	o.Executed += t.Executed
	o.Failed += t.Failed
	return o
}

// knows reports whether every process has that price.
func (t total) knows(price string) bool {
	for _, r := range t.Reports {
		if r.Quote.Price != price {
			return false
		}
	}
	return true
}

// print prints a line for each process.
func (t total) print(out io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(t.Reports)) {
		r := t.Reports[name]
		fmt.Fprintf(out, "    %s has %s, which %s asked for, after %v: %s\n",
			name, r.Quote.Price, r.Quote.AskedBy, r.Took.Round(time.Millisecond), r.ways())
	}
}

// ways says how the calls were answered.
func (r report) ways() string {
	var ways []string
	for _, way := range []struct {
		calls uint64
		how   string
	}{
		{r.Executed, "executed"}, {r.Waited, "waited"},
		{r.FromRedis, "hit in Redis"}, {r.FromMemory, "hit in the process"}, {uint64(r.Failed), "FAILED"},
	} {
		if way.calls > 0 {
			ways = append(ways, fmt.Sprintf("%d %s", way.calls, way.how))
		}
	}
	return strings.Join(ways, ", ")
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
