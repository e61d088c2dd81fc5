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
