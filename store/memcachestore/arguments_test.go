package memcachestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/memcachestore"
)

func TestWrongArgumentsPanicWithASentence(t *testing.T) {
	for _, test := range []struct {
		name    string
		client  *memcache.Client
		options *memcachestore.Options
		want    string
	}{
		{"nil client", nil, nil, "memo: memcachestore: the client is nil; give New a client, for instance from memcache.New"},
		{"negative limit", memcache.New(), &memcachestore.Options{MaxValue: -1}, "memo: memcachestore: Options.MaxValue is -1; give a positive number, or 0 for 1048064"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); got != test.want {
					t.Errorf("New panicked with %q, want %q", got, test.want)
				}
			}()
			memcachestore.New(test.client, test.options)
		})
	}
}

// The client has no servers: what is refused is refused before it looks for one.
func TestRefusedArgumentsDoNotReachTheServer(t *testing.T) {
	s := memcachestore.New(memcache.New(), &memcachestore.Options{MaxValue: 100})
	ctx := t.Context()
	fits, long := make([]byte, 100), make([]byte, 101)
	refused := map[string]error{
		"Set of a long value":      s.Set(ctx, "k", long, 0),
		"Add of a long value":      s.Add(ctx, "k", long, 0),
		"Swap of a long value":     s.Swap(ctx, "k", store.Token{}, long, 0),
		"Set with a negative ttl":  s.Set(ctx, "k", fits, -1),
		"Add with a negative ttl":  s.Add(ctx, "k", fits, -time.Hour),
		"Swap with a negative ttl": s.Swap(ctx, "k", store.Token{}, fits, math.MinInt64),
	}
	for _, key := range []string{"", strings.Repeat("x", 251), "a b", "a\r\nget k", "a\x00", "a\x7f"} {
		name := strconv.Quote(key)
		_, refused["Get of "+name] = s.Get(ctx, key)
		_, refused["GetMulti of "+name] = s.GetMulti(ctx, []string{key})
		refused["Set of "+name] = s.Set(ctx, key, fits, 0)
		refused["Add of "+name] = s.Add(ctx, key, fits, 0)
		refused["Swap of "+name] = s.Swap(ctx, key, store.Token{}, fits, 0)
		refused["Delete of "+name] = s.Delete(ctx, "k", key)
	}
	for name, err := range refused {
		if !errors.Is(err, store.ErrRefused) || errors.Is(err, memcache.ErrNoServers) {
			t.Errorf("%s = %v, want an error wrapping ErrRefused", name, err)
		}
	}
	for _, key := range []string{"k", strings.Repeat("x", 250), "caf\u00e9", "\xff"} {
		if err := s.Set(ctx, key, fits, 0); !errors.Is(err, memcache.ErrNoServers) {
			t.Errorf("Set of %q = %v, want an error wrapping ErrNoServers", key, err)
		}
	}
}

// A server would drop the old value.
func TestValueAboveTheLimitLeavesTheOldOne(t *testing.T) {
	s := memcachestore.New(client(t, testserver.Memcached(t)), nil)
	old := []byte("0123456789abcdef: old")
	set(t, s, "k", old)
	long := make([]byte, memcachestore.MaxValue+1)
	for name, err := range map[string]error{
		"Set":  s.Set(t.Context(), "k", long, 0),
		"Add":  s.Add(t.Context(), "k", long, 0),
		"Swap": s.Swap(t.Context(), "k", store.Token(old), long, 0),
	} {
		if !errors.Is(err, store.ErrRefused) || !strings.Contains(err.Error(), "1048065 bytes") {
			t.Errorf("%s = %v, want an error wrapping ErrRefused that names the length", name, err)
		}
	}
	if got, err := s.Get(t.Context(), "k"); err != nil || !bytes.Equal(got, old) {
		t.Errorf("Get = %q, %v, want the old value", got, err)
	}
}

func TestMaxValueIsTheServersLimitLessItemOverhead(t *testing.T) {
	key := strings.Repeat("k", memcachestore.MaxKeyLen)
	for flag, limit := range map[string]int{"512k": 512 << 10, "1m": 1 << 20, "4m": 4 << 20} {
		t.Run(flag, func(t *testing.T) {
			o := &memcachestore.Options{MaxValue: limit - memcachestore.ItemOverhead}
			s := memcachestore.New(client(t, testserver.Memcached(t, "-I", flag)), o)
			value := bytes.Repeat([]byte("v"), o.MaxValue)
			set(t, s, key, value)
			if got, err := s.Get(t.Context(), key); err != nil || !bytes.Equal(got, value) {
				t.Errorf("Get = %d bytes, %v, want the %d that were written", len(got), err, len(value))
			}
		})
	}
}

func TestValueThatOnlyTheServerRefusesIsRefused(t *testing.T) {
	s := memcachestore.New(client(t, testserver.Memcached(t, "-I", "512k")), nil)
	old := []byte("0123456789abcdef: old")
	long := make([]byte, memcachestore.MaxValue)
	set(t, s, "k", old)
	for _, write := range []struct {
		name string
		err  error
	}{
		{"Swap", s.Swap(t.Context(), "k", store.Token(old), long, 0)},
		{"Add", s.Add(t.Context(), "absent", long, 0)},
		{"Set", s.Set(t.Context(), "k", long, 0)},
	} {
		if !errors.Is(write.err, store.ErrRefused) || !strings.Contains(write.err.Error(), "MaxValue") {
			t.Errorf("%s = %v, want an error wrapping ErrRefused that says what to change", write.name, write.err)
		}
	}
	set(t, s, "k", old) // the store works on
}

func TestRefusedKeyLeavesGetMultiTheOthers(t *testing.T) {
	s := memcachestore.New(client(t, testserver.Memcached(t)), nil)
	set(t, s, "k", []byte("v"))
	found, err := s.GetMulti(t.Context(), []string{"", "k", "a b"})
	if !errors.Is(err, store.ErrRefused) {
		t.Errorf("GetMulti = %v, want an error wrapping ErrRefused", err)
	}
	if diff := cmp.Diff(map[string][]byte{"k": []byte("v")}, found); diff != "" {
		t.Errorf("GetMulti (-want +got):\n%s", diff)
	}
}

// The server is asked how long it will keep each value.
func TestServerUnderstandsTheTTL(t *testing.T) {
	const day = 24 * time.Hour
	server := testserver.Memcached(t)
	s := memcachestore.New(client(t, server), nil)
	for _, ttl := range []time.Duration{
		1, time.Second, time.Minute, 30*day - 3*time.Second, 30*day - 2*time.Second, 30*day - time.Second,
		30 * day, 30*day + 1, 30*day + time.Second, 31 * day, 10 * 365 * day,
	} {
		value := []byte("0123456789abcdef")
		set(t, s, "Swap:"+ttl.String(), value)
		for name, write := range map[string]func(key string) error{
			"Set":  func(key string) error { return s.Set(t.Context(), key, value, ttl) },
			"Add":  func(key string) error { return s.Add(t.Context(), key, value, ttl) },
			"Swap": func(key string) error { return s.Swap(t.Context(), key, store.Token(value), value, ttl) },
		} {
			key, start := name+":"+ttl.String(), time.Now()
			if err := write(key); err != nil {
				t.Fatalf("%s with a ttl of %v = %v", name, ttl, err)
			}
			got := remaining(t, server, key)
			if least := ttl - time.Since(start); got < least || got > ttl+10*time.Second {
				t.Errorf("%s with a ttl of %v: the server will keep the value for %v", name, ttl, got)
			}
		}
	}
	set(t, s, "never", []byte("v"))
	if got := remaining(t, server, "never"); got != -time.Second {
		t.Errorf("with a ttl of 0 the server will keep the value for %v, want -1s, which is for ever", got)
	}
}

func remaining(t *testing.T, server *testserver.MemcachedServer, key string) time.Duration {
	t.Helper()
	line, err := server.Do("mg " + key + " t")
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := strconv.Atoi(strings.TrimPrefix(line, "HD t"))
	if err != nil {
		t.Fatalf("mg %s t = %q", key, line)
	}
	return time.Duration(seconds) * time.Second
}

func TestManyKeysTakeSeveralRequests(t *testing.T) {
	for name, servers := range map[string][]*testserver.MemcachedServer{
		"one server": {testserver.Memcached(t)}, "three servers": threeServers(t),
	} {
		t.Run(name, func(t *testing.T) {
			s := memcachestore.New(client(t, servers...), nil)
			var keys []string
			want := map[string][]byte{}
			for i := range 2500 {
				key := fmt.Sprintf("%s-%d", strings.Repeat("k", 240), i)
				keys = append(keys, key)
				if i%100 == 0 {
					want[key] = []byte(key)
					set(t, s, key, want[key])
				}
			}
			got, err := s.GetMulti(t.Context(), keys)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("GetMulti = %v (-want +got):\n%s", err, diff)
			}
			if err := s.Delete(t.Context(), keys...); err != nil {
				t.Errorf("Delete = %v", err)
			}
			if got, err := s.GetMulti(t.Context(), keys); err != nil || len(got) > 0 {
				t.Errorf("after Delete, GetMulti = %d values, %v, want none", len(got), err)
			}
		})
	}
}

func TestGetMultiNamesAtMostAThousandKeysInARequest(t *testing.T) {
	f := newFake(t, func(command string) string {
		if n := len(strings.Fields(command)) - 1; n > 1000 {
			t.Errorf("a request names %d keys", n)
		}
		return "END\r\n"
	})
	var keys []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprint("k", i), fmt.Sprint("k", i))
	}
	if _, err := memcachestore.New(clientOf(t, f.addr), nil).GetMulti(t.Context(), keys); err != nil {
		t.Errorf("GetMulti = %v", err)
	}
	if got := f.count("gets"); got != 3 {
		t.Errorf("2500 different keys took %d requests, want 3", got)
	}
}

// Such a server would answer every cas with a conflict.
func TestSwapSaysWhenTheServerCountsNoVersions(t *testing.T) {
	s := memcachestore.New(client(t, testserver.Memcached(t, "-C")), nil)
	value := []byte("0123456789abcdef")
	set(t, s, "k", value)
	err := s.Swap(t.Context(), "k", store.Token(value), value, 0)
	if err == nil || errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "-C") {
		t.Errorf("Swap = %v, want an error that says -C", err)
	}
	if err := s.Swap(t.Context(), "k", store.Token{}, value, 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Swap of another token = %v, want ErrConflict", err)
	}
}

func set(t *testing.T, s *memcachestore.Store, key string, value []byte) {
	t.Helper()
	if err := s.Set(t.Context(), key, value, 0); err != nil {
		t.Fatalf("Set = %v", err)
	}
}
