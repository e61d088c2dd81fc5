package checker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/seed-0226adef/memo"
	"github.com/seed-0226adef/memo/internal/testserver"
	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/dynamostore"
	"github.com/seed-0226adef/memo/store/memcachestore"
	"github.com/seed-0226adef/memo/store/redisstore"
)

func TestMain(m *testing.M) {
	testserver.Main()
	redis.SetLogger(silence{})
	os.Exit(m.Run())
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// localTTL is for how long copies are trusted.
const localTTL = 500 * time.Millisecond

const table = "cache"

// open connects to servers of that kind, whose addresses are separated by commas.
func open(kind, addr string) (store.Store, error) {
	switch kind {
	case "redis":
		return redisstore.New(redis.NewClient(&redis.Options{Addr: addr}), nil), nil
	case "memcached":
		client := memcache.New(strings.Split(addr, ",")...)
		client.Timeout = time.Second
		return memcachestore.New(client, nil), nil
	case "dynamodb":
		return dynamostore.New(dynamoClient(addr), table, nil), nil
	}
	return nil, fmt.Errorf("there is no kind %q", kind)
}

func dynamoClient(endpoint string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), HTTPClient: &http.Client{Transport: http.DefaultTransport},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

// A member is one process of the fleet.
type member struct {
	folder string
	group  *memo.Group
	funcs  map[string]*memo.Func[string, int64]
	batch  *memo.Batch[string, int64]
	slow   *memo.Func[string, int64] // notes its executions; see TestKilledProcessesCostAnExecutionEach
}

// program is a member, with the kind of server, its address and the folder as arguments. All
// commands but the last two are named after methods: of a function with a key, or of the group.
var program = testserver.NewProgram("checked", func(args []string) testserver.Commands {
	s, err := open(args[0], args[1])
	if err != nil {
		panic(err)
	}
	m := newMember(s, args[2])
	ctx := context.Background()
	number := func(v int64, err error) (string, error) { return strconv.FormatInt(v, 10), err }
	return testserver.Commands{
		"call":       func(a ...string) (string, error) { return number(m.funcs[a[0]].Call(ctx, a[1])) },
		"fresh":      func(a ...string) (string, error) { return number(m.funcs[a[0]].Call(memo.WithMaxAge(ctx, 0), a[1])) },
		"refresh":    func(a ...string) (string, error) { return number(m.funcs[a[0]].Refresh(ctx, a[1])) },
		"invalidate": func(a ...string) (string, error) { return "", m.funcs[a[0]].Invalidate(ctx, a[1]) },
		"expire":     func(a ...string) (string, error) { return "", m.funcs[a[0]].Expire(ctx, a[1]) },
		"clear":      func(a ...string) (string, error) { return "", m.funcs[a[0]].Clear(ctx) },
		"set": func(a ...string) (string, error) {
			v, err := strconv.ParseInt(a[2], 10, 64)
			return "", errors.Join(err, m.funcs[a[0]].Set(ctx, a[1], v))
		},
		"clear group":     func(...string) (string, error) { return "", m.group.Clear(ctx) },
		"invalidate tags": func(a ...string) (string, error) { return "", m.group.InvalidateTags(ctx, a...) },
		"expire tags":     func(a ...string) (string, error) { return "", m.group.ExpireTags(ctx, a...) },
		"batch": func(a ...string) (string, error) {
			all, err := m.batch.Call(ctx, a)
			texts := make([]string, len(a))
			for i, key := range a {
				texts[i] = strconv.FormatInt(all[key], 10)
			}
			return strings.Join(texts, " "), err
		},
		"crowd": m.crowd,
	}
})

func newMember(s store.Store, folder string) *member {
	m := &member{folder: folder}
	m.group = memo.NewGroup("g", memo.Store(s), memo.TTL(time.Hour), memo.LocalTTL(localTTL), memo.Logger(slog.New(slog.DiscardHandler)))
	inner := memo.New(func(ctx context.Context, key string) (int64, error) {
		v, err := m.read(key)
		memo.AddTags(ctx, key)
		return v, err
	}, m.group, memo.Name("inner"))
	m.funcs = map[string]*memo.Func[string, int64]{
		"plain": memo.New(func(_ context.Context, key string) (int64, error) { return m.read(key) }, m.group, memo.Name("plain"), memo.Tags("static")),
		"inner": inner,
		"outer": memo.New(inner.Call, m.group, memo.Name("outer")),
	}
	m.batch = memo.NewBatch(func(_ context.Context, keys []string) (map[string]int64, error) {
		all := map[string]int64{}
		for _, key := range keys {
			v, err := m.read(key)
			if err != nil {
				return all, err
			}
			all[key] = v
		}
		return all, nil
	}, m.group, memo.Name("batch"))
	m.slow = memo.New(m.execute, memo.Name("slow"), memo.Store(s), memo.StoreTimeout(10*time.Second), memo.Logger(slog.New(slog.DiscardHandler)))
	return m
}

// read returns the version of a key in the database, which takes a moment.
func (m *member) read(key string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(m.folder, key))
	if err != nil {
		return 0, err
	}
	time.Sleep(3 * time.Millisecond)
	return strconv.ParseInt(string(b), 10, 64)
}

// execute notes when it begins and when it ends, in a file of the key.
func (m *member) execute(_ context.Context, key string) (int64, error) {
	note := func(what string) error {
		f, err := os.OpenFile(filepath.Join(m.folder, key), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fprintln(f, what)
		return err
	}
	err := note("begun")
	time.Sleep(40 * time.Millisecond)
	return 1, errors.Join(err, note("ended"))
}

// crowd has that many callers call slow at once.
func (m *member) crowd(args ...string) (string, error) {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return "", err
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = m.slow.Call(context.Background(), args[0]) })
	}
	wg.Wait()
	return "", errors.Join(errs...)
}
