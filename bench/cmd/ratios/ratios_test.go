package main

import (
	"strings"
	"testing"
)

// Two runs of one benchmark and one of another, as go test prints them.
const output = `goos: linux
goarch: amd64
pkg: example.com/bench
cpu: Some CPU
BenchmarkHit/int64/serial/peer=memo-2      1000   10.0 ns/op   0 B/op   0 allocs/op
BenchmarkHit/int64/serial/peer=go-cache-2  1000   40.0 ns/op   8 B/op   1 allocs/op
BenchmarkHit/int64/serial/peer=otter-2     1000   20.0 ns/op   0 B/op   0 allocs/op
BenchmarkHit/int64/serial/peer=otter-2     1000   30.0 ns/op   0 B/op   0 allocs/op
BenchmarkStampede/1000callers/peer=memo    1      2500000 ns/op   1.000 executions/op   100 B/op   5 allocs/op
PASS
ok  	example.com/bench	1.000s
`

const tables = `linux, amd64, Some CPU; medians of 2 runs.

### Hit

Time per call; in parentheses the ratio memo : peer.

|  | memo | go-cache | otter | noise |
| --- | --: | --: | --: | --: |
| int64, serial | 10.0 ns | 40.0 ns (0.25) | 25.0 ns (0.40) | ±20% |

Allocations and bytes per call.

|  | memo | go-cache | otter |
| --- | --: | --: | --: |
| int64, serial | 0, 0 B | 1, 8 B | 0, 0 B |

- memo : otter, aim at most 0.90: geometric mean 0.40, worst 0.40 (int64, serial)

### Stampede

Time per call; in parentheses the ratio memo : peer.

|  | memo | noise |
| --- | --: | --: |
| 1000callers | 2.50 ms | ±0% |

Allocations and bytes per call.

|  | memo |
| --- | --: |
| 1000callers | 5, 100 B |

Executions of the function.

|  | memo |
| --- | --: |
| 1000callers | 1.00 |
`

func TestTablesShowMediansAndRatios(t *testing.T) {
	s := newSamples()
	if err := s.read(strings.NewReader(output)); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	s.print(&got)
	if got.String() != tables {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), tables)
	}
}
