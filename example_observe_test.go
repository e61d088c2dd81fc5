package memo_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/seed-0226adef/memo"
)

// counts is what a metrics library would be told.
type counts map[string]int

func (c counts) Observe(_ context.Context, e memo.Event) { c[e.Func+" "+e.Kind.String()]++ }

func ExampleObserver() {
	c := counts{}
	users := memo.New(loadUser, memo.Name("users"), memo.Observe(c))

	ctx := context.Background()
	for range 3 {
		users.Call(ctx, 42)
	}
	fmt.Println(c)
	// Output:
	// loading user 42
	// map[users execution:1 users hit:2 users miss:1]
}

type printer struct{}

func (printer) Observe(_ context.Context, e memo.Event) { fmt.Println(e.Func, e.Kind) }

func ExampleObserve() {
	users := memo.New(loadUser, memo.Name("users"), memo.Observe(printer{}))

	ctx := context.Background()
	users.Call(ctx, 42)
	users.Call(ctx, 42)
	users.Invalidate(ctx, 42)
	// Output:
	// loading user 42
	// users execution
	// users miss
	// users hit
	// users invalidation
}

func ExampleEventKind_String() {
	fmt.Println(memo.EventStaleHit)
	// Output: stale hit
}

// A refresh in the background has no caller to return its error to.
func ExampleLogger() {
	r, w := io.Pipe()
	logger := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	weather := memo.New(func(context.Context, string) (string, error) {
		return "", errors.New("the service is down")
	}, memo.Name("weather"), memo.Logger(logger), memo.TTL(blink), memo.StaleWhileRevalidate(time.Hour))

	ctx := context.Background()
	weather.Set(ctx, "Bergen", "rain")
	fmt.Println(weather.Call(ctx, "Bergen"))
	line, _ := bufio.NewReader(r).ReadString('\n')
	fmt.Print(line)
	// Output:
	// rain <nil>
	// level=WARN msg="memo: background refresh failed" func=weather error="the service is down"
}

// Functions are package-level variables, as a rule.
var (
	warehouse = memo.NewGroup("warehouse", memo.TTL(5*time.Minute))
	inStock   = memo.New(func(_ context.Context, sku string) (int, error) { return 12, nil }, warehouse, memo.Name("warehouse.inStock"))
	//lint:ignore U1000 it is found by Funcs
	shelf = memo.NewBatch(func(_ context.Context, skus []string) (map[string]string, error) {
		return map[string]string{"tea": "B7"}, nil
	}, warehouse, memo.Name("warehouse.shelf"), memo.NoLocal())
)

// What a collector of metrics does: it asks again each time, and sums up functions of one
// name.
func ExampleFuncs() {
	inStock.Call(context.Background(), "tea")
	inStock.Call(context.Background(), "tea")

	hits := map[string]uint64{}
	for _, f := range memo.Funcs() {
		hits[f.Name] += f.Stats.Hits
	}
	fmt.Println("memo_hits_total{func=\"warehouse.inStock\"}", hits["warehouse.inStock"])
	// Output: memo_hits_total{func="warehouse.inStock"} 1
}

// What a page for people shows.
func ExampleGroup_Funcs() {
	for _, f := range warehouse.Funcs() {
		fmt.Println(f.Name, f.Options)
	}
	// Output:
	// warehouse.inStock [TTL 5m0s LoadTimeout 30s Local 10000]
	// warehouse.shelf [TTL 5m0s LoadTimeout 30s NoLocal true]
}

func ExampleFuncInfo() {
	f := warehouse.Funcs()[1]
	fmt.Println(f.Name, "is in", f.Group)
	fmt.Println("a batch:", f.Batch)
	fmt.Println("used:", f.Used)
	fmt.Println("executions:", f.Stats.Executions)
	// Output:
	// warehouse.shelf is in warehouse
	// a batch: true
	// used: false
	// executions: 0
}

func ExampleSetting() {
	for _, s := range warehouse.Funcs()[0].Options {
		fmt.Printf("%-12s %s\n", s.Option, s.Value)
	}
	// Output:
	// TTL          5m0s
	// LoadTimeout  30s
	// Local        10000
}
