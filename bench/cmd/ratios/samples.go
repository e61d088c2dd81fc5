package main

import (
	"bufio"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A sample is what one run of one benchmark measured, by unit, as in "ns/op".
type sample map[string]float64

// A row is what is measured of all peers under one name.
type row struct {
	group string // the benchmark's name, as in "Hit"
	name  string // what its parts say, as in "int64, 1key, serial"
	peers map[string][]sample
}

// samples are the results of a benchmark run, in the order in which the rows
// came first.
type samples struct {
	about []string // goos, goarch and cpu, as go test prints them
	rows  []*row
}

func newSamples() *samples { return new(samples) }

// line matches the name of a benchmark of one peer; the number behind it is
// GOMAXPROCS, and is left out where that is 1.
var line = regexp.MustCompile(`^Benchmark(\w+?)(?:/(.*))?/peer=(.+?)(?:-\d+)?$`)

// read adds the results in r, which is what go test -bench prints. It skips what
// it does not know.
func (s *samples) read(r io.Reader) error {
	in := bufio.NewScanner(r)
	for in.Scan() {
		s.line(in.Text())
	}
	return in.Err()
}

func (s *samples) line(text string) {
	for _, about := range []string{"goos: ", "goarch: ", "cpu: "} {
		if value, ok := strings.CutPrefix(text, about); ok && !slices.Contains(s.about, value) {
			s.about = append(s.about, value)
		}
	}
	fields := strings.Fields(text)
	if len(fields) < 4 {
		return
	}
	name := line.FindStringSubmatch(fields[0])
	if name == nil {
		return
	}
	one := sample{}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return
		}
		one[fields[i+1]] = value
	}
	row := s.row(name[1], strings.ReplaceAll(name[2], "/", ", "))
	row.peers[name[3]] = append(row.peers[name[3]], one)
}

func (s *samples) row(group, name string) *row {
	for _, r := range s.rows {
		if r.group == group && r.name == name {
			return r
		}
	}
	r := &row{group, name, map[string][]sample{}}
	s.rows = append(s.rows, r)
	return r
}

// median returns the median of what was measured of peer in unit; NaN if nothing
// was.
func (r *row) median(peer, unit string) float64 {
	return median(r.values(peer, unit))
}

// noise returns the largest relative deviation in the row: for each peer the
// median of how far its runs were from their median.
func (r *row) noise(unit string) float64 {
	worst := 0.0
	for peer := range r.peers {
		values := r.values(peer, unit)
		m := median(values)
		for i, v := range values {
			values[i] = math.Abs(v-m) / m
		}
		worst = max(worst, median(values))
	}
	return worst
}

func (r *row) values(peer, unit string) (values []float64) {
	for _, one := range r.peers[peer] {
		if v, ok := one[unit]; ok {
			values = append(values, v)
		}
	}
	return values
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	if len(v)%2 == 1 {
		return v[mid]
	}
	return (v[mid-1] + v[mid]) / 2
}
