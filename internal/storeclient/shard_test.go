package storeclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0226adef/memo/internal/faultstore"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memstore"
)

// A sharded store has as many servers as there are first letters of keys.
type sharded struct{ *faultstore.Store }

func (sharded) Shard(key string) string { return key[:1] }

var errDown = errors.New("down")

// newSharded returns a client of a sharded store that holds keys, each as its own value,
// and the store.
func newSharded(t *testing.T, keys ...string) (*Client, *faultstore.Store) {
	inner := memstore.New(nil)
	for _, key := range keys {
		if err := inner.Set(t.Context(), key, valueOf(key), 0); err != nil {
			t.Fatal(err)
		}
	}
	f := faultstore.New(inner)
	return New(sharded{f}), f
}

func valueOf(key string) []byte { return []byte(fmt.Sprintf("%-16s", key)) }

// giveUpOn makes the client find out that the shard of key fails.
func giveUpOn(t *testing.T, c *Client, key string) {
	t.Helper()
	for range tripAfter {
		if _, err := c.Get(t.Context(), DeadlineIn(DefaultTimeout), []string{key}); err == nil {
			t.Fatalf("Get(%q) succeeds", key)
		}
	}
}

func TestAShardThatIsDownCostsItsOwnKeysOnly(t *testing.T) {
	for name, fault := range map[string]faultstore.Fault{"it fails": faultstore.Fail(errDown), "it hangs": faultstore.Hang} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := newSharded(t, "a1", "a2", "b1", "b2", "c1")
				f.Before(faultstore.All, faultstore.Keys("a", fault))
				giveUpOn(t, c, "a1")
				began := time.Now()
				keys := []string{"b1", "a1", "c1", "a2", "b2", "c9"}
				values, err := c.Get(t.Context(), DeadlineIn(DefaultTimeout), keys)
				for i, key := range keys {
					there := key[0] != 'a' && key != "c9"
					if there != bytes.Equal(values[i], valueOf(key)) || !there && values[i] != nil {
						t.Errorf("%s: Get returns %q", key, values[i])
					}
					if got := Concerns(err, key); got != (key[0] == 'a') {
						t.Errorf("%s: Concerns(%v) = %v", key, err, got)
					}
				}
				if !errors.Is(err, ErrOut) {
					t.Errorf("Get = %v, want ErrOut", err)
				}
				if err := c.Do(t.Context(), "b3", DefaultTimeout, func(ctx context.Context) error {
					return c.Store.Add(ctx, "b3", valueOf("b3"), 0)
				}); err != nil {
					t.Errorf("Add to another shard: %v", err)
				}
				err = c.Delete(t.Context(), DefaultTimeout, "a1", "b1", "c1")
				if !Concerns(err, "a1") || Concerns(err, "b1") || Concerns(err, "c1") {
					t.Errorf("Delete = %v, want an error that concerns a1 only", err)
				}
				if values, err := c.Get(t.Context(), DeadlineIn(DefaultTimeout), []string{"b1", "c1", "b3"}); err != nil || values[0] != nil || values[1] != nil || values[2] == nil {
					t.Errorf("after Delete: %q, %v", values, err)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A ping of the whole store would fail as long as any shard is down.
func TestAShardThatAnswersAgainIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c, f := newSharded(t, "a1", "b1")
		c.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
		mendA := f.Before(faultstore.All, faultstore.Keys("a", faultstore.Fail(errDown)))
		f.Before(faultstore.All, faultstore.Keys("b", faultstore.Fail(errDown)))
		f.Before(faultstore.Ping, faultstore.Fail(errDown))
		giveUpOn(t, c, "a1")
		giveUpOn(t, c, "b1")
		mendA()
		time.Sleep(2 * probeAfter)
		synctest.Wait()
		if values, err := c.Get(t.Context(), DeadlineIn(DefaultTimeout), []string{"a1"}); err != nil || values[0] == nil {
			t.Errorf("the shard that is back: %q, %v", values, err)
		}
		if _, err := c.Get(t.Context(), DeadlineIn(DefaultTimeout), []string{"b1"}); !errors.Is(err, ErrOut) {
			t.Errorf("the other one: %v, want ErrOut", err)
		}
		for key, out := range map[string]bool{"a1": false, "b1": true} {
			if c.Out(key) != out || c.Outages(key) != 1 {
				t.Errorf("%s: Out = %v, Outages = %d, want %v and 1", key, c.Out(key), c.Outages(key), out)
			}
		}
		var got []string
		for line := range strings.Lines(log.String()) {
			_, message, _ := strings.Cut(line, "msg=")
			got = append(got, message[strings.LastIndex(message, " ")+1:len(message)-1], message[:strings.Index(message, ";")+1])
		}
		if want := []string{"shard=a", `"memo: a store does not answer;`, "shard=b", `"memo: a store does not answer;`, "shard=a", ""}; !slices.Equal(got, want) {
			t.Errorf("logged %q, want %q", got, want)
		}
	})
}

// An error of one key in one shard is no word about another shard's.
func TestARefusedKeyIsToldFromAShardThatFails(t *testing.T) {
	c, f := newSharded(t, "a1", "b1", "c1")
	f.Before(faultstore.All, faultstore.Keys("a", faultstore.Fail(errDown)))
	f.Before(faultstore.All, faultstore.Keys("b", faultstore.Fail(store.ErrRefused)))
	_, err := c.Get(t.Context(), DeadlineIn(DefaultTimeout), []string{"a1", "b1", "c1"})
	for key, want := range map[string]error{"a1": nil, "b1": store.ErrRefused, "c1": nil} {
		if got := RefusalOf(err, key); !errors.Is(got, want) {
			t.Errorf("RefusalOf(%s) = %v, want %v", key, got, want)
		}
	}
	if !Concerns(err, "a1") || !Concerns(err, "b1") || Concerns(err, "c1") {
		t.Errorf("Concerns is wrong of %v", err)
	}
}

// What is to be said of a shard waits for that shard: that others answer tells nothing of it.
func TestWhatIsSaidOfAShardWaitsForThatShard(t *testing.T) {
	c, f := newSharded(t, "a1", "b1")
	var said []string
	for _, key := range []string{"a1", "b1"} {
		c.Suspend(key, func() { said = append(said, key) })
	}
	f.Before(faultstore.All, faultstore.Keys("a", faultstore.Fail(errDown)))
	for _, key := range []string{"b1", "a1"} {
		_, _ = c.Get(t.Context(), DeadlineIn(DefaultTimeout), []string{key})
	}
	if !slices.Equal(said, []string{"b1"}) {
		t.Errorf("%q were said, want b1 only", said)
	}
}
