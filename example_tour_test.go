package memo_test

// What the package documentation shows, as programs that run.
// TestDocShowsOnlyWhatCompiles compares the two.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/store/redisstore"
)

func Example_rememberingAFunction() {
	ctx := context.Background()
	fetchForecast := func(_ context.Context, city string) (string, error) {
		fmt.Println("fetching", city)
		return "rain", nil
	}

	forecast := memo.Wrap(fetchForecast, memo.TTL(10*time.Minute))

	text, err := forecast(ctx, "Oslo") // runs fetchForecast
	text, err = forecast(ctx, "Oslo")  // returns what it returned

	fmt.Println(text, err)
	// Output:
	// fetching Oslo
	// rain <nil>
}

func Example_handle() {
	ctx := context.Background()
	anna := "Anna"
	loadUser := func(_ context.Context, id int) (string, error) {
		fmt.Println("loading", id)
		return "Ann", nil
	}

	users := memo.New(loadUser)

	u, err := users.Call(ctx, 42)   // as Wrap(loadUser) would
	e, err := users.Peek(ctx, 42)   // what is held, without running loadUser
	err = users.Set(ctx, 42, anna)  // held from now on, without running loadUser
	u, err = users.Refresh(ctx, 42) // runs loadUser now, and keeps the result
	err = users.Invalidate(ctx, 42) // drops what is held

	fmt.Println(e.Value, u, err)
	// Output:
	// loading 42
	// loading 42
	// Ann Ann <nil>
}

func Example_keys() {
	type query struct {
		City  string
		Days  int
		Trace string `memo:"-"` // no part of the key
	}
	ctx := context.Background()
	forecast := memo.Wrap(func(_ context.Context, q query) (string, error) {
		return "asked by " + q.Trace, nil
	})
	fmt.Println(forecast(ctx, query{"Oslo", 3, "a"}))
	fmt.Println(forecast(ctx, query{"Oslo", 3, "b"}))
	fmt.Println(forecast(ctx, query{"Oslo", 5, "c"}))

	lookUpCapital := func(_ context.Context, country string) (string, error) {
		fmt.Println("looking up", country)
		return "Oslo", nil
	}
	capital := memo.New(lookUpCapital, memo.KeyFunc(strings.ToLower))
	capital.Call(ctx, "Norway")
	capital.Call(ctx, "NORWAY")
	// Output:
	// asked by a <nil>
	// asked by a <nil>
	// asked by c <nil>
	// looking up Norway
}

func Example_oneExecution() {
	ctx := context.Background()
	forecast := memo.New(func(context.Context, string) (string, error) { return "rain", nil })

	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() { forecast.Call(ctx, "Oslo") })
	}
	wg.Wait()
	fmt.Println(forecast.Stats().Executions) // 1
	// Output: 1
}

func Example_freshness() {
	ctx := context.Background()
	fetchForecast := func(_ context.Context, city string) (string, error) { return "rain", nil }

	forecast := memo.New(fetchForecast,
		memo.TTL(10*time.Minute),
		memo.StaleWhileRevalidate(time.Minute), // return the old one at once, refresh it in the background
		memo.StaleIfError(24*time.Hour),        // return the old one if fetchForecast fails
		memo.SoftTimeout(2*time.Second),        // or if it takes longer than this
	)

	forecast.Call(ctx, "Oslo")
	e, _ := forecast.Peek(ctx, "Oslo")
	fmt.Println(e.FreshUntil.Sub(e.Created), e.Stale)
	// Output: 10m0s false
}

func Example_setTTL() {
	ctx := context.Background()
	requestToken := func(_ context.Context, scope string) (string, time.Duration, error) {
		return "secret", time.Hour, nil
	}

	fetchToken := func(ctx context.Context, scope string) (string, error) {
		token, lifetime, err := requestToken(ctx, scope)
		memo.SetTTL(ctx, lifetime-time.Minute)
		return token, err
	}

	tokens := memo.New(fetchToken)
	tokens.Call(ctx, "read")
	e, _ := tokens.Peek(ctx, "read")
	fmt.Println(e.FreshUntil.Sub(e.Created))
	// Output: 59m0s
}

func Example_errors() {
	errNoUser := errors.New("no such user")
	loadUser := func(_ context.Context, id int) (string, error) {
		fmt.Println("loading", id)
		return "", errNoUser
	}

	users := memo.New(loadUser,
		memo.CacheErrors(5*time.Second, func(err error) bool { return errors.Is(err, errNoUser) }))

	for range 2 {
		_, err := users.Call(context.Background(), 42)
		fmt.Println(err == errNoUser)
	}
	// Output:
	// loading 42
	// true
	// true
}

func Example_invalidation() {
	ctx := context.Background()
	accounts := memo.NewGroup("accounts")
	users := memo.New(func(ctx context.Context, id int) (string, error) {
		memo.AddTags(ctx, "team:7")
		return fmt.Sprint("user ", id), nil
	}, accounts)

	err := users.Invalidate(ctx, 42)             // one result
	err = users.Clear(ctx)                       // all results of a function
	err = accounts.InvalidateTags(ctx, "team:7") // those with a tag, in all functions of a group
	err = memo.InvalidateTags(ctx, "team:7")     // those with a tag, in all groups
	err = accounts.Clear(ctx)                    // all results of a group

	fmt.Println(err)
	// Output: <nil>
}

func Example_resultsMadeOfResults() {
	ctx := context.Background()
	names := map[int]string{42: "Ann"}
	accounts := memo.NewGroup("accounts")

	users := memo.New(func(ctx context.Context, id int) (string, error) {
		memo.AddTags(ctx, fmt.Sprint("user:", id))
		return names[id], nil
	}, accounts)

	greeting := memo.New(func(ctx context.Context, id int) (string, error) {
		name, err := users.Call(ctx, id)
		return "Hello, " + name, err
	}, accounts)

	fmt.Println(greeting.Call(ctx, 42))

	var err error
	names[42] = "Anna"
	err = accounts.InvalidateTags(ctx, "user:42") // the user, and the greeting

	fmt.Println(err)
	fmt.Println(greeting.Call(ctx, 42))
	// Output:
	// Hello, Ann <nil>
	// <nil>
	// Hello, Anna <nil>
}

func Example_sharing() {
	ctx := context.Background()
	loadSettings := func(context.Context, string) (map[string]string, error) {
		return map[string]string{"theme": "dark"}, nil
	}

	settings := memo.New(loadSettings, memo.Clone(maps.Clone[map[string]string]))

	mine, _ := settings.Call(ctx, "ann")
	mine["theme"] = "light"
	fmt.Println(settings.Call(ctx, "ann"))
	// Output: map[theme:dark] <nil>
}

func Example_tier() {
	ctx := context.Background()
	makeThumbnail := func(_ context.Context, file string) ([]byte, error) { return make([]byte, 1000), nil }

	thumbnails := memo.New(makeThumbnail, memo.LocalBytes(64<<20), memo.TTL(memo.Forever))

	thumbnails.Call(ctx, "a.jpg")
	thumbnails.Call(ctx, "b.jpg")
	s := thumbnails.Stats()
	fmt.Println(s.Entries, "thumbnails in less than 64 MiB:", s.Bytes < 64<<20)
	// Output: 2 thumbnails in less than 64 MiB: true
}

func Example_stats() {
	ctx := context.Background()
	forecast := memo.New(func(context.Context, string) (string, error) { return "rain", nil })
	forecast.Call(ctx, "Oslo")
	forecast.Call(ctx, "Oslo")

	s := forecast.Stats()
	fmt.Println(s.Hits, s.Misses, s.Joined, s.Executions)
	// Output: 1 1 0 1
}

func Example_funcs() {
	accounts := memo.NewGroup("accounts", memo.TTL(5*time.Minute))
	users := memo.New(func(_ context.Context, id int) (string, error) { return "Ann", nil }, accounts, memo.Name("users"))
	users.Call(context.Background(), 42)
	users.Call(context.Background(), 42)

	for _, f := range accounts.Funcs() {
		fmt.Println(f.Name, f.Options, f.Stats.Hits)
	}
	runtime.KeepAlive(users) // package-level variables need no such thing
	// Output: users [TTL 5m0s LoadTimeout 30s Local 10000] 1
}

func Example_levels() {
	defer memo.SetDefault()
	ctx := context.Background()
	loadUser := func(_ context.Context, id int) (string, error) { return "Ann", nil }

	memo.SetDefault(memo.LoadTimeout(5 * time.Second))
	accounts := memo.NewGroup("accounts", memo.TTL(5*time.Minute))
	users := memo.New(loadUser, accounts, memo.Local(1000))
	u, err := users.With(memo.TTL(10*time.Second)).Call(ctx, 42) // nothing older than ten seconds

	fmt.Println(u, err)

	fetchForecast := func(_ context.Context, city string) (string, error) { return "rain", nil }
	patient := memo.Options{memo.TTL(time.Hour), memo.StaleIfError(24 * time.Hour)}
	forecast := memo.New(fetchForecast, patient, memo.Jitter(0.1))
	fmt.Println(forecast.Call(ctx, "Oslo"))
	// Output:
	// Ann <nil>
	// rain <nil>
}

// A client connects when it is used, which nothing here does.
func Example_oneCacheForAFleet() {
	loadUser := func(_ context.Context, id int) (string, error) { return "Ann", nil }

	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	shared := redisstore.New(client, nil)
	users := memo.New(loadUser, memo.Store(shared), memo.Name("users.byID"), memo.Prefix("shop"))

	defer client.Close()
	key, err := users.Key(42)
	fmt.Println(strings.HasPrefix(key, "shop:users.byID:"), err)
	// Output: true <nil>
}

func Example_manyKeysAtOnce() {
	ctx := context.Background()
	selectNames := func(_ context.Context, ids []int) (map[int]string, error) {
		return map[int]string{1: "Ann", 3: "Eve"}, nil
	}

	names := memo.NewBatch(selectNames, memo.MaxBatch(500), memo.CacheMissing(time.Minute))
	found, err := names.Call(ctx, []int{1, 2, 3})

	fmt.Println(found, err)
	// Output: map[1:Ann 3:Eve] <nil>
}

func Example_disabled() {
	defer memo.SetDefault()

	memo.SetDefault(memo.Disabled(true))

	count := 0
	next := memo.Wrap0(func(context.Context) (int, error) { count++; return count, nil })
	fmt.Println(next(context.Background()))
	fmt.Println(next(context.Background()))
	// Output:
	// 1 <nil>
	// 2 <nil>
}

func Example_onePastTheCache() {
	ctx := context.Background()
	users := memo.New(func(_ context.Context, id int) (string, error) { return "Ann", nil })

	u, err := users.Call(memo.WithBypass(ctx), 42)

	fmt.Println(u, err, users.Stats().Entries)
	// Output: Ann <nil> 0
}

func TestForecastIsFetchedAgainAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetched := 0
		forecast := memo.Wrap(func(context.Context, string) (string, error) {
			fetched++
			return "rain", nil
		}, memo.TTL(time.Hour))

		forecast(t.Context(), "Oslo")
		time.Sleep(time.Hour)
		forecast(t.Context(), "Oslo")
		if fetched != 2 {
			t.Errorf("fetched %d times, want 2", fetched)
		}
	})
}
