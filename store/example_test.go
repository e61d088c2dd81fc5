package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

func ExampleStore() {
	ctx := context.Background()
	var s store.Store = memstore.New(nil) // or any other

	token := store.NewToken()
	if err := s.Set(ctx, "users:42", append(token[:], "Ada"...), time.Minute); err != nil {
		fmt.Println(err)
	}
	value, err := s.Get(ctx, "users:42")
	fmt.Printf("%s %v\n", value[store.TokenSize:], err)

	if err := s.Delete(ctx, "users:42", "users:43"); err != nil {
		fmt.Println(err)
	}
	_, err = s.Get(ctx, "users:42")
	fmt.Println(errors.Is(err, store.ErrNotFound))
	// Output:
	// Ada <nil>
	// true
}

// Two processes want the same result. One gets to compute it, and may store it only
// while nobody has deleted the key.
func ExampleStore_lease() {
	ctx := context.Background()
	s := memstore.New(nil)

	mine, theirs := store.NewToken(), store.NewToken()
	fmt.Println("mine:  ", s.Add(ctx, "users:42", mine[:], 10*time.Second))
	fmt.Println("theirs:", s.Add(ctx, "users:42", theirs[:], 10*time.Second))

	result := store.NewToken()
	fmt.Println("store: ", s.Swap(ctx, "users:42", mine, append(result[:], "Ada"...), time.Minute))

	// The result is invalidated, and a slow process comes with what it found before.
	fmt.Println("delete:", s.Delete(ctx, "users:42"))
	late := store.NewToken()
	fmt.Println("late:  ", s.Swap(ctx, "users:42", mine, append(late[:], "Ada"...), time.Minute))
	// Output:
	// mine:   <nil>
	// theirs: memo: store: a value is already under the key
	// store:  <nil>
	// delete: <nil>
	// late:   memo: store: the value under the key is another one
}

func ExampleNewToken() {
	token := store.NewToken()
	value := append(token[:], "payload"...)
	fmt.Println(len(value), token != store.NewToken())
	// Output: 23 true
}

func ExampleTokenOf() {
	token, ok := store.TokenOf([]byte("0123456789abcdefpayload"))
	fmt.Printf("%s %t\n", token, ok)

	_, ok = store.TokenOf([]byte("too short"))
	fmt.Println(ok)
	// Output:
	// 0123456789abcdef true
	// false
}

func ExampleToken() {
	token := store.NewToken()
	same, _ := store.TokenOf(append(token[:], "payload"...))
	fmt.Println(token == same)
	// Output: true
}

func ExampleGetMulti() {
	ctx := context.Background()
	s := memstore.New(nil)
	if err := s.Set(ctx, "users:1", []byte("0123456789abcdefAda"), 0); err != nil {
		fmt.Println(err)
	}

	found, err := store.GetMulti(ctx, s, []string{"users:1", "users:2"})
	if err != nil {
		fmt.Println(err) // and go on with what was found
	}
	for key, value := range found {
		fmt.Printf("%s %s\n", key, value[store.TokenSize:])
	}
	// Output: users:1 Ada
}

// A fenced store refuses keys that do not begin with its prefix.
type fenced struct {
	store.Store
	prefix string
}

func (f fenced) Delete(ctx context.Context, keys ...string) error {
	var errs store.KeyErrors
	for _, key := range keys {
		if strings.HasPrefix(key, f.prefix) {
			errs.Add(key, f.Store.Delete(ctx, key))
		} else {
			errs.Add(key, fmt.Errorf("%w: not in %s", store.ErrRefused, f.prefix))
		}
	}
	return errs.Err()
}

func ExampleKeysError() {
	s := fenced{memstore.New(nil), "users:"}
	err := s.Delete(context.Background(), "users:42", "pages:1", "pages:2")

	var refused *store.KeysError
	if errors.As(err, &refused) {
		fmt.Println("still there:", slices.Sorted(maps.Keys(refused.Errs)))
	}
	fmt.Println(err)
	// Output:
	// still there: [pages:1 pages:2]
	// memo: store: refused: not in users: (key "pages:1", and 1 more)
}

func ExampleKeyErrors() {
	var errs store.KeyErrors
	errs.Add("a", nil)
	errs.Add("b", store.ErrNotFound) // an answer, not an error
	errs.Add("c", fmt.Errorf("%w: a list", store.ErrRefused))
	fmt.Println(errs.Err())

	// What may concern every key hides what concerns one.
	errs.Fail(errors.New("the connection is lost"))
	fmt.Println(errs.Err())
	// Output:
	// memo: store: refused: a list (key "c")
	// the connection is lost
}

// A replica store answers reads and refuses writes.
type replica struct{ store.Store }

func (replica) Set(context.Context, string, []byte, time.Duration) error {
	return fmt.Errorf("%w: this is a replica", store.ErrReadOnly)
}

func ExampleErrReadOnly() {
	ctx := context.Background()
	s := replica{memstore.New(nil)}

	token := store.NewToken()
	err := s.Set(ctx, "users:42", append(token[:], "Ada"...), time.Minute)
	if errors.Is(err, store.ErrReadOnly) {
		fmt.Println("write later, read on:", err)
	}
	_, err = s.Get(ctx, "users:42")
	fmt.Println(err)
	// Output:
	// write later, read on: memo: store: the server refuses writes: this is a replica
	// memo: store: no value under the key
}

func ExamplePing() {
	fmt.Println(store.Ping(context.Background(), memstore.New(nil)))
	// Output: <nil>
}

// A copies keeps what was read, as long as it is sure to hear of changes.
type copies struct {
	up atomic.Bool
}

func (c *copies) Changed(keys []string) {
	for _, key := range keys {
		fmt.Println("drop", key)
	}
}

func (c *copies) Suspect()   { fmt.Println("drop everything") }
func (c *copies) Up(up bool) { c.up.Store(up); fmt.Println("up:", up) }

func ExampleNotify() {
	ctx := context.Background()
	s := memstore.New(nil)

	stop, err := store.Notify(ctx, s, "users:", new(copies))
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("bound the age of copies instead")
		return
	}
	defer stop()
	if err := s.Delete(ctx, "users:42", "pages:7"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// up: true
	// drop users:42
}

// A counting store counts requests. By calling the functions it keeps every ability
// of the store inside, and gets the fallbacks where that has none.
type counting struct {
	store.Store
	requests atomic.Int64
}

func (c *counting) Get(ctx context.Context, key string) ([]byte, error) {
	c.requests.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counting) GetMulti(ctx context.Context, keys []string) (map[string][]byte, error) {
	c.requests.Add(1)
	return store.GetMulti(ctx, c.Store, keys)
}

func (c *counting) Ping(ctx context.Context) error {
	c.requests.Add(1)
	return store.Ping(ctx, c.Store)
}

func (c *counting) Notify(ctx context.Context, prefix string, sink store.Sink) (stop func(), err error) {
	return store.Notify(ctx, c.Store, prefix, sink)
}

func ExampleMultiGetter() {
	var s store.MultiGetter = &counting{Store: memstore.New(nil)}
	_, err := store.GetMulti(context.Background(), s, []string{"a", "b", "c"})
	fmt.Println(s.(*counting).requests.Load(), err)
	// Output: 1 <nil>
}

func ExamplePinger() {
	var s store.Pinger = &counting{Store: memstore.New(nil)}
	err := store.Ping(context.Background(), s)
	fmt.Println(s.(*counting).requests.Load(), err)
	// Output: 1 <nil>
}

func ExampleNotifier() {
	var s store.Notifier = &counting{Store: memstore.New(nil)}
	_, err := store.Notify(context.Background(), s, "", new(copies))
	fmt.Println(err)
	// Output:
	// up: true
	// <nil>
}

func ExampleSink() {
	var sink store.Sink = new(copies)
	sink.Up(false)
	sink.Suspect()
	sink.Up(true)
	// Output:
	// up: false
	// drop everything
	// up: true
}
