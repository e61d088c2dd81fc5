package redisstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/redisstore"
)

func TestWrongArgumentsPanicWithASentence(t *testing.T) {
	caching := clientOf(t, &redis.Options{Protocol: 3, ClientSideCacheConfig: &redis.ClientSideCacheConfig{MaxEntries: 10}})
	replicas := func(o *redis.ClusterOptions) redis.UniversalClient {
		o.Addrs = []string{"127.0.0.1:1"}
		c := redis.NewClusterClient(o)
		t.Cleanup(func() { c.Close() })
		return c
	}
	for _, test := range []struct {
		name    string
		client  redis.UniversalClient
		options *redisstore.Options
		want    string
	}{
		{"nil client", nil, nil, "the client is nil; give New a client"},
		{"nil *Client", (*redis.Client)(nil), nil, "the client is nil; give New a client"},
		{"nil *ClusterClient", (*redis.ClusterClient)(nil), nil, "the client is nil; give New a client"},
		{"nil *Ring", (*redis.Ring)(nil), nil, "the client is nil; give New a client"},
		{"nil *AutoPipeliner", (*redis.AutoPipeliner)(nil), nil, "the client is nil; give New a client"},
		{"negative limit", clientOf(t, &redis.Options{}), &redisstore.Options{MaxValue: -1}, "Options.MaxValue is -1; give a positive number, or 0 for 536870912"},
		{"client-side cache", caching, nil, "give New a client without ClientSideCache"},
		{"ReadOnly", replicas(&redis.ClusterOptions{ReadOnly: true}), nil, "reads from replicas"},
		{"RouteByLatency", replicas(&redis.ClusterOptions{RouteByLatency: true}), nil, "reads from replicas"},
		{"RouteRandomly", replicas(&redis.ClusterOptions{RouteRandomly: true}), nil, "reads from replicas"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				got := fmt.Sprint(recover())
				if !strings.HasPrefix(got, "memo: redisstore: ") || !strings.Contains(got, test.want) {
					t.Errorf("New panicked with %q, want %q in it", got, test.want)
				}
			}()
			redisstore.New(test.client, test.options)
		})
	}
}

// Nothing listens where the client points: what is refused is refused before the wire.
func TestRefusedArgumentsDoNotReachTheServer(t *testing.T) {
	s := redisstore.New(clientOf(t, &redis.Options{Addr: "127.0.0.1:1", DialerRetries: 1, MaxRetries: -1}),
		&redisstore.Options{MaxValue: 100})
	fits, long := make([]byte, 100), make([]byte, 101)
	ctx := t.Context()
	_, get := s.Get(ctx, "")
	_, many := s.GetMulti(ctx, []string{""})
	for name, err := range map[string]error{
		"Get of the empty key":         get,
		"GetMulti of the empty key":    many,
		"Set of the empty key":         s.Set(ctx, "", fits, 0),
		"Delete with an empty key":     s.Delete(ctx, "k", ""),
		"Set of a long value":          s.Set(ctx, "k", long, 0),
		"Add of a long value":          s.Add(ctx, "k", long, 0),
		"Swap of a long value":         s.Swap(ctx, "k", store.Token{}, long, 0),
		"Set with a negative ttl":      s.Set(ctx, "k", fits, -1),
		"Add with a negative ttl":      s.Add(ctx, "k", fits, -time.Hour),
		"Swap with a negative ttl":     s.Swap(ctx, "k", store.Token{}, fits, -1),
		"Set with everything negative": s.Set(ctx, "", long, -1),
	} {
		if !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s = %v, want an error wrapping ErrRefused", name, err)
		}
	}
	if err := s.Set(ctx, "k", fits, 0); err == nil || errors.Is(err, store.ErrRefused) {
		t.Errorf("Set of the longest value without a server = %v, want an error of the connection", err)
	}
}

// Only the lengths are looked at, so the half gigabytes take no memory.
func TestLongestKeyAndValueAreThoseOfTheConstants(t *testing.T) {
	s := redisstore.New(clientOf(t, &redis.Options{Addr: "127.0.0.1:1", DialerRetries: 1, MaxRetries: -1}), nil)
	long := make([]byte, max(redisstore.MaxKeyLen, redisstore.MaxValue)+1)
	key := unsafe.String(&long[0], redisstore.MaxKeyLen+1)
	ctx := t.Context()
	_, get := s.Get(ctx, key)
	for name, err := range map[string]error{
		"Get of a long key":    get,
		"Set of a long key":    s.Set(ctx, key, nil, 0),
		"Delete of a long key": s.Delete(ctx, key),
		"Set of a long value":  s.Set(ctx, "k", long[:redisstore.MaxValue+1], 0),
	} {
		if !errors.Is(err, store.ErrRefused) || !strings.Contains(err.Error(), "is 536870913 bytes") {
			t.Errorf("%s = %v, want an error wrapping ErrRefused that names the length", name, err)
		}
	}
}

func TestRefusedKeyLeavesGetMultiTheOthers(t *testing.T) {
	s := redisstore.New(client(t, testserver.Redis(t)), nil)
	if err := s.Set(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	found, err := s.GetMulti(t.Context(), []string{"", "k"})
	if !errors.Is(err, store.ErrRefused) {
		t.Errorf("GetMulti = %v, want an error wrapping ErrRefused", err)
	}
	if diff := cmp.Diff(map[string][]byte{"k": []byte("v")}, found); diff != "" {
		t.Errorf("GetMulti (-want +got):\n%s", diff)
	}
}

func TestLargeValuesComeBackWhole(t *testing.T) {
	s := redisstore.New(client(t, testserver.Redis(t)), nil)
	value := []byte(strings.Repeat("0123456789abcdef", 1<<20)) // 16 MiB
	if err := s.Set(t.Context(), "k", value, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(t.Context(), "k", store.Token(value), append(value, '!'), time.Hour); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "k")
	if err != nil || string(got) != string(value)+"!" {
		t.Errorf("Get = %d bytes, %v, want the %d that were written", len(got), err, len(value)+1)
	}
}

func TestManyKeysTakeSeveralCommands(t *testing.T) {
	for _, way := range []string{"unix", "ring"} {
		t.Run(way, func(t *testing.T) {
			s := ways[way](t)(t)
			want := map[string][]byte{}
			var keys []string
			for i := range 2500 {
				key := fmt.Sprint("k", i)
				keys = append(keys, key)
				if i%500 == 0 {
					want[key] = []byte(key)
					if err := s.Set(t.Context(), key, want[key], 0); err != nil {
						t.Fatal(err)
					}
				}
			}
			got, err := store.GetMulti(t.Context(), s, keys)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("GetMulti = %v (-want +got):\n%s", err, diff)
			}
			if err := s.Delete(t.Context(), keys...); err != nil {
				t.Errorf("Delete = %v", err)
			}
			if got, err := store.GetMulti(t.Context(), s, keys); err != nil || len(got) > 0 {
				t.Errorf("after Delete, GetMulti = %v, %v, want nothing", got, err)
			}
		})
	}
}
