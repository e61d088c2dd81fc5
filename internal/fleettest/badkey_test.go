package fleettest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/dynamostore"
	"github.com/seed-0226adef/memo/store/redisstore"
)

// badKeys are servers with something that is wrong with one key, by what that is: a store
// on each, and what makes a key bad.
var badKeys = map[string]func(*testing.T) (s store.Store, spoil func(key string)){
	"redis/another type": func(t *testing.T) (store.Store, func(string)) {
		server := testserver.RedisTCP(t)
		return redisOf(t, server.Addr), func(key string) { do(t, server, "RPUSH", key, "x") }
	},
	"redis/no permission": func(t *testing.T) (store.Store, func(string)) {
		server := testserver.RedisTCP(t)
		// Everything but the function "bad", whose keys begin with ":bad:".
		do(t, server, "ACL", "SETUSER", "app", "on", ">pw", "+@all", "&*", "~::*", "~:good*", "~:batch:*14", "~:batch:*15")
		client := redis.NewClient(&redis.Options{Addr: server.Addr, ReadTimeout: 2 * budget, Username: "app", Password: "pw"})
		t.Cleanup(func() { client.Close() })
		return stoppedWith(t, redisstore.New(client, nil)), func(string) {}
	},
	"redis cluster/another type": func(t *testing.T) (store.Store, func(string)) {
		o := &redis.ClusterOptions{ReadTimeout: 2 * budget}
		for _, node := range testserver.RedisCluster(t) {
			o.Addrs = append(o.Addrs, node.Addr)
		}
		client := redis.NewClusterClient(o)
		t.Cleanup(func() { client.Close() })
		return stoppedWith(t, redisstore.New(client, nil)), func(key string) {
			if err := client.RPush(t.Context(), key, "x").Err(); err != nil {
				t.Fatal(err)
			}
		}
	},
	"dynamodb/another program's": func(t *testing.T) (store.Store, func(string)) {
		client := dynamoClient(servers["dynamodb"](t), testserver.NewWire(t))
		return dynamostore.New(client, table, nil), func(key string) {
			name := table
			if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
				"key": &types.AttributeValueMemberS{Value: key}, "value": &types.AttributeValueMemberS{Value: "text"},
			}}); err != nil {
				t.Fatal(err)
			}
		}
	},
	"dynamodb/no permission": func(t *testing.T) (store.Store, func(string)) {
		wire := testserver.NewWire(t)
		client := dynamoClient(servers["dynamodb"](t), wire)
		return dynamostore.New(client, table, nil), func(key string) { wire.Always(denied(key)) }
	},
}

// denied answers every request that names key as DynamoDB does where a condition on leading
// keys does not hold.
func denied(key string) testserver.Fault {
	return func(r *http.Request, send testserver.Send) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !bytes.Contains(body, []byte(key)) {
			return send(r)
		}
		const answer = `{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","Message":"User is not authorized to perform this on the resource"}`
		return &http.Response{
			StatusCode: http.StatusBadRequest, Request: r, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
			ContentLength: int64(len(answer)), Body: io.NopCloser(strings.NewReader(answer)),
		}, nil
	}
}

func do(t testing.TB, server *testserver.RedisServer, words ...string) {
	t.Helper()
	if _, err := server.Do(words...); err != nil {
		t.Fatal(err)
	}
}

// Three calls for such a key opened the breaker, and every function of the process went on
// without the store.
func TestOneBadKeyTakesTheStoreFromNobody(t *testing.T) {
	t.Parallel()
	for name, newServer := range badKeys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, spoil := newServer(t)
			j := newJournal()
			options := memo.Options{memo.Store(s), memo.StoreTimeout(patience), memo.NoLocal(), memo.Logger(slog.New(j))}
			bad := memo.New(double, options, memo.Name("bad"))
			good := memo.New(double, options, memo.Name("good"))
			var runs atomic.Int64
			batch := memo.NewBatch(func(_ context.Context, ns []int) (map[int]int, error) {
				all := map[int]int{}
				for _, n := range ns {
					runs.Add(1)
					all[n] = 2 * n
				}
				return all, nil
			}, options, memo.Name("batch"))

			key, err := bad.Key(13)
			if err != nil {
				t.Fatal(err)
			}
			spoil(key)
			began := time.Now()
			for i := range 12 {
				for f, n := range map[*memo.Func[int, int]]int{bad: 13, good: i / 2} {
					if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
						t.Errorf("got %d, %v", got, err)
					}
				}
			}
			if took := time.Since(began); took > lease {
				t.Errorf("24 calls took %v: somebody waited for a lease", took)
			}
			if got := good.Stats(); got.SharedHits != 6 || got.Executions != 6 || got.StoreErrors != 0 {
				t.Errorf("another function: %+v, want 6 executions, 6 hits in the store, and no error", got)
			}
			if got := bad.Stats().Executions; got != 12 {
				t.Errorf("%d executions for the bad key, want one a call", got)
			}

			if key, err = batch.Key(13); err != nil {
				t.Fatal(err)
			}
			spoil(key)
			for range 2 {
				if got, err := batch.Call(t.Context(), []int{13, 14, 15}); len(got) != 3 || err != nil {
					t.Errorf("a batch returned %v, %v", got, err)
				}
			}
			if got := runs.Load(); got != 4 {
				t.Errorf("%d executions by two batches of three keys, want 3 and one for the bad key", got)
			}
			for _, line := range strings.Split(j.String(), "\n") {
				if !strings.HasPrefix(line, "WARN memo: the store refuses a key") && !strings.HasPrefix(line, "WARN memo: a result cannot be stored") {
					t.Errorf("this is logged: %s", line)
				}
			}
			if n := strings.Count(j.String(), "\n") + 1; n != 2 {
				t.Errorf("it is logged %d times, want once by each function:\n%s", n, j)
			}
		})
	}
}

// readOnly are ways in which a server refuses writes and goes on answering reads. refuse
// makes it do so.
var readOnly = map[string]func(*testing.T) (s store.Store, refuse func()){
	"redis that is full": func(t *testing.T) (store.Store, func()) {
		server := testserver.RedisTCP(t)
		return redisOf(t, server.Addr), func() { do(t, server, "CONFIG", "SET", "maxmemory", "1") }
	},
	"redis that is a replica": func(t *testing.T) (store.Store, func()) {
		server := testserver.RedisTCP(t, "--replica-serve-stale-data", "yes")
		return redisOf(t, server.Addr), func() { do(t, server, "REPLICAOF", "127.0.0.1", "1") }
	},
	"redis without permission": func(t *testing.T) (store.Store, func()) {
		server := testserver.RedisTCP(t)
		return redisOf(t, server.Addr), func() { do(t, server, "ACL", "SETUSER", "default", "-@write") }
	},
	"redis without replicas": func(t *testing.T) (store.Store, func()) {
		server := testserver.RedisTCP(t)
		return redisOf(t, server.Addr), func() { do(t, server, "CONFIG", "SET", "min-replicas-to-write", "1") }
	},
	"memcached that is full": func(t *testing.T) (store.Store, func()) {
		p := testserver.NewMemcachedProxy(t, testserver.MemcachedTCP(t))
		return memcachedOf(t, p.Addr), func() { p.Answer(testserver.MemcachedFull) }
	},
}

// The breaker opened, and what was in the store was of no use; or nothing said that no
// result reached it.
func TestServerThatRefusesWritesIsReadAndSaidTo(t *testing.T) {
	t.Parallel()
	for name, newServer := range readOnly {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, refuse := newServer(t)
			j := newJournal()
			options := memo.Options{memo.Store(s), memo.StoreTimeout(patience), memo.NoLocal(), memo.Logger(slog.New(j))}
			f := memo.New(double, options, memo.Name("f"))
			if _, err := f.Call(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			refuse()
			began := time.Now()
			for i := range 12 {
				for _, n := range []int{1, 100 + i/4} {
					if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
						t.Errorf("got %d, %v", got, err)
					}
				}
			}
			if took := time.Since(began); took > lease {
				t.Errorf("24 calls took %v: somebody waited for a lease", took)
			}
			if got := f.Stats(); got.SharedHits != 12 || got.Executions != 13 {
				t.Errorf("%d hits in the store and %d executions, want 12 and 13", got.SharedHits, got.Executions)
			}
			const line = "WARN memo: a store refuses writes; its functions go on reading it, and keep what they make in this process"
			if got := j.String(); got != line {
				t.Errorf("this is logged:\n%s\nwant\n%s", got, line)
			}
		})
	}
}
