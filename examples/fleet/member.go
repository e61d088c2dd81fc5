package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// A quote is what is cached. Askers are many, but only one of them gets it from the
// supplier.
type quote struct {
	Price   string
	AskedBy string // the process that asked the supplier
}

// A member is one process of the fleet.
type member struct {
	name  string
	price *memo.Func[string, quote]
}

// newMember makes the process's memoized function. This is all there is to sharing
// its results: a store that the processes have in common, and a name in it.
func newMember(name, priceList string, client redis.UniversalClient, logger *slog.Logger) *member {
	askSupplier := func(ctx context.Context, item string) (quote, error) {
		time.Sleep(supplierTakes)
		price, err := os.ReadFile(priceList)
		return quote{Price: strings.TrimSpace(string(price)), AskedBy: name}, err
	}
	return &member{name, memo.New(askSupplier,
		memo.Store(redisstore.New(client, nil)),
		memo.Name("price"),
		memo.Prefix("fleet"),
		memo.Logger(logger))}
}

const (
	supplierTakes = 300 * time.Millisecond
	callers       = 100 // goroutines that ask for an item at the same moment
)

// An order is what the main process tells a member to do: to have its callers ask
// for items, or to say that the price of one has changed.
type order struct {
	Ask        []string
	Invalidate string
}

// A report is what became of an order.
type report struct {
	Quote  quote  // of the last item
	Failed int    // calls that returned an error
	Err    string // of the Invalidate
	Took   time.Duration

	// Of all the calls, as memo has counted them.
	Executed, Waited, FromRedis, FromMemory uint64
}

// serve is a member's main: it carries out orders until there are no more.
func serve(name, addr, priceList string, orders io.Reader, reports, log io.Writer) error {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	redis.SetLogger(quiet{}) // go-redis tells of every connection that it loses
	m := newMember(name, priceList, client, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: withoutTime})))

	in, out := json.NewDecoder(orders), json.NewEncoder(reports)
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(m.carryOut(context.Background(), o)); err != nil {
			return err
		}
	}
}

func (m *member) carryOut(ctx context.Context, o order) (r report) {
	if o.Invalidate != "" {
		if err := m.price.Invalidate(ctx, o.Invalidate); err != nil {
			r.Err = err.Error()
		}
	}
	before, began := m.price.Stats(), time.Now()
	for _, item := range o.Ask {
		r.Failed += m.ask(ctx, item, &r.Quote)
	}
	r.Took = time.Since(began)
	after := m.price.Stats()
	r.Executed = after.Executions - before.Executions
	r.Waited = after.Joined - before.Joined
	r.FromRedis = after.SharedHits - before.SharedHits
	r.FromMemory = after.Hits - before.Hits
	return r
}

// ask lets all callers ask for an item, and returns how many of them failed.
func (m *member) ask(ctx context.Context, item string, q *quote) (failed int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			got, err := m.price.Call(ctx, item)
			mu.Lock()
			defer mu.Unlock()
			if *q = got; err != nil {
				failed++
			}
		})
	}
	wg.Wait()
	return failed
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
