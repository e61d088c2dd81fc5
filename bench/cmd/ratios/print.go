package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// subject is whom everybody is compared with.
const subject = "memo"

// aims are the ratios that a hit of memo is to stay within.
var aims = []struct {
	peer  string
	limit float64
}{
	{"otter", 0.9},
	{"sync.Map", 1.4},
}

// print writes all tables.
func (s *samples) print(w io.Writer) {
	runs := 0
	for _, r := range s.rows {
		for _, p := range r.peers {
			runs = max(runs, len(p))
		}
	}
	fmt.Fprintf(w, "%s; medians of %d runs.\n", strings.Join(s.about, ", "), runs)
	for _, g := range s.groups() {
		rows := s.of(g)
		fmt.Fprintf(w, "\n### %s\n\nTime per call; in parentheses the ratio %s : peer.\n\n", g, subject)
		table(w, rows, time, "noise", noise)
		fmt.Fprint(w, "\nAllocations and bytes per call.\n\n")
		table(w, rows, memory, "", nil)
		if slices.ContainsFunc(rows, (*row).countsExecutions) {
			fmt.Fprint(w, "\nExecutions of the function.\n\n")
			table(w, rows, executions, "", nil)
		}
		if slices.ContainsFunc(rows, (*row).countsBytes) {
			fmt.Fprint(w, "\nBytes of the heap that a result takes.\n\n")
			table(w, rows, bytesHeld, "", nil)
		}
		if g == "Hit" {
			fmt.Fprintln(w)
			printAims(w, rows)
		}
	}
}

// printAims writes how far rows are from the aims.
func printAims(w io.Writer, rows []*row) {
	for _, aim := range aims {
		worst, where, logs, n := 0.0, "", 0.0, 0
		for _, r := range rows {
			ratio := r.ratio(aim.peer)
			if math.IsNaN(ratio) {
				continue
			}
			if ratio > worst {
				worst, where = ratio, r.name
			}
			logs += math.Log(ratio)
			n++
		}
		if n > 0 {
			fmt.Fprintf(w, "- %s : %s, aim at most %.2f: geometric mean %.2f, worst %.2f (%s)\n",
				subject, aim.peer, aim.limit, math.Exp(logs/float64(n)), worst, where)
		}
	}
}

// table writes a table with a line for each row and a column for each peer, and
// one more if extra is not nil.
func table(w io.Writer, rows []*row, cell func(*row, string) string, header string, extra func(*row) string) {
	peers := columns(rows)
	cells := append([]string{""}, peers...)
	if extra != nil {
		cells = append(cells, header)
	}
	printLine(w, cells)
	printLine(w, append([]string{"---"}, slices.Repeat([]string{"--:"}, len(cells)-1)...))
	for _, r := range rows {
		cells := []string{r.name}
		for _, p := range peers {
			if len(r.peers[p]) == 0 {
				cells = append(cells, "")
				continue
			}
			cells = append(cells, cell(r, p))
		}
		if extra != nil {
			cells = append(cells, extra(r))
		}
		printLine(w, cells)
	}
}

func printLine(w io.Writer, cells []string) {
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

func (r *row) ratio(peer string) float64 {
	return r.median(subject, "ns/op") / r.median(peer, "ns/op")
}

func (r *row) countsBytes() bool { return len(r.values(subject, "B/result")) > 0 }

func bytesHeld(r *row, peer string) string { return fmt.Sprintf("%.0f", r.median(peer, "B/result")) }

func (r *row) countsExecutions() bool { return len(r.values(subject, "executions/op")) > 0 }

func time(r *row, peer string) string {
	text := duration(r.median(peer, "ns/op"))
	if ratio := r.ratio(peer); peer != subject && !math.IsNaN(ratio) {
		text += fmt.Sprintf(" (%.2f)", ratio)
	}
	return text
}

func memory(r *row, peer string) string {
	return fmt.Sprintf("%.0f, %.0f B", r.median(peer, "allocs/op"), r.median(peer, "B/op"))
}

func executions(r *row, peer string) string {
	return fmt.Sprintf("%.2f", r.median(peer, "executions/op"))
}

func noise(r *row) string { return fmt.Sprintf("±%.0f%%", 100*r.noise("ns/op")) }

// duration writes ns with three digits.
func duration(ns float64) string {
	for _, unit := range []string{"ns", "µs", "ms"} {
		switch {
		case ns < 10:
			return fmt.Sprintf("%.2f %s", ns, unit)
		case ns < 100:
			return fmt.Sprintf("%.1f %s", ns, unit)
		case ns < 1000:
			return fmt.Sprintf("%.0f %s", ns, unit)
		}
		ns /= 1000
	}
	return fmt.Sprintf("%.2f s", ns)
}

// groups returns the names of the benchmarks.
func (s *samples) groups() (names []string) {
	for _, r := range s.rows {
		if !slices.Contains(names, r.group) {
			names = append(names, r.group)
		}
	}
	return names
}

// of returns the rows of a group in the order of their names.
func (s *samples) of(group string) (rows []*row) {
	for _, r := range s.rows {
		if r.group == group {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int { return strings.Compare(a.name, b.name) })
	return rows
}

// columns returns the peers that occur in rows: the subject, and the others in
// the order of their names.
func columns(rows []*row) []string {
	seen := map[string]bool{}
	for _, r := range rows {
		for p := range r.peers {
			seen[p] = true
		}
	}
	delete(seen, subject)
	names := []string{subject}
	for p := range seen {
		names = append(names, p)
	}
	slices.Sort(names[1:])
	return names
}
