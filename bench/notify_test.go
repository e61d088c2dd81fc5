package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// BenchmarkCopyHit measures a call whose result is a copy in the process of what is in
// Redis, which reports changes, beside one of a function without a store.
func BenchmarkCopyHit(b *testing.B) {
	addr := testserver.RedisTCP(b).Addr
	open := func(name string, opts ...memo.Option) hitPeer {
		return hitPeer{name: name, ofString: func(tb testing.TB, stored, keys []string) lookup {
			return copyHits(tb, stored, keys, opts...)
		}}
	}
	peers := []hitPeer{
		open("memo", memo.Store(redisstore.New(goRedis(b, addr), nil)), memo.Name("copies"), memo.SharedName()),
		open("memo-no-store"),
	}
	stored, fresh := keysOf[string](heldKeys), keysOf[string](heldKeys)
	drawn := make([]string, 8*heldKeys)
	for i := range drawn {
		drawn[i] = fresh[rand.IntN(heldKeys)]
	}
	modes(func(mode string, goroutines int) {
		for _, p := range shuffled(peers) {
			b.Run(fmt.Sprintf("%s/peer=%s", mode, p.name), func(b *testing.B) {
				look := p.ofString(b, stored, drawn)
				look(0, len(drawn))
				sweep(b, goroutines, len(drawn), look)
			})
		}
	})
}

func copyHits(tb testing.TB, stored, keys []string, opts ...memo.Option) lookup {
	f := memo.New(func(_ context.Context, k string) (int64, error) { return answer(k), nil },
		append([]memo.Option{memo.TTL(ttl), memo.Local(capacity)}, opts...)...)
	ctx := context.Background()
	for _, k := range stored {
		must(f.Call(ctx, k))
	}
	ran := f.Stats().Executions
	tb.Cleanup(func() {
		if f.Stats().Executions != ran {
			panic(errMissed)
		}
	})
	return func(lo, hi int) (sum int64) {
		for _, k := range keys[lo:hi] {
			sum += must(f.Call(ctx, k))
		}
		return sum
	}
}

// BenchmarkNotification measures from the call of Invalidate in one process to when
// another one, with a Redis that reports changes, has found that its copy is gone and nothing
// is in Redis. Beside it: a PING, of which there are three in it.
func BenchmarkNotification(b *testing.B) {
	addr := testserver.RedisTCP(b).Addr
	for _, p := range shuffled([]string{"memo", "ping"}) {
		b.Run("peer="+p, func(b *testing.B) {
			var once func()
			if p == "memo" {
				once = invalidations(b, addr)
			} else {
				client := goRedis(b, addr)
				once = func() { must(client.Ping(context.Background()).Result()) }
			}
			once()
			took := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				began := time.Now()
				once()
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// invalidations returns what invalidates a result and waits until a process that had a copy
// knows it.
func invalidations(tb testing.TB, addr string) func() {
	ctx := context.Background()
	open := func() *memo.Func[string, int64] {
		return memo.New(func(_ context.Context, k string) (int64, error) { return answer(k), nil },
			memo.TTL(ttl), memo.Store(redisstore.New(goRedis(tb, addr), nil)), memo.Name("notified"), memo.SharedName())
	}
	here, there := open(), open()
	dropped := func(k string) time.Duration {
		must(there.Call(ctx, k))
		began := time.Now()
		must(0, here.Invalidate(ctx, k))
		for {
			if _, err := there.Peek(ctx, k); err != nil {
				return time.Since(began)
			}
			runtime.Gosched()
		}
	}
	for i := 0; dropped(fmt.Sprint("warm", i)) > 500*time.Millisecond; i++ { // until the notifications have begun
		if i == 100 {
			panic("there are no notifications")
		}
	}
	n := 0
	return func() {
		n++
		dropped(fmt.Sprint(n))
	}
}

// TestNotificationsArrive checks that what is measured are notifications.
func TestNotificationsArrive(t *testing.T) {
	once := invalidations(t, testserver.RedisTCP(t).Addr)
	for range 20 {
		once()
	}
}
