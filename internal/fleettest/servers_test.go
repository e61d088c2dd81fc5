package fleettest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/dynamostore"
	"github.com/seed-0226adef/memo/store/memcachestore"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// servers start one server of each kind that a fleet can share, and return its
// address for open.
var servers = map[string]func(testing.TB) (addr string){
	"redis":     func(t testing.TB) string { return testserver.RedisTCP(t).Addr },
	"memcached": func(t testing.TB) string { return testserver.MemcachedTCP(t).Addr },
	"dynamodb": func(t testing.TB) string {
		endpoint := testserver.Dynalite(t)
		wire := testserver.NewWire(t)
		if err := dynamostore.CreateTable(t.Context(), dynamoClient(endpoint, wire), table, nil); err != nil {
			t.Fatal(err)
		}
		return endpoint
	},
}

const table = "cache"

// open connects to a server of that kind. It is never closed: the process that has
// called it ends.
func open(kind, addr string) (store.Store, error) {
	switch kind {
	case "redis":
		return redisstore.New(redis.NewClient(&redis.Options{Addr: addr}), nil), nil
	case "memcached":
		client := memcache.New(addr)
		client.Timeout = patience
		return memcachestore.New(client, nil), nil
	case "dynamodb":
		return dynamostore.New(dynamoClient(addr, http.DefaultTransport), table, nil), nil
	}
	return nil, fmt.Errorf("there is no kind %q", kind)
}

func dynamoClient(endpoint string, transport http.RoundTripper) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient:   &http.Client{Transport: transport},
	})
}

// patience is how long something may take on a machine that is busy with other things,
// where no more than that it happens is promised.
const patience = 20 * time.Second

// onEveryServer runs test in parallel on a server of each kind.
func onEveryServer(t *testing.T, test func(t *testing.T, kind, addr string)) {
	for kind, start := range servers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, kind, start(t))
		})
	}
}

// eventually polls done until it holds, and fails the test when limit has passed.
func eventually(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
