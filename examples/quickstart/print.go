package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-0226adef/memo"
)

func heading(out io.Writer, text string) {
	fmt.Fprintf(out, "\n%s\n%s\n", text, strings.Repeat("-", len(text)))
}

// printTimes compares two times.
func printTimes(out io.Writer, what string, cold, warm time.Duration) {
	ratio := float64(cold) / float64(max(warm, 1))
	fmt.Fprintf(out, "\n    %-34s cold %-9v warm %-9v", what, short(cold), short(warm))
	if ratio >= 2 {
		fmt.Fprintf(out, " %s times faster", number(uint64(roughly(ratio))))
	}
	fmt.Fprintln(out)
}

// printKinds prints the kinds of files with the most lines.
func printKinds(out io.Writer, r report) {
	t := table(out)
	fmt.Fprintln(t, "kind\tfiles\tlines\twords\t")
	for _, kind := range mostLines(r, 5) {
		k := r.ByKind[kind]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", kind, number(k.Files), number(k.Lines), number(k.Words))
	}
	t.Flush()
}

// printStats prints what memo has counted.
func (s *survey) printStats(out io.Writer) {
	heading(out, "5. What memo has counted")
	t := table(out)
	fmt.Fprintln(t, "function\thits\tstale hits\tmisses\tjoined\texecutions\theld now\ttime in it\t")
	row := func(name string, stats memo.Stats) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%v\t\n", name, number(stats.Hits), number(stats.StaleHits),
			number(stats.Misses), number(stats.Joined), number(stats.Executions), number(stats.Entries), short(stats.ExecutionTime))
	}
	row("count", s.count.Stats())
	row("report", s.report.Stats())
	row("checksum", s.checksum.Stats())
	row("all of the group", s.files.Stats())
	t.Flush()
	fmt.Fprintln(out, "\nThe time in report includes that in the functions it calls.")
}

func table(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func describe(t tally) string {
	return fmt.Sprintf("%s with %s and %s", plural(t.Files, "file"), plural(t.Lines, "line"), plural(t.Words, "word"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number writes n with commas between the thousands.
func number[N int | uint64](n N) string {
	s := strconv.FormatUint(uint64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short rounds d to three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// roughly rounds x to two digits: more would be noise.
func roughly(x float64) float64 {
	unit := 1.0
	for x/unit >= 100 {
		unit *= 10
	}
	return math.Round(x/unit) * unit
}
